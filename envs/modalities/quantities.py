"""The numbers of a mixed table: from the user's units to encoded ones and back."""

from __future__ import annotations

import copy
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from envs.modalities.cells import Numbers, ends_of
from envs.modalities.columns import Column
from envs.modalities.gates import Gate
from envs.modalities.scales import Scaled, unit_of


class Quantity(NamedTuple):
    """A column of numbers that is not linked to another one.

    Attributes:
        column: its description.
        at: its place among the columns.
        place: its place in an encoded row.
        digits: of changed numbers, after the decimal point.
        unit: of its scale.
        mean, scale: of the scaled numbers.
        low, high: least and largest number that a change may bring, the zeros of a zero-inflated column apart.

    Example:
        >>> age = Quantity.of(Column("age", "number", low=17, high=90), 0, 0, np.array([20.0, 40.0]), Numbers(int, 0))
        >>> age.mean, age.scale
        (30.0, 10.0)
    """

    column: Column
    at: int
    place: int
    digits: int
    unit: float
    mean: float
    scale: float
    low: float
    high: float

    @classmethod
    def of(cls, column: Column, at: int, place: int, values: np.ndarray, kept: Numbers) -> Quantity:
        """The quantity of a column with the numbers `values` (N,), NaN where missing."""
        there = values[~np.isnan(values) & ~(column.zero_inflated & (values == 0))]
        there = there if len(there) else np.zeros(1)
        unit = unit_of(there)
        scaled = Scaled([column.scale], [unit]).forward(torch.from_numpy(there)[:, None]).numpy()
        spread = float(scaled.std())
        scale = spread if spread > 1e-9 * np.abs(scaled).max() else 1.0
        return cls(column, at, place, kept.digits, unit, float(scaled.mean()), scale, *ends_of(column, kept))


class Quantities:
    """All numbers of a mixed table that are not linked, Q of them, beside their gates.

    Args:
        found: the numbers.
        gates: choices beside them.

    Attributes:
        columns, at: (Q,) their places among the columns and in an encoded row.
        opens: (Q,) the places whose choice says that they have a value; -1: they always have one.
        low, high: (Q,) float64, see `Quantity`.

    Example:
        >>> one = Quantity.of(Column("age", "number", low=17, high=90), 0, 0, np.array([20.0, 40.0]), Numbers(int, 0))
        >>> Quantities([one], []).encode(torch.tensor([[50.0]])).tolist()
        [[2.0]]
    """

    def __init__(self, found: Sequence[Quantity], gates: Sequence[Gate]) -> None:
        self.gates = list(gates)
        self.columns = torch.tensor([one.at for one in found], dtype=torch.long)
        self.at = torch.tensor([one.place for one in found], dtype=torch.long)
        mine = {j: (g, k) for g, gate in enumerate(gates) for k, j in enumerate(gate.members)}
        where = [mine.get(one.at, (-1, 0)) for one in found]
        self._gate = torch.tensor([g for g, _ in where], dtype=torch.long)
        self.opens = torch.tensor([gates[g].first + k if g >= 0 else -1 for g, k in where], dtype=torch.long)
        flags = [gates[g].first + gates[g].size - 1 if g >= 0 and gates[g].missing else -1 for g, _ in where]
        self._flags = torch.tensor(flags, dtype=torch.long)
        self._inflated = torch.tensor([one.column.zero_inflated for one in found], dtype=torch.bool)
        self._power = torch.tensor([10.0**one.digits for one in found], dtype=torch.float64)
        self._scales = Scaled([one.column.scale for one in found], [one.unit for one in found])
        numbers = torch.tensor([one[-4:] for one in found], dtype=torch.float64).reshape(-1, 4)
        self._mean, self._scale, self.low, self.high = numbers.T

    def __len__(self) -> int:
        return len(self.columns)

    def present(self, values: Tensor) -> Tensor:
        """Which numbers (B, Q) have a value of their own: neither missing nor the zero of a zero-inflated column."""
        return ~torch.isnan(values) & ~(self._inflated & (values == 0))

    def encode(self, values: Tensor) -> Tensor:
        """Encoded numbers (B, Q) of numbers in the user's units (B, Q); 0 where they have no value of their own."""
        inside = (self._scales.forward(values) - self._mean) / self._scale
        return torch.where(self.present(values), inside, 0.0).float()

    def ends(self) -> Tensor:
        """Encoded (Q,) least and largest numbers, (2, Q)."""
        return ((self._scales.forward(torch.stack([self.low, self.high])) - self._mean) / self._scale).float()

    def scaling(self, columns: Sequence[int]) -> tuple[Tensor, float]:
        """Standard deviations of the scaled numbers of these columns, and the mean of the first one."""
        at = [int((self.columns == j).nonzero()[0, 0]) for j in columns]
        return self._scale[at], float(self._mean[at[0]])

    def narrowed(self, j: int, low: float, high: float) -> Quantities:
        """The same, with the numbers of column j in a range."""
        found, at = copy.copy(self), self.columns == j
        found.low = torch.where(at, self.low.clamp_min(low), self.low)
        found.high = torch.where(at, self.high.clamp_max(high), self.high)
        return found

    def nearest(self, x: Tensor, chosen: Tensor) -> Tensor:
        """Valid numbers (B, Q) in the user's units of encoded rows x (B, D) with one-hot choices (B, D)."""
        values = self._scales.backward(x[:, self.at].double() * self._scale + self._mean)
        return self._stated(self._rounded(values, self.low, self.high), self._opened(chosen), chosen)

    def since(self, x: Tensor, start: Tensor, known: Tensor, chosen: Tensor, before: Tensor) -> Tensor:
        """Numbers (B, Q) of frames x (B, D) whose walks began at `start` (B, D) with the user's own numbers `known` (B, Q).

        Args:
            x: the frames.
            start: the inputs.
            known: their own numbers.
            chosen: one-hot choices (B, D) of the frames.
            before: one-hot choices (B, D) of the inputs.
        """
        present = self.present(known)
        added = (x[:, self.at].double() - start[:, self.at].double()) * self._scale
        values = self._scales.backward(torch.where(present, self._scales.forward(known), self._mean) + added)
        low = torch.where(present, torch.minimum(self.low, known), self.low)
        high = torch.where(present, torch.maximum(self.high, known), self.high)
        moved = torch.where(present & (added == 0), known, self._rounded(values, low, high))
        stayed = torch.zeros(len(x), len(self.gates) + 1, dtype=torch.bool)  # gates whose state is the input's
        for k, gate in enumerate(self.gates):
            places = slice(gate.first, gate.first + gate.size)
            stayed[:, k] = (chosen[:, places] == before[:, places]).all(1)
        return self._stated(moved, torch.where(stayed[:, self._gate], present, self._opened(chosen)), chosen)

    def fade(self, faded: Tensor, shares: Tensor, x: Tensor) -> None:
        """Raise, in place, the `faded` shares (B, D) of numbers without a value in inputs x (B, D) to those of their gates."""
        at, opens = self._gated
        closed = x[:, opens] < 0.5
        faded[:, at] = torch.where(closed, torch.maximum(faded[:, at], shares[:, opens]), faded[:, at])

    def close(self, frame: Tensor) -> None:
        """Bring, in place, numbers of frames (B, D) towards 0 as their gates close; those with a value stay as they are."""
        for k, gate in enumerate(self.gates):
            at, opens = self.at[self._gate == k], self.opens[self._gate == k]
            shares = frame[:, gate.first : gate.first + gate.size]
            frame[:, at] *= frame[:, opens] / shares.amax(1, keepdim=True)

    @property
    def _gated(self) -> tuple[Tensor, Tensor]:
        """Places of numbers with a gate, and the places that say that they have a value."""
        return self.at[self.opens >= 0], self.opens[self.opens >= 0]

    def _opened(self, chosen: Tensor) -> Tensor:
        """Which numbers (B, Q) have a value of their own by one-hot choices (B, D)."""
        return (self.opens < 0) | (chosen[:, self.opens.clamp_min(0)] > 0.5)

    def _stated(self, values: Tensor, there: Tensor, chosen: Tensor) -> Tensor:
        """Numbers (B, Q), 0 where a zero-inflated one is not `there`, NaN where one is missing by choices (B, D)."""
        missing = (self._flags >= 0) & (chosen[:, self._flags.clamp_min(0)] > 0.5)
        return values.masked_fill(self._inflated & ~there, 0.0).masked_fill(missing, torch.nan)

    def _rounded(self, values: Tensor, low: Tensor, high: Tensor) -> Tensor:
        """Numbers (B, Q) in a range with the digits that the data's have."""
        return torch.round(torch.minimum(torch.maximum(values, low), high) * self._power) / self._power
