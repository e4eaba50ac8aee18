"""The inputs that walks explain: in data space, and in the user's own values, bit for bit."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor


class Factual(NamedTuple):
    """The inputs of B walks, or one input for all of them.

    Attributes:
        x: (B, \\*data_shape) the inputs in data space.
        cells: (B, C) float64, the user's own values of a table: numbers as they are (NaN: missing), categories by their index
            among the values in the data. (B, 0) for pictures and text.
        base: (B, \\*data_shape) what the initial latents decode to, for tables: their frames are the input plus the change of
            the decoded row since `base`. (B, 0) if frames are the decoded codes.
        held: (B, D) bool, places of an encoded row that this walk keeps as in the input, besides those that all walks keep.
            (B, 0) for pictures and text; None: no place.

    Example:
        >>> import torch
        >>> factual = Factual(torch.zeros(2, 4), torch.zeros(2, 0), torch.zeros(2, 0))
        >>> factual.repeated(3).x.shape
        torch.Size([6, 4])
    """

    x: Tensor
    cells: Tensor
    base: Tensor
    held: Tensor | None = None

    def repeated(self, count: int) -> Factual:
        """Each input `count` times in a row."""
        return Factual(*(None if part is None else part.repeat_interleave(count, 0) for part in self))  # type: ignore[arg-type]

    def chosen(self, rows: Tensor) -> Factual:
        """The inputs at rows (R,)."""
        return Factual(*(None if part is None else part[rows] for part in self))  # type: ignore[arg-type]


def differs(cells: Tensor, others: Tensor) -> Tensor:
    """Which cells (..., C) differ; two missing ones (NaN) do not."""
    return (cells != others) & ~(torch.isnan(cells) & torch.isnan(others))


def nothing_held(x: Tensor, anchored: bool) -> Tensor:
    """`Factual.held` of walks from inputs x (B, \\*data_shape) that may change everything."""
    return torch.zeros(x.shape if anchored else (len(x), 0), dtype=torch.bool)
