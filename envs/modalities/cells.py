"""The cells of one column of a mixed table: the user's own values as float64, and back without loss.

A number is its own cell (NaN: missing). The cell of a category is its index among the *values* in the data: " Private" and
"Private" are two values of one category. A walk that changes the category uses the most frequent value of the new one.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from envs.modalities.columns import Column, text_of

MOST_DIGITS = 12  # after the point
FINE = 5  # digits of a changed number below the column's standard deviation


@dataclass(frozen=True)
class Numbers:
    """A column of numbers.

    Attributes:
        kind: int or float, the type of the user's values.
        digits: of changed numbers, after the decimal point.

    Example:
        >>> Numbers(int, 0).values([3.0])
        [3]
    """

    kind: type
    digits: int

    @classmethod
    def of(cls, raw: np.ndarray, values: np.ndarray, column: Column, scale: float) -> Numbers:
        """The column of the user's values (N,), which are the numbers `values`."""
        own = [value for value, number in zip(raw, values, strict=True) if not math.isnan(number)]
        whole = column.integer and not any(isinstance(value, float | np.floating) for value in own)
        return cls(int if whole else float, 0 if column.integer else _digits(values[~np.isnan(values)], scale))

    def values(self, cells: Sequence[float]) -> list[Any]:
        """The user's values of cells (B,)."""
        return [cell if math.isnan(cell) else self.kind(cell) for cell in cells]

    def shown(self, cell: float) -> Any:
        """One cell for people."""
        return "missing" if math.isnan(cell) else int(cell) if self.digits == 0 and cell.is_integer() else cell


@dataclass(frozen=True, eq=False)
class Values:
    """A column of categories.

    Attributes:
        own: (V,) the values in the data.
        place: (V,) the category of each value, the missing one last.
        usual: (categories,) index of the most frequent value of each.
        names: (categories,) for people.
    """

    own: list[Any]
    place: Tensor
    usual: Tensor
    names: list[str]

    @classmethod
    def of(cls, raw: np.ndarray, column: Column) -> Values:
        """The column of the user's values (N,); each is one of the column's categories, or missing."""
        counts: Counter[Any] = Counter()
        first: dict[Any, Any] = {}
        for value in raw:
            key = _key(value)
            counts[key] += 1
            first.setdefault(key, value)
        index = {name: k for k, name in enumerate(column.categories)}
        own = list(first.values())
        place = [index.get(text_of(value), len(column.categories)) for value in own]
        often = [counts[key] for key in first]
        names = [*column.categories, *([] if column.missing is None else ["missing"])]
        usual = []
        for k, name in enumerate(names):
            there = [v for v, at in enumerate(place) if at == k]
            if not there:  # described, and in no row
                own, place, often = [*own, _alike(name, own)], [*place, k], [*often, 0]
                there = [len(own) - 1]
            usual.append(max(there, key=lambda v: often[v]))
        return cls(own, torch.tensor(place), torch.tensor(usual), names)

    def cells(self, raw: np.ndarray, chosen: np.ndarray) -> list[int]:
        """Cells (B,) of the user's values, whose categories are `chosen` (B,): their own where the data have the very value,
        else the most frequent one of the category."""
        known = {_key(value): v for v, value in enumerate(self.own)}
        return [
            known[key] if (key := _key(value)) in known and int(self.place[known[key]]) == k else int(self.usual[k])
            for value, k in zip(raw, chosen.tolist(), strict=True)
        ]

    def values(self, cells: Sequence[float]) -> list[Any]:
        """The user's values of cells (B,)."""
        return [self.own[int(cell)] for cell in cells]

    def shown(self, cell: float) -> Any:
        """One cell for people."""
        return self.names[int(self.place[int(cell)])]


def _key(value: Any) -> Any:
    """What tells a value from others: True is not 1, but 1 is 1.0; every NaN is the same."""
    value = value.item() if isinstance(value, np.generic) else value
    if isinstance(value, float) and math.isnan(value):
        return ("nan",)
    return (isinstance(value, bool), value)


def _alike(name: str, own: Sequence[Any]) -> Any:
    """A category that no row has, as the others are written."""
    kinds = {type(value) for value in own}
    if kinds <= {bool, np.bool_} and kinds and name in ("True", "False"):
        return name == "True"
    for kind in (int, float):
        if kinds and all(issubclass(k, kind | np.number) for k in kinds):
            try:
                return kind(name)
            except ValueError:
                continue
    return name


def _digits(values: np.ndarray, scale: float) -> int:
    """Digits after the point that hold all of the data's numbers, but no more than a change of this column needs."""
    needed = next((d for d in range(MOST_DIGITS) if (np.round(values, d) == values).all()), MOST_DIGITS)
    return min(needed, max(0, FINE - math.floor(math.log10(scale))))
