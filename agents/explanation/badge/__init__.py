"""Badges: whether the end of a path holds up, by classifiers and statistics that the search did not use."""

from agents.explanation.badge.judge import badge
from agents.explanation.badge.result import ALONE, FAILED, HOLDS, KINDS, UNUSUAL, Badge

__all__ = ["ALONE", "FAILED", "HOLDS", "KINDS", "UNUSUAL", "Badge", "badge"]
