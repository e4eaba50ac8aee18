"""Linked columns: another column's category determines their value, as education determines the years of education."""

from __future__ import annotations

from typing import Any, NamedTuple

import torch
from torch import Tensor


class Linked(NamedTuple):
    """A column of which each category of another column has one value in the data.

    Attributes:
        column: the linked column.
        head: the column that determines it.
        cells: (categories of the head,) the linked column's cell for each; see `envs.modalities.cells`.
        known: (categories of the head,) bool, those that the data have.

    Example:
        >>> years = Linked.of(1, 0, [0, 0, 1], [9.0, 9.0, 13.0], categories=3)
        >>> years.cells.tolist(), years.known.tolist()
        ([9.0, 13.0, nan], [True, True, False])
    """

    column: int
    head: int
    cells: Tensor
    known: Tensor

    @classmethod
    def of(cls, column: int, head: int, chosen: Any, cells: Any, categories: int) -> Linked:
        """The link of rows with these categories (N,) of the head and these cells (N,) of the column."""
        found = torch.full((categories,), torch.nan, dtype=torch.float64)
        known = torch.zeros(categories, dtype=torch.bool)
        index = torch.as_tensor(chosen, dtype=torch.long)
        found[index] = torch.as_tensor(cells, dtype=torch.float64)
        known[index] = True
        return cls(column, head, found, known)

    def allowed(self, immutable: bool, only: str | None) -> Tensor:
        """The categories (categories, categories) that walks from a category may reach."""
        before, after = self.cells[:, None], self.cells[None, :]
        same = (before == after) | (torch.isnan(before) & torch.isnan(after))
        every = torch.ones_like(same)
        reached = same if immutable else after >= before if only == "up" else after <= before if only == "down" else every
        return reached & self.known | torch.eye(len(self.cells), dtype=torch.bool)

    def within(self, low: float, high: float) -> Tensor:
        """The categories (categories, categories) that walks may reach if the value stays in a range."""
        inside = (self.cells >= low) & (self.cells <= high)
        return inside | torch.eye(len(self.cells), dtype=torch.bool)
