"""What every goal on a model's outputs has. B rows, M outputs, K outcomes."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import ClassVar

import numpy as np

LEAST = 2.4e-7  # distance from a limit that float32 shares still show on its own side


def shares_at(distance: np.ndarray, inside: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The share of the wanted outcome, and of all others: 1/2 at the limit, and towards 1 and 0 as the distance grows.

    The smaller of the two is ``1 / (2 (1 + |distance|))``, so that float32 keeps the distance to seven digits.

    Args:
        distance: (B,) signed distances to the limit, positive inside.
        inside: (B,) bool; on the limit, this alone says on which side a row is.

    Example:
        >>> shares_at(np.array([1.0, -1.0]), np.array([True, False]))[0].tolist()
        [0.75, 0.25]
    """
    small = 0.5 / (1 + np.maximum(np.abs(distance), LEAST))
    return np.where(inside, 1 - small, small), np.where(inside, small, 1 - small)


class Goal(ABC):
    """Where outputs of a model should be. It turns outputs (B, M) into shares (B, K) of *outcomes*, which walks use as
    probabilities of classes: the wanted outcome has the largest share exactly where the goal is reached.

    Attributes:
        text: The goal as `envs.goals.read_goal` reads it.
        names: Names of the outcomes.
        wanted: Index of the wanted outcome.
        kind: Of outputs, a key of `envs.goals.KINDS`.
        scored: Whether the outcomes are ranges of one score, which displays show instead of the shares.
        limits: Scores at which the goal begins and ends.

    Example:
        >>> from envs.goals import ScoreGoal
        >>> ScoreGoal(low=2.0).reached(np.array([[1.0], [2.5]])).tolist()
        [False, True]
    """

    kind: ClassVar[str]
    scored: ClassVar[bool] = False
    limits: tuple[float, ...] = ()
    text: str
    names: list[str]
    wanted: int

    @abstractmethod
    def reached(self, outputs: np.ndarray) -> np.ndarray:
        """Whether outputs (B, M) are at the goal, (B,) bool."""

    @abstractmethod
    def shares(self, outputs: np.ndarray) -> np.ndarray:
        """Shares (B, K) of the outcomes, float64; they sum to 1."""

    def progress(self, outputs: np.ndarray) -> np.ndarray:
        """The share of the wanted outcome, (B,) in (0, 1): at least 1/2 where the goal is reached."""
        found: np.ndarray = self.shares(outputs)[:, self.wanted]
        return found

    def scores(self, shares: np.ndarray) -> np.ndarray | None:
        """The score (B,) behind shares (B, K), float64; None for goals on several outputs."""
        return None

    def in_units_of(self, spread: float) -> Goal:
        """The same goal with another unit of the progress, where it has one."""
        return self

    def share_name(self, name: str) -> str:
        """What the share of an outcome is called: of labels it is a probability."""
        return f"p({name})"

    def __str__(self) -> str:
        return self.text


class Request(ABC):
    """A goal that depends on the input's own outputs, such as "+10 %" of its score.

    Attributes:
        text: As `envs.goals.read_request` reads it.
        kind: Of outputs, a key of `envs.goals.KINDS`.

    Example:
        >>> from envs.goals import Change
        >>> Change(10.0, percent=True).of(np.array([50.0])).text
        '>= 55'
    """

    kind: ClassVar[str]
    text: str

    @abstractmethod
    def of(self, outputs: np.ndarray, like: Goal | None = None) -> Goal:
        """The goal for an input with these outputs (M,).

        Args:
            outputs: Of the input.
            like: A goal of the same world, for its units and names.

        Raises:
            ManifoldError: If the request makes no sense for this input.
        """

    def __str__(self) -> str:
        return self.text
