"""Linear relations between a table's numbers, which changes keep."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

SAME = 1e-6  # share of a standard deviation: numbers that differ less are the same


@dataclass(frozen=True)
class Relation:
    """A linear relation between columns of numbers, which changes keep: the first column changes by the weighted sum of the
    others' changes. Rows in which it would leave its range keep the input's values in all these columns.

    Args:
        columns: indices of the columns, the dependent one first.
        places: their places in an encoded row.
        weights: (R,) of the others, in the user's units.
        scales: (1 + R,) standard deviations.
        mean: of the dependent column.
        low, high: range of the dependent column, in the user's units; the input's own value is always inside.
        text: as the user wrote it.

    Example:
        >>> one = torch.ones(3, dtype=torch.float64)
        >>> rule = Relation((2, 0, 1), (2, 0, 1), one[:2], one, 0.0, 0.0, 10.0, "total = a + b")
        >>> rule.cells(torch.tensor([[2.0, 3.0, 4.0]]), torch.tensor([[1.0, 3.0, 4.0]]))
        tensor([[2., 3., 5.]])
    """

    columns: tuple[int, ...]
    places: tuple[int, ...]
    weights: Tensor
    scales: Tensor
    mean: float
    low: float
    high: float
    text: str

    def frames(self, frame: Tensor, x: Tensor) -> Tensor:
        """Frames (B, D) that keep the relation as the inputs x (B, D) have it."""
        at, own = list(self.places), x.expand_as(frame)
        change = (frame[:, at].double() - own[:, at].double()) * self.scales
        value = own[:, at[0]].double() * self.scales[0] + self.mean
        return self._kept(frame, own, at, change, 1 / float(self.scales[0]), value)

    def cells(self, cells: Tensor, own: Tensor) -> Tensor:
        """Cells (B, C) that keep the relation as the inputs' own cells have it."""
        at, own = list(self.columns), own.expand_as(cells)
        return self._kept(cells, own, at, cells[:, at] - own[:, at], 1.0, own[:, self.columns[0]])

    def _kept(self, rows: Tensor, own: Tensor, at: list[int], change: Tensor, unit: float, value: Tensor) -> Tensor:
        """Rows with the dependent column changed by `change` (B, 1 + R) of the others; `value` (B,) is the input's dependent
        number in the user's units."""
        rise = change[:, 1:] @ self.weights.to(change.dtype)
        rows = rows.clone()
        moved = rise.abs() > SAME * float(self.scales[0])
        rows[:, at[0]] = torch.where(moved, own[:, at[0]] + (rise * unit).to(rows.dtype), own[:, at[0]])
        end = value + rise
        spare = SAME * float(self.scales[0])
        outside = (end < value.clamp_max(self.low) - spare) | (end > value.clamp_min(self.high) + spare)
        broken = outside | ~torch.isfinite(end)
        rows[:, at] = torch.where(broken[:, None], own[:, at], rows[:, at])
        return rows


def group_of(count: int, together: Sequence[Sequence[int]]) -> Tensor:
    """Index (C,) of the first column that each of `count` columns changes with; the groups may share columns."""
    group = torch.arange(count)
    for _ in together:
        for columns in together:
            group[list(columns)] = group[list(columns)].min()
    return group
