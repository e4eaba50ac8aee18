"""A bonus on a scale of its own, whatever the units and the size of the score it is made from."""

from __future__ import annotations

import math
from collections.abc import Mapping

import torch
from torch import Tensor

from vime.arguments import whole_number
from vime.serialization import State, StateMismatchError, entry, number, whole


class MedianNormalizer:
    """Divides scores by the mean of the medians of the last windows (VIME, section 2.6; there a window is a
    trajectory).

    Only past windows count, so that the present one cannot hide its own surprise; the very first window, which has no
    past, is divided by its own median. A window is a rollout, or the scores between two fits.

    Parameters
    ----------
    window: how many past medians are averaged [10]. Longer: the bonus fades as the model learns; 1: it keeps its size.
    """

    def __init__(self, window: int = 10):
        self.window = whole_number("the normalizer's window", window)
        self.medians: list[float] = []

    def scale(self, scores: Tensor | None = None) -> float:
        """What ``__call__`` divides by. Without a past and without ``scores`` it is 1."""
        if self.medians:
            return math.fsum(self.medians) / len(self.medians)
        return 1.0 if scores is None else _typical(scores)

    def __call__(self, scores: Tensor) -> Tensor:
        """Scores (B,) over the past's typical score, (B,)."""
        return scores / self.scale(scores)

    def update(self, scores: Tensor) -> None:
        """Close a window of scores (B,). An empty one changes nothing."""
        if scores.numel():
            self.medians = [*self.medians, _typical(scores)][-self.window :]

    def state_dict(self) -> State:
        """The past medians."""
        return {"window": number(self.window), "medians": torch.tensor(self.medians, dtype=torch.float64)}

    def load_state_dict(self, state: Mapping[str, Tensor]) -> None:
        """Inverse of :meth:`state_dict`; StateMismatchError, and no change, for another window or an incomplete state."""
        window, medians = whole(state, "window", "the normalizer"), entry(state, "medians", "the normalizer")
        if window != self.window:
            raise StateMismatchError(
                f"the saved normalizer averages {window} windows, this one {self.window}: pass window={window}"
            )
        if medians.ndim != 1 or len(medians) > window:
            raise StateMismatchError(
                f"the saved normalizer has medians of shape {tuple(medians.shape)}; expected up to {window} in a row"
            )
        self.medians = [float(m) for m in medians]


def _typical(scores: Tensor) -> float:
    """The median; where more than half of the scores are zero that of the positive ones; 1 where there is none."""
    median = scores.double().median().item()
    if median > 0:
        return median
    positive = scores[scores > 0]
    return positive.double().median().item() if positive.numel() else 1.0
