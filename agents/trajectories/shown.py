"""What displays show of the predictions along a path: the probability of a class, or the score."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from envs.goals import ScoreGoal


class Shown(NamedTuple):
    """A number along a path, with its name, axis and format.

    Attributes:
        values: (T+1,) on the frames.
        name: such as ``p(9)`` or ``score``.
        low, high: ends of the axis.
        is_score: whether it is a score, whose axis is its own.
        limits: scores at which the goal begins and ends.

    Example:
        >>> shown = Shown(np.array([12.0, 40.0]), "score", 10.0, 50.0, True, (30.0,))
        >>> shown.text(40.0), shown.change(-2.5), shown.share(40.0)
        ('40', '-2.5', 0.75)
    """

    values: np.ndarray
    name: str
    low: float = 0.0
    high: float = 1.0
    is_score: bool = False
    limits: tuple[float, ...] = ()

    def text(self, value: float) -> str:
        """A value as people read it."""
        return f"{value:.4g}" if self.is_score else f"{value:.2f}"

    def exact(self, value: float) -> str:
        """A value with a digit more."""
        return f"{value:.5g}" if self.is_score else f"{value:.3f}"

    def change(self, value: float) -> str:
        """A difference of values, with its sign."""
        return f"{value:+.3g}" if self.is_score else f"{value:+.2f}"

    def share(self, value: float) -> float:
        """The place of a value on the axis, in [0, 1]."""
        return float(np.clip((value - self.low) / (self.high - self.low), 0, 1)) if self.is_score else float(value)

    def over(self, values: Any) -> Shown:
        """The same with an axis on which further values lie as well."""
        if not self.is_score:
            return self
        return self._replace(low=min(self.low, *values), high=max(self.high, *values))


def shown_of(path: Any, c: int | None = None) -> Shown | None:
    """The score along a path, or the probability of class c (None: the target); None where labels alone are shown."""
    if path.predictions is None:
        return None
    c = path.target if c is None else c
    if not isinstance(path.goal, ScoreGoal):
        return Shown(path.predictions[:, c], f"p({path.class_names[c]})")
    values = path.scores
    limits = tuple(limit for limit in (path.goal.low, path.goal.high) if np.isfinite(limit))
    low, high = min(*values, *limits), max(*values, *limits)
    room = 0.05 * (high - low) or 1.0
    return Shown(values, "score", low - room, high + room, True, limits)


def measured(path: Any, predictions: np.ndarray, c: int) -> np.ndarray:
    """The numbers of `shown_of` for predictions (R, K), float64."""
    if isinstance(path.goal, ScoreGoal):
        return path.goal.scores(predictions)
    return np.asarray(predictions[:, c], dtype=np.float64)
