"""Choices beside numbers: whether a number has a value, is exactly 0, or is missing.

A gate is a choice between states, with one place of the encoded row each, like the choice between categories. A number that
may be missing has (value, missing), a zero-inflated one (value, zero) or (value, zero, missing). Zero-inflated columns that
exclude each other share one gate: (value of the first, value of the second, ..., zero).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor

from envs.modalities.columns import Column


class Gate(NamedTuple):
    """A choice between the states of one or more numbers.

    Attributes:
        first: its first place in an encoded row; the value of the k-th number is there if place first + k is chosen.
        size: number of places.
        members: the columns.
        missing: whether the last state is "missing".

    Example:
        >>> gate = Gate(first=1, size=2, members=(0,), missing=False)
        >>> gate.state(torch.tensor([[0.0], [5.0]])).tolist()
        [1, 0]
    """

    first: int
    size: int
    members: tuple[int, ...]
    missing: bool

    @property
    def inflated(self) -> bool:
        """Whether a state says that the numbers are 0."""
        return self.size > len(self.members) + self.missing

    def present(self, values: Tensor) -> Tensor:
        """Which numbers (B, members) have a value of their own."""
        known = ~torch.isnan(values)
        return known & (values != 0) if self.inflated else known

    def state(self, values: Tensor) -> Tensor:
        """The state (B,) of numbers (B, members), NaN where missing; of several that have a value, the first one's."""
        there = self.present(values)
        state = torch.where(there.any(1), there.int().argmax(1), len(self.members))
        return state.masked_fill(torch.isnan(values[:, 0]), self.size - 1) if self.missing else state

    def allowed(self, member: int, column: Column) -> Tensor:
        """The states (size, size) that walks from a state may reach, as far as one member's column forbids some."""
        there = torch.arange(self.size) == self.members.index(member)
        same = there[:, None] == there
        if column.immutable:
            return same
        falls, rises = there[:, None] & ~there, ~there[:, None] & there
        return ~falls if column.only == "up" else ~rises if column.only == "down" else torch.ones_like(same)

    def within(self, member: int, zero: bool, value: bool) -> Tensor:
        """The states (size, size) that walks may reach if one member may not be 0, or may have no other value."""
        there = torch.arange(self.size) == self.members.index(member)
        return (there & value | ~there & zero).expand(self.size, -1) | torch.eye(self.size, dtype=torch.bool)


def gates_of(columns: Sequence[Column], places: Sequence[int]) -> list[Gate]:
    """The gates of a table's columns, whose first places in an encoded row are given."""
    at = {column.name: j for j, column in enumerate(columns)}
    found = []
    for j, column in enumerate(columns):
        if column.kind == "number" and column.width > 1:
            others = [at[c.name] for c in columns if c.exclusive_with == column.name]
            found.append(Gate(places[j] + 1, column.width - 1, (j, *others), column.missing is not None))
    return found
