"""Contributions: what each changed part of the data adds to the rise of the target's probability; they add up exactly."""

from agents.explanation.contributions.compute import contributions
from agents.explanation.contributions.result import Contributions, Part

__all__ = ["Contributions", "Part", "contributions"]
