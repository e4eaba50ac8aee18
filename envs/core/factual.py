"""The inputs that walks explain: what they are inside, and the user's own cells, bit for bit."""

from __future__ import annotations

from typing import NamedTuple

from torch import Tensor


class Factual(NamedTuple):
    """The inputs of B walks, or one input of them all.

    Attributes:
        x: (B, \\*data_shape) the inputs in data space.
        cells: (B, C) float64, the user's own values: numbers as they are (NaN: missing), categories by their index among the
            values that the data hold. (B, 0) for pictures and text.
        base: (B, \\*data_shape) what the walks' first codes decode to. Frames of tables are the input plus what the decoded
            row has changed since `base`. (B, 0) where frames are the decoded codes themselves.
    """

    x: Tensor
    cells: Tensor
    base: Tensor

    def repeated(self, count: int) -> Factual:
        """Each input `count` times, one after another."""
        return Factual(*(part.repeat_interleave(count, 0) for part in self))

    def chosen(self, rows: Tensor) -> Factual:
        """The inputs at rows (R,)."""
        return Factual(*(part[rows] for part in self))
