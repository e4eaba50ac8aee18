"""Distributions of numbers, noticed from the data: zero-inflated ones, and skewed ones, which have a logarithmic scale.

The scale ``log`` is asinh(value / unit), with the column's first percentile of magnitudes as unit. It is the logarithm of
values above the unit, linear below, and defined for zero and negative values, so no row is outside of it.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

SKEWED = 2.0  # skewness from which a scale is sought that is less skewed by half
FEWEST = 20  # different values from which skewness is measured
MOST_ZERO = 0.2  # share of zeros from which a column may be zero-inflated
APART = 4  # times more zeros than rows with any other value
FEWEST_OTHERS = 5  # different numbers besides 0


class Scale(NamedTuple):
    """A monotone function of numbers and its inverse, of values in units of the column.

    Example:
        >>> value = torch.tensor([0.0, 1000.0])
        >>> SCALES["log"].backward(SCALES["log"].forward(value)).round().tolist()
        [0.0, 1000.0]
    """

    forward: Callable[[Tensor], Tensor]
    backward: Callable[[Tensor], Tensor]


SCALES = {"linear": Scale(lambda values: values, lambda scaled: scaled), "log": Scale(torch.asinh, torch.sinh)}


def unit_of(values: np.ndarray) -> float:
    """The unit of a column: the first percentile of the magnitudes of its numbers (N,) other than 0."""
    there = np.abs(values[np.isfinite(values) & (values != 0)])
    return float(np.quantile(there, 0.01)) if len(there) else 1.0


def noticed_scale(values: np.ndarray) -> str:
    """The scale that fits numbers (N,): ``log`` if they are skewed to the right and their logarithms are not."""
    if len(np.unique(values)) < FEWEST:
        return "linear"
    logs = SCALES["log"].forward(torch.from_numpy(values / unit_of(values))).numpy()
    skewness = _skewness(values)
    return "log" if skewness >= SKEWED and abs(_skewness(logs)) <= skewness / 2 else "linear"


def is_zero_inflated(values: np.ndarray) -> bool:
    """Whether numbers (N,) are a mixture of exact zeros and of a quantity: 0 occurs often, and far more often than any other
    number. Counts, whose zeros belong to the same distribution as ones and twos, are not."""
    found, counts = np.unique(values, return_counts=True)
    zeros, others = counts[found == 0], counts[found != 0]
    if not len(zeros) or len(others) < FEWEST_OTHERS:
        return False
    return bool(zeros[0] >= MOST_ZERO * len(values) and zeros[0] >= APART * others.max())


def _skewness(values: np.ndarray) -> float:
    centred = values - values.mean()
    spread = float(np.sqrt((centred**2).mean()))
    return float(((centred / spread) ** 3).mean()) if spread > 0 else 0.0


class Scaled:
    """The scales of C columns of numbers.

    Args:
        names: of the scales, in `SCALES`.
        units: of the columns.

    Example:
        >>> columns = Scaled(["linear", "log"], [1.0, 2.0])
        >>> columns.backward(columns.forward(torch.tensor([[3.0, 50.0]]))).round().tolist()
        [[3.0, 50.0]]
    """

    def __init__(self, names: Sequence[str], units: Sequence[float]) -> None:
        self.names, self.units = list(names), torch.tensor(units, dtype=torch.float64)
        used = sorted({name for name in names if name != "linear"})
        self._used = [(SCALES[name], torch.tensor([j for j, own in enumerate(names) if own == name])) for name in used]

    def forward(self, values: Tensor) -> Tensor:
        """Scaled numbers (..., C) of numbers (..., C) in the user's units."""
        return self._mapped(values, lambda scale, own, unit: scale.forward(own / unit))

    def backward(self, scaled: Tensor) -> Tensor:
        """Numbers (..., C) in the user's units of scaled ones (..., C)."""
        return self._mapped(scaled, lambda scale, own, unit: scale.backward(own) * unit)

    def _mapped(self, values: Tensor, function: Callable[[Scale, Tensor, Tensor], Tensor]) -> Tensor:
        for scale, at in self._used:
            values = values.index_copy(values.ndim - 1, at, function(scale, values[..., at], self.units[at].to(values.dtype)))
        return values
