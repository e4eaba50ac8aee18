"""Several paths from one input: different ways to one target, and scenarios side by side."""

from agents.explanation.alternatives.result import Alternatives
from agents.explanation.alternatives.scenarios import scenarios
from agents.explanation.alternatives.ways import several_ways

__all__ = ["Alternatives", "scenarios", "several_ways"]
