"""Goals on one real output: a limit or a range, and changes of the input's own score."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import Any, ClassVar

import numpy as np

from envs.errors import ManifoldError
from envs.goals.goal import Goal, Request, shares_at


def _short(value: float) -> str:
    return f"{value:.6g}"


def _exact(value: float) -> str:
    """The number in as few digits as read back to it."""
    return _short(value) if float(_short(value)) == value else repr(float(value))


@dataclass(frozen=True)
class ScoreGoal(Goal):
    """A score from `low` to `high`; one of them may be infinite.

    The outcomes are ordered by score: two on both sides of one limit, three with a range. Distances to the range are measured
    in units of `spread`.

    Args:
        low: Least score at the goal, -inf for none.
        high: Largest score at the goal, inf for none.
        strict: The limits themselves are not at the goal.
        spread: Unit of the progress, positive: the standard deviation of the reference rows' scores in a world.

    Raises:
        ManifoldError: If the range is empty or has no limit.

    Example:
        >>> goal = ScoreGoal(low=2.0, high=4.0)
        >>> goal.text, goal.names
        ('2..4', ['< 2', '2..4', '> 4'])
        >>> goal.progress(np.array([[1.0], [2.0], [3.0], [6.0]])).round(3).tolist()
        [0.25, 0.5, 0.75, 0.167]
        >>> goal.scores(goal.shares(np.array([[1.0], [6.0]]))).round(6).tolist()
        [1.0, 6.0]
    """

    low: float = -math.inf
    high: float = math.inf
    strict: bool = False
    spread: float = 1.0
    kind: ClassVar[str] = "score"
    scored: ClassVar[bool] = True

    def __post_init__(self) -> None:
        if math.isnan(self.low) or math.isnan(self.high) or (math.isinf(self.low) and math.isinf(self.high)):
            raise ManifoldError(f"the goal from {self.low:g} to {self.high:g} has no limit: give low=, high= or both")
        if self.low >= self.high and not (self.low == self.high and not self.strict):
            raise ManifoldError(f"the range {self.low:g}..{self.high:g} is empty: give the lower limit first")
        if not 0 < self.spread < math.inf:
            raise ManifoldError(f"spread is the unit of the progress, a positive number, not {self.spread}")

    @property
    def ranged(self) -> bool:
        """Whether there are two limits."""
        return math.isfinite(self.low) and math.isfinite(self.high)

    @property
    def text(self) -> str:  # type: ignore[override]
        """See `Goal`."""
        if self.ranged:
            return f"{_exact(self.low)}..{_exact(self.high)}"
        sign, limit = (">", self.low) if math.isfinite(self.low) else ("<", self.high)
        return f"{sign}{'' if self.strict else '='} {_exact(limit)}"

    @property
    def names(self) -> list[str]:  # type: ignore[override]
        """See `Goal`."""
        inner, outer = ("", "=") if self.strict else ("=", "")
        if self.ranged:
            low, high = _short(self.low), _short(self.high)
            return [f"< {low}", f"{low}..{high}", f"> {high}"]
        if math.isfinite(self.low):
            return [f"<{outer} {_short(self.low)}", f">{inner} {_short(self.low)}"]
        return [f"<{inner} {_short(self.high)}", f">{outer} {_short(self.high)}"]

    @property
    def wanted(self) -> int:  # type: ignore[override]
        """See `Goal`."""
        return 1 if math.isfinite(self.low) else 0

    @property
    def limits(self) -> tuple[float, ...]:  # type: ignore[override]
        """See `Goal`."""
        return tuple(limit for limit in (self.low, self.high) if math.isfinite(limit))

    def in_units_of(self, spread: float) -> ScoreGoal:
        """See `Goal.in_units_of`."""
        return replace(self, spread=spread)

    def share_name(self, name: str) -> str:
        """See `Goal.share_name`: no probability."""
        return f"the share of {name}"

    def reached(self, outputs: np.ndarray) -> np.ndarray:
        """See `Goal.reached`."""
        score = outputs[:, 0]
        if self.strict:
            return np.asarray((score > self.low) & (score < self.high))
        return np.asarray((score >= self.low) & (score <= self.high))

    def shares(self, outputs: np.ndarray) -> np.ndarray:
        """See `Goal.shares`."""
        score = np.asarray(outputs[:, 0], dtype=np.float64)
        above, below = (score - self.low) / self.spread, (self.high - score) / self.spread
        inner, outer = shares_at(np.minimum(above, below), self.reached(outputs))
        if not self.ranged:
            return np.stack([outer, inner] if self.wanted else [inner, outer], axis=1)
        low = above <= below
        return np.stack([np.where(low, outer, 0.0), inner, np.where(low, 0.0, outer)], axis=1)

    def scores(self, shares: np.ndarray) -> np.ndarray:
        """See `Goal.scores`."""
        shares = np.asarray(shares, dtype=np.float64)
        inner = shares[:, self.wanted]
        outer = np.delete(shares, self.wanted, axis=1).sum(1)
        far = np.maximum(0.5 / np.maximum(np.minimum(inner, outer), 1e-300) - 1, 0.0)
        inside = np.where(inner >= outer, far, -far) * self.spread
        low = shares[:, 0] >= shares[:, -1] if self.ranged else np.full(len(shares), bool(self.wanted))
        return np.where(
            low, self.low + inside if self.wanted else 0.0, self.high - inside if math.isfinite(self.high) else 0.0
        )


@dataclass(frozen=True)
class Change(Request):
    """The input's own score, changed by an amount: at least that much more, or less where the amount is negative.

    Args:
        amount: In the score's unit, or in percent of the score's size.
        percent: Whether the amount is in percent.

    Raises:
        ManifoldError: If the amount is 0 or no number.

    Example:
        >>> Change(-5.0).of(np.array([12.0])).text
        '<= 7'
    """

    amount: float
    percent: bool = False
    kind: ClassVar[str] = "score"

    def __post_init__(self) -> None:
        if not math.isfinite(self.amount) or self.amount == 0:
            raise ManifoldError(f"a change of the score by {self.amount:g} changes nothing: give a number other than 0")

    @property
    def text(self) -> str:  # type: ignore[override]
        """See `Request`."""
        return f"{self.amount:+g}{' %' if self.percent else ''}"

    def of(self, outputs: np.ndarray, like: Goal | None = None) -> ScoreGoal:
        """See `Request.of`."""
        score = float(outputs[0])
        if self.percent and score == 0:
            raise ManifoldError(f"{self.text} of a score of 0 is 0: give a change in the score's own unit, such as +1")
        limit = score + (abs(score) * self.amount / 100 if self.percent else self.amount)
        if limit == score:
            raise ManifoldError(f"{self.text} changes the score {score:g} by less than floating point shows")
        own: dict[str, Any] = {"low" if self.amount > 0 else "high": limit}
        return ScoreGoal(**own, spread=like.spread if isinstance(like, ScoreGoal) else 1.0)
