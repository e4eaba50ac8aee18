"""What displays show of the predictions along a path: the probability of a class, or the score."""

from __future__ import annotations

from functools import cached_property
from typing import Any, NamedTuple

import numpy as np

from agents.trajectories.goal import goal_of, kind_of_end, share_name
from envs.config import DEFAULTS
from envs.goals import Goal


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
        return f"{value:+.3g}" if self.is_score else f"{value:+.2f}".replace("-0.00", "+0.00")

    def share(self, value: float) -> float:
        """The place of a value on the axis, in [0, 1]."""
        return float(np.clip((value - self.low) / (self.high - self.low), 0, 1))

    def over(self, values: Any) -> Shown:
        """The same with an axis on which further values lie as well; sums of contributions may lie below 0 or above 1."""
        return self._replace(low=min(self.low, *values), high=max(self.high, *values))


class WithGoal:
    """What a path says of its goal and its world, from its record of the world and its predictions.

    Example:
        >>> from agents.explain import explain
        >>> from envs import make_world
        >>> path = explain(make_world(progress=False), 0, walker="line")
        >>> path.goal, path.scores, path.shown.name
        (None, None, 'p(versicolor)')
    """

    environment: dict[str, Any]
    class_names: list[str]
    target: int
    predictions: np.ndarray | None

    @cached_property
    def goal(self) -> Goal | None:
        """The goal on a score or on labels whose outcomes are the classes; None for a classifier of classes."""
        return goal_of(self.environment, self.class_names)

    @property
    def kind_of_end(self) -> str:
        """What a frame is predicted as, in tables: a ``class``, or an ``outcome`` of a goal."""
        return kind_of_end(self.goal)

    def column_title(self, key: str) -> str:
        """The title of a column of `Trajectory.table`."""
        return {"class": self.kind_of_end}.get(key, key.replace("_", " "))

    @property
    def target_share(self) -> str:
        """The name of the number that walks raise: ``p(9)``, or of a score the share of the goal."""
        return share_name(self.goal, self.class_names[self.target])

    @property
    def scores(self) -> np.ndarray | None:
        """(T+1,) float64, the predicted score of every frame; None for a classifier of classes or labels."""
        return None if self.goal is None or self.predictions is None else self.goal.scores(self.predictions)

    @cached_property
    def shown(self) -> Shown | None:
        """What displays show along the path: the target's probability, or the score; None where labels alone are shown."""
        return shown_of(self)

    @property
    def world_settings(self) -> str:
        """Settings of the world that differ from their defaults, such as ``data='digits', tau=0.8``."""
        config = self.environment.get("config", {})
        own = {name: value for name, value in config.items() if value != DEFAULTS.get(name)}
        return ", ".join(f"{name}={value!r}" for name, value in own.items()) or "the defaults"

    def plain_names(self, source: int, target: int) -> list[str]:
        """Names of the two classes for a file, with ``to`` between them and signs of outcomes as words."""
        names = [self.class_names[source], "to", self.class_names[target]]
        for sign, word in {">=": "ge", "<=": "le", ">": "gt", "<": "lt"}.items() if self.goal is not None else ():
            names = [name.replace(sign, word) for name in names]
        return names


def shown_of(path: Any, c: int | None = None) -> Shown | None:
    """The score along a path, or the probability of class c (None: the target); None where labels alone are shown."""
    return None if path.predictions is None else shown_along(path, path.goal, path.target if c is None else c)


def shown_along(along: Any, goal: Goal | None, c: int) -> Shown:
    """`shown_of` for anything with ``predictions`` (T+1, K) and ``class_names``."""
    values = None if goal is None else goal.scores(along.predictions)
    if goal is None or values is None:
        return Shown(along.predictions[:, c], f"p({along.class_names[c]})")
    low, high = min(*values, *goal.limits), max(*values, *goal.limits)
    room = 0.05 * (high - low) or 1.0
    return Shown(values, "score", low - room, high + room, True, goal.limits)


def measured(path: Any, predictions: np.ndarray, c: int) -> np.ndarray:
    """The numbers of `shown_of` for predictions (R, K), float64."""
    scores: np.ndarray | None = None if path.goal is None else path.goal.scores(predictions)
    return np.asarray(predictions[:, c], dtype=np.float64) if scores is None else scores
