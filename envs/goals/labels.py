"""Goals on independent labels: one of them is flipped while others are held."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import ClassVar

import numpy as np

from envs.errors import ManifoldError, UnknownNameError
from envs.goals.goal import Goal, Request, shares_at

WORDS = {True: "yes", False: "no"}


@dataclass(frozen=True)
class LabelGoal(Goal):
    """One label on or off, while others stay as they are. A label is on where its probability is at least 1/2.

    The progress is the smallest probability among those of the wanted answers.

    Args:
        labels: Names of all labels, in the order of the outputs.
        label: The one that should change.
        on: Whether it should be on.
        hold: Other labels, and whether they should be on.

    Raises:
        UnknownNameError: If there is no such label.
        ManifoldError: If the label itself is held.

    Example:
        >>> goal = LabelGoal(["cat", "dog", "car"], "dog", hold={"cat": True})
        >>> goal.text, goal.reached(np.array([[0.9, 0.8, 0.1], [0.3, 0.8, 0.1]])).tolist()
        ('dog=yes, cat=yes', [True, False])
    """

    labels: Sequence[str]
    label: str
    on: bool = True
    hold: Mapping[str, bool] = field(default_factory=dict)
    kind: ClassVar[str] = "labels"

    def __post_init__(self) -> None:
        for name in (self.label, *self.hold):
            if name not in self.labels:
                raise UnknownNameError("label", name, self.labels)
        if self.label in self.hold:
            raise ManifoldError(f"the label {self.label!r} cannot be flipped and held: leave it out of hold")

    @property
    def text(self) -> str:  # type: ignore[override]
        """See `Goal`."""
        return ", ".join(f"{name}={WORDS[on]}" for name, on in {self.label: self.on, **self.hold}.items())

    @property
    def names(self) -> list[str]:  # type: ignore[override]
        """See `Goal`."""
        if not self.hold:
            return [f"no {self.label}", self.label]
        pair = [f"no {self.label}", self.label]
        return [f"{name}, others held" if k == self.wanted else f"{name}, or others changed" for k, name in enumerate(pair)]

    @property
    def wanted(self) -> int:  # type: ignore[override]
        """See `Goal`."""
        return int(self.on)

    def _agreement(self, outputs: np.ndarray) -> np.ndarray:
        """(B, 1 + held) signed: how far each label's probability is beyond 1/2 on the wanted side."""
        required = {self.label: self.on, **self.hold}
        columns = [list(self.labels).index(name) for name in required]
        side = np.where(list(required.values()), 1.0, -1.0)
        return (np.asarray(outputs, dtype=np.float64)[:, columns] - 0.5) * side

    def reached(self, outputs: np.ndarray) -> np.ndarray:
        """See `Goal.reached`."""
        on = np.array([self.on, *self.hold.values()])
        beyond = self._agreement(outputs)
        return np.asarray(np.where(on, beyond >= 0, beyond > 0).all(1))

    def shares(self, outputs: np.ndarray) -> np.ndarray:
        """See `Goal.shares`."""
        beyond, inside = self._agreement(outputs).min(1), self.reached(outputs)
        limit = shares_at(np.zeros(len(beyond)), inside)[0]  # off a tie, by which a label would be lost
        met = np.where(inside, np.maximum(0.5 + beyond, limit), np.minimum(0.5 + beyond, limit))
        return np.stack([1 - met, met] if self.on else [met, 1 - met], axis=1)


@dataclass(frozen=True)
class FlipLabel(Request):
    """Flip one label of the input, and hold others at what they are for this input.

    Args:
        label: The one to flip.
        hold: Names of others; None: all others.

    Example:
        >>> world = LabelGoal(["cat", "dog"], "cat")
        >>> FlipLabel("cat").of(np.array([0.9, 0.2]), world).text
        'cat=no, dog=no'
    """

    label: str
    hold: Sequence[str] | None = None
    kind: ClassVar[str] = "labels"

    @property
    def text(self) -> str:  # type: ignore[override]
        """See `Request`."""
        held = "others" if self.hold is None else ", ".join(self.hold)
        return f"flip {self.label}" + (f", hold {held}" if held else "")

    def of(self, outputs: np.ndarray, like: Goal | None = None) -> LabelGoal:
        """See `Request.of`."""
        assert isinstance(like, LabelGoal)
        on = dict(zip(like.labels, (np.asarray(outputs) >= 0.5).tolist(), strict=True))
        others = [name for name in like.labels if name != self.label] if self.hold is None else self.hold
        for name in (self.label, *others):
            if name not in on:
                raise UnknownNameError("label", name, like.labels)
        return LabelGoal(like.labels, self.label, not on[self.label], {name: on[name] for name in others})
