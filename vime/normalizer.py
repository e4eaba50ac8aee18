"""Normalisation of scores by their recent medians."""

from __future__ import annotations

import math
from collections.abc import Mapping

import torch
from torch import Tensor

from vime.arguments import whole_number
from vime.errors import StateMismatchError
from vime.serialization import State, entry, number, whole


class MedianNormalizer:
    """Divides scores by the mean of the medians of past windows (Houthooft et al. 2016, section 2.6).

    In the paper a window is a trajectory; here it is a rollout, or the scores between two fits. Only past windows count,
    so that the present one does not hide its own surprise. The first window has no past and is divided by its own median.

    Args:
        window: How many past medians are averaged. A long window lets the bonus fade as the model learns; 1 keeps the
            bonus at a constant size.

    Raises:
        OptionError: ``window`` is not an integer of at least 1.

    Example:
        >>> import torch
        >>> from vime import MedianNormalizer
        >>> normalizer = MedianNormalizer(window=2)
        >>> normalizer.update(torch.tensor([1.0, 2.0, 9.0]))
        >>> normalizer(torch.tensor([4.0, 6.0]))
        tensor([2., 3.])
    """

    def __init__(self, window: int = 10):
        self.window = whole_number("the normalizer's window", window)
        self.medians: list[float] = []

    def scale(self, scores: Tensor | None = None) -> float:
        """Return the divisor; before the first window it is the median of ``scores``, or 1 without ``scores``."""
        if self.medians:
            return math.fsum(self.medians) / len(self.medians)
        return 1.0 if scores is None else _typical(scores)

    def __call__(self, scores: Tensor) -> Tensor:
        """Divide scores (B,) by :meth:`scale`."""
        return scores / self.scale(scores)

    def update(self, scores: Tensor) -> None:
        """Close a window with the scores (B,). An empty window changes nothing."""
        if scores.numel():
            self.medians = [*self.medians, _typical(scores)][-self.window :]

    def state_dict(self) -> State:
        """Return the past medians."""
        return {"window": number(self.window), "medians": torch.tensor(self.medians, dtype=torch.float64)}

    def load_state_dict(self, state: Mapping[str, Tensor]) -> None:
        """Inverse of :meth:`state_dict`.

        Raises:
            StateMismatchError: Another window, or an incomplete state; nothing is changed.
        """
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
    """The median; if it is 0, the median of the positive scores; 1 if there are none."""
    median = scores.double().median().item()
    if median > 0:
        return median
    positive = scores[scores > 0]
    return positive.double().median().item() if positive.numel() else 1.0
