"""What walks may not change in a row of a mixed table: immutable columns, columns that only rise or fall, permitted ranges."""

from __future__ import annotations

import copy
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor

from envs.modalities.columns import Column
from envs.modalities.gates import Gate
from envs.modalities.linked import Linked


class Rules:
    """The rules of a table of C columns, encoded in D places.

    Args:
        columns: of the table.
        places: first place of each column.
        size: number of places.
        gates: choices beside numbers.
        links: linked columns.

    Attributes:
        held: (D,) bool, places that keep the input's value.
        allowed: first place of a choice -> (size, size) bool, the choices that walks from a choice may reach; not listed: all.

    Example:
        >>> rules = Rules([Column("age", "number", only="up")], [0], 1, [], [])
        >>> rules.hold(torch.tensor([[-1.0], [2.0]]), torch.tensor([[0.0], [0.0]])).tolist()
        [[0.0], [2.0]]
    """

    def __init__(
        self, columns: Sequence[Column], places: Sequence[int], size: int, gates: Sequence[Gate], links: Sequence[Linked]
    ) -> None:
        self.columns, self.places, self.gates, self.links = list(columns), list(places), list(gates), list(links)
        self.held = torch.zeros(size, dtype=torch.bool)
        self.allowed: dict[int, Tensor] = {}
        self._one_way = []  # places of numbers, the places that say that they have a value (-1: always), and the bound
        for only, bound in (("up", torch.maximum), ("down", torch.minimum)):
            chosen = [j for j, c in enumerate(columns) if c.only == only and c.linked_to is None]
            opens = {j: gate.first + k for gate in gates for k, j in enumerate(gate.members)}
            self._one_way.append((torch.tensor([self.places[j] for j in chosen], dtype=torch.long),
                                  torch.tensor([opens.get(j, -1) for j in chosen], dtype=torch.long), bound))  # fmt: skip
        for j, column in enumerate(columns):
            self._add(j, column)

    @property
    def any(self) -> bool:
        """Whether there is a rule."""
        return bool(self.held.any() or self.allowed or any(len(places) for places, _, _ in self._one_way))

    def hold(self, frame: Tensor, x: Tensor) -> Tensor:
        """Frames (B, D) of walks from inputs x (B, D), or from one input (D,), with the rules kept."""
        if not self.any:
            return frame
        own = x.expand_as(frame)
        frame = torch.where(self.held, own, frame)
        for places, opens, bound in self._one_way:
            if len(places):
                there = (opens < 0) | (own[:, opens.clamp_min(0)] > 0.5)
                frame[:, places] = torch.where(there, bound(frame[:, places], own[:, places]), frame[:, places])
        for first, allowed in self.allowed.items():
            _restrict(frame[:, first : first + len(allowed)], own[:, first : first + len(allowed)].argmax(1), allowed)
        return frame

    def fixed(self, j: int) -> Rules:
        """These rules, and column j immutable."""
        rules = copy.copy(self)
        rules.columns = self._described(j, immutable=True)
        rules._add(j, rules.columns[j])
        return rules

    def loosened(self, j: int) -> Rules:
        """The rules of the columns, with column j not immutable; `restricted` and `within` come after it."""
        return Rules(self._described(j, immutable=False), self.places, len(self.held), self.gates, self.links)

    def restricted(self, j: int, moves: Tensor) -> Rules:
        """These rules, and these moves alone between the categories of column j, (categories, categories) bool."""
        rules = copy.copy(self)
        rules._allow(self.places[j], moves)
        return rules

    def directed(self, j: int, way: str) -> Rules:
        """These rules, and numbers of column j that only rise (`up`) or fall (`down`)."""
        rules = Rules(self._described(j, only=way), self.places, len(self.held), self.gates, self.links)
        rules.held = rules.held | self.held
        for first, allowed in self.allowed.items():
            rules._allow(first, allowed)
        return rules

    def within(self, j: int, low: float, high: float, possible: bool) -> Rules:
        """These rules for the choices beside numbers of column j, in a range.

        Args:
            j: the column.
            low: least number.
            high: largest number.
            possible: whether a number other than 0 is in the range.
        """
        rules = copy.copy(self)
        for gate in self.gates:
            if j in gate.members and gate.inflated:
                rules._allow(gate.first, gate.within(j, low <= 0 <= high, possible))
        for link in self.links:
            if link.column == j:
                rules._allow(self.places[link.head], link.within(low, high))
        return rules

    def _described(self, j: int, **changes: Any) -> list[Column]:
        """The columns, with another description of column j."""
        return [replace(column, **changes) if k == j else column for k, column in enumerate(self.columns)]

    def _add(self, j: int, column: Column) -> None:
        """Add what the description of column j forbids."""
        if column.immutable:
            self.held = self.held.clone()
            self.held[
                self.places[j] : self.places[j] + (min(column.width, 1) if column.kind == "number" else column.width)
            ] = True
        for gate in self.gates:
            if j in gate.members:
                self._allow(gate.first, gate.allowed(j, column))
        for link in self.links:
            if j == link.column:
                self._allow(self.places[link.head], link.allowed(column.immutable, column.only))

    def _allow(self, first: int, allowed: Tensor) -> None:
        """Leave out choices at a place from what walks may reach."""
        allowed = allowed & self.allowed.get(first, torch.ones_like(allowed))
        if not allowed.all():
            self.allowed = {**self.allowed, first: allowed}
        if int(allowed.sum()) == len(allowed):  # none but the input's own
            self.held = self.held.clone()
            self.held[first : first + len(allowed)] = True


def _restrict(shares: Tensor, own: Tensor, allowed: Tensor) -> None:
    """Remove, in place, the shares (B, size) of choices that walks from the choices `own` (B,) may not reach."""
    left = shares * allowed[own]
    total = left.sum(1, keepdim=True)
    alone = torch.nn.functional.one_hot(own, len(allowed)).to(shares.dtype)
    shares.copy_(torch.where(total > 0, left / total.clamp_min(1e-30), alone))
