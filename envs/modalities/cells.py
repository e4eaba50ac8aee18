"""The cells of one column of a mixed table: the user's own values as float64, and back without loss.

A number is its own cell (NaN: missing). The cell of a category is its index among the *values* in the data: " Private" and
"Private" are two values of one category. A walk that changes the category uses the most frequent value of the new one.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from envs.errors import ManifoldError
from envs.modalities.columns import Column, category_places, text_of
from envs.modalities.data_frame import exact_floats
from envs.modalities.dates import Calendar, numbers_of
from envs.modalities.scales import unit_of

Where = Callable[[int], str]
MOST_DIGITS = 12  # after the point
FINE = 5  # digits of a changed number below the column's standard deviation


@dataclass(frozen=True)
class Numbers:
    """A column of numbers.

    Attributes:
        kind: int or float, the type of the user's values.
        digits: of changed numbers, after the decimal point.
        calendar: from numbers to the user's dates; None for numbers.

    Example:
        >>> Numbers(int, 0).values([3.0])
        [3]
    """

    kind: type
    digits: int
    calendar: Calendar | None = None

    @classmethod
    def of(cls, raw: np.ndarray, values: np.ndarray, column: Column) -> Numbers:
        """The column of the user's values (N,), which are the numbers `values`."""
        if column.date:
            digits = 0 if column.integer else _digits(values[~np.isnan(values)], column)
            return cls(float, digits, Calendar.of(raw.tolist(), str(column.unit), column.name))
        own = [value for value, number in zip(raw, values, strict=True) if not math.isnan(number)]
        whole = column.integer and not any(isinstance(value, float | np.floating) for value in own)
        return cls(int if whole else float, 0 if column.integer else _digits(values[~np.isnan(values)], column))

    def values(self, cells: Sequence[float]) -> list[Any]:
        """The user's values of cells (B,)."""
        back = self.kind if self.calendar is None else self.calendar.value
        return [cell if math.isnan(cell) else back(cell) for cell in cells]

    def shown(self, cell: float) -> Any:
        """One cell for people."""
        if self.calendar is not None and not math.isnan(cell):
            return self.calendar.shown(cell)
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
        place_of = category_places(column.categories)
        own = list(first.values())
        place = [len(column.categories) if (k := place_of(value)) is None else k for value in own]
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
    """The identity of a value: True is not 1, but 1 is 1.0; every NaN is the same."""
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


def _digits(values: np.ndarray, column: Column) -> int:
    """Digits after the point that hold all of the data's numbers, but no more than a change of this column needs."""
    needed = next((d for d in range(MOST_DIGITS) if (np.round(values, d) == values).all()), MOST_DIGITS)
    spread = float(values.std()) if column.scale == "linear" else unit_of(values)
    spread = spread if spread > 1e-9 * np.abs(values).max() else 1.0
    return min(needed, max(0, FINE - math.floor(math.log10(spread))))


def ends_of(column: Column, kept: Numbers) -> tuple[float, float]:
    """Least and largest number of a column that changes may bring, the zeros of a zero-inflated one apart.

    A bound that is not whole cannot be reached by a whole number.
    """
    low, high = (math.ceil(column.low), math.floor(column.high)) if column.integer else (column.low, column.high)
    return max(low, 10.0**-kept.digits) if column.zero_inflated and low == 0 else float(low), float(high)


def read_numbers(values: np.ndarray, column: Column, unknown: Sequence[str], where: Where) -> np.ndarray:
    """Float64 (B,) of the user's values, NaN where missing; checked.

    Args:
        values: (B,) in the user's own types.
        column: the description.
        unknown: texts that mean "missing".
        where: from a row's index to its name in errors.

    Raises:
        ManifoldError: a value that is not a number, not in the column's range, not whole, or missing where none was.
    """
    texts = [text_of(value) for value in values]
    if column.date:
        return _within(numbers_of(values.tolist(), str(column.unit), column.name, where), texts, column, where)
    found = np.empty(len(texts), dtype=object)
    for row, (text, value) in enumerate(zip(texts, values, strict=True)):
        try:
            if text in unknown:
                found[row] = np.nan
            elif isinstance(value, float | np.floating):
                found[row] = float(value)
            else:
                found[row] = int(text) if text.lstrip("+-").isdecimal() else float(text)
        except ValueError:
            raise ManifoldError(f"{where(row)}, column {column.name!r}: {text!r} is not a number") from None
    return _within(exact_floats(found, column.name, where), texts, column, where)


def _within(found: np.ndarray, texts: Sequence[str], column: Column, where: Where) -> np.ndarray:
    """The numbers (B,), if the column can hold them all."""
    missing = np.isnan(found)
    wrong = (missing & (column.missing is None)) | np.isinf(found)
    wrong |= ~missing & ((found < column.low) | (found > column.high))
    wrong |= ~missing & column.integer & (found != np.round(found))
    if wrong.any():
        row = int(wrong.argmax())
        raise ManifoldError(f"{where(row)}, column {column.name!r}: {_complaint(found[row], texts[row], column)}")
    return found


def read_choices(values: np.ndarray, column: Column, unknown: Sequence[str], where: Where) -> np.ndarray:
    """Index of each value's category (B,), the missing one last; checked. Arguments as of `read_numbers`.

    Raises:
        ManifoldError: a value that is none of the categories.
    """
    place_of = category_places(column.categories)
    found = np.empty(len(values), dtype=np.int64)
    for row, value in enumerate(values):
        text, place = text_of(value), place_of(value)
        if place is None and column.missing is not None and text in unknown:
            place = len(column.categories)
        if place is None:
            known = ", ".join(map(repr, column.categories[:12])) + (" ..." if len(column.categories) > 12 else "")
            raise ManifoldError(f"{where(row)}, column {column.name!r}: {text!r} is none of its categories {known}")
        found[row] = place
    return found


def _complaint(value: float, text: str, column: Column) -> str:
    if np.isnan(value):
        return f"{text!r} means a missing value, but no value of this column was missing in the data"
    if column.integer and value != round(value) and column.low <= value <= column.high:
        return f"{text} is not a whole number"
    return f"{text} is outside its range {column.text_of(column.low)} to {column.text_of(column.high)}"
