"""The two edges of a mixed table: the user's own values outside, one-hot and standardised numbers inside.

Inside, a decoded row is soft: a number anywhere in its range, a probability for every category. What the classifier is asked
and what people are shown is the *nearest valid row*: the likeliest category, whole numbers rounded. So an answer always
belongs to the very row that is shown, while steps between frames stay small.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from torch import Tensor

from envs.datasets.table_columns import Column, Where, text_of
from envs.datasets.tables import Table
from envs.datasets.units import Units
from envs.errors import ManifoldError


@dataclass
class TableUnits(Units):
    """Units of a mixed table of C columns, encoded in D places.

    A number takes one place, standardised (0 where it is missing); then, if it may be missing, two for known and missing. A
    category takes one place each for its categories and, last, for the missing one.

    Attributes:
        table: the description.
        places: first place of each column.
        mean, scale: (C,) of the numbers, 0 and 1 for categories.
        low, high: (D,) bounds of every place.
        blocks: (first place, number of places) of every choice between categories.
        held: (D,) bool, places that walks leave as they are in the input.
    """

    table: Table = field(default_factory=lambda: Table((), ()))
    places: list[int] = field(default_factory=list)
    low: Tensor = field(default_factory=lambda: torch.zeros(0))
    high: Tensor = field(default_factory=lambda: torch.zeros(0))
    blocks: list[tuple[int, int]] = field(default_factory=list)
    held: Tensor = field(default_factory=lambda: torch.zeros(0, dtype=torch.bool))

    @classmethod
    def of_table(cls, rows: np.ndarray, table: Table, where: Where = "row {}".format) -> TableUnits:
        """Units fitted to rows (N, C) in the user's values.

        Raises:
            ManifoldError: see `inward`.
        """
        widths = [column.width for column in table.columns]
        places = [sum(widths[:j]) for j in range(len(widths))]
        size = sum(widths)
        units = cls("table", (size,), [column.name for column in table.columns], table=table, places=places)
        units.mean, units.scale = torch.zeros(len(widths), dtype=torch.float64), torch.ones(len(widths), dtype=torch.float64)
        units.low, units.high = torch.zeros(size), torch.ones(size)
        units.held = torch.zeros(size, dtype=torch.bool)
        for j, (column, first) in enumerate(zip(table.columns, places, strict=True)):
            units.held[first : first + column.width] = column.immutable
            number = column.kind == "number"
            if column.width > number:
                units.blocks.append((first + number, column.width - number))
            if number:
                values = units._numbers(rows[:, j], column, where)
                spread = float(np.nanstd(values))
                units.mean[j] = float(np.nanmean(values))
                units.scale[j] = spread if spread > 1e-9 * np.nanmax(np.abs(values)) else 1.0
                # A bound that is not whole cannot be reached by a whole number.
                low = np.ceil(column.low) if column.integer else column.low
                high = np.floor(column.high) if column.integer else column.high
                units.low[first] = float((low - units.mean[j]) / units.scale[j])
                units.high[first] = float((high - units.mean[j]) / units.scale[j])
        units._index()
        units.inward(rows, where)  # refuses what does not fit
        return units

    def _index(self) -> None:
        """Index tables for what is done on every frame."""
        columns = self.table.columns
        numbers = [j for j, column in enumerate(columns) if column.kind == "number"]
        self._columns = torch.tensor(numbers, dtype=torch.long)
        self._numbers_at = torch.tensor([self.places[j] for j in numbers], dtype=torch.long)
        self._whole = torch.tensor([columns[j].integer for j in numbers], dtype=torch.bool)
        self._flags = torch.tensor(  # of each number: where its flag for "missing" stands; -1: it has none
            [self.places[j] + 2 if columns[j].missing is not None else -1 for j in numbers], dtype=torch.long
        )
        widest = max((size for _, size in self.blocks), default=0)
        self._first = torch.tensor([first for first, _ in self.blocks], dtype=torch.long)
        self._block = torch.zeros(len(self.blocks), widest, dtype=torch.long)
        self._padding = torch.full((len(self.blocks), widest), -torch.inf)
        for k, (first, size) in enumerate(self.blocks):
            self._block[k, :size] = torch.arange(first, first + size)
            self._padding[k, :size] = 0.0
        for name in ("up", "down"):
            chosen = [self.places[j] for j in numbers if columns[j].only == name]
            setattr(self, f"_{name}", torch.tensor(chosen, dtype=torch.long))
        self._holds = bool(self.held.any() or len(self._up) or len(self._down))  # type: ignore[attr-defined]

    # ---- in ------------------------------------------------------------------------------------------------------

    def inward(self, raw: object, where: Where = "row {}".format) -> Tensor:
        """Encoded rows (B, D) of rows (B, C) in the user's values: arrays, lists, a data frame, or dictionaries by column.

        Raises:
            ManifoldError: other columns; a value that is no number, outside its range, not whole, an unknown category, or
                missing where none was in the data. The message says where.
        """
        rows = self._rows_of(raw)
        x = torch.zeros(len(rows), self.data_shape[0])
        for j, (column, first) in enumerate(zip(self.table.columns, self.places, strict=True)):
            if column.kind == "number":
                values = self._numbers(rows[:, j], column, where)
                missing = np.isnan(values)
                inside = (values - float(self.mean[j])) / float(self.scale[j])  # type: ignore[index]
                x[:, first] = torch.from_numpy(np.where(missing, 0.0, inside)).float()
                if column.missing is not None:
                    x[:, first + 1], x[:, first + 2] = torch.from_numpy(~missing).float(), torch.from_numpy(missing).float()
            else:
                chosen = torch.from_numpy(self._choices(rows[:, j], column, where))
                x[torch.arange(len(rows)), first + chosen] = 1.0
        return x

    def clipped(self, raw: object, where: Where = "row {}".format) -> tuple[np.ndarray, list[str]]:
        """Rows (B, C) with numbers outside their column's range moved to its end, and what was moved, in words."""
        rows, moved = self._rows_of(raw).copy(), []
        for j, column in enumerate(self.table.columns):
            for row, value in enumerate(rows[:, j] if column.kind == "number" else ()):
                try:
                    number = float(text_of(value))
                except ValueError:  # missing, or no number: `inward` says so
                    continue
                if np.isfinite(number) and not column.low <= number <= column.high:
                    end = np.ceil(column.low) if number < column.low else np.floor(column.high)
                    rows[row, j] = int(end) if column.integer else column.low if number < column.low else column.high
                    moved.append(
                        f"{where(row)}, column {column.name!r}: {text_of(value)} is outside its range {column.low:g} to "
                        f"{column.high:g}; explained as {rows[row, j]:g}"
                    )
        return rows, moved

    def _rows_of(self, raw: Any) -> np.ndarray:
        """(B, C) object array of whatever holds rows."""
        if hasattr(raw, "columns") and hasattr(raw, "to_numpy"):
            lacking = [name for name in self.columns if name not in list(raw.columns)]
            if lacking:
                raise ManifoldError(f"the data frame lacks the columns {lacking}")
            return np.asarray(raw[self.columns].to_numpy(dtype=object))
        if isinstance(raw, list | tuple) and raw and all(isinstance(row, dict) for row in raw):
            lacking = [name for name in self.columns if name not in raw[0]]
            if lacking:
                raise ManifoldError(f"the rows lack the columns {lacking}")
            raw = [[row.get(name) for name in self.columns] for row in raw]
        rows = np.asarray(raw, dtype=object)
        if rows.ndim != 2 or rows.shape[1] != len(self.columns) or not len(rows):
            raise ManifoldError(
                f"rows of shape {rows.shape} do not fit: a batch (n, {len(self.columns)}) with the columns {self.columns}"
            )
        return rows

    def _numbers(self, values: np.ndarray, column: Column, where: Where) -> np.ndarray:
        """Float64 (B,), NaN where missing; checked."""
        texts = [text_of(value) for value in values]
        found = np.empty(len(texts))
        for row, text in enumerate(texts):
            try:
                found[row] = np.nan if text in self.table.missing else float(text)
            except ValueError:
                raise ManifoldError(f"{where(row)}, column {column.name!r}: {text!r} is not a number") from None
        missing = np.isnan(found)
        wrong = (missing & (column.missing is None)) | np.isinf(found)
        wrong |= ~missing & ((found < column.low) | (found > column.high))
        wrong |= ~missing & column.integer & (found != np.round(found))
        if wrong.any():
            row = int(wrong.argmax())
            raise ManifoldError(f"{where(row)}, column {column.name!r}: {_complaint(found[row], texts[row], column)}")
        return found

    def _choices(self, values: np.ndarray, column: Column, where: Where) -> np.ndarray:
        """Index of each value's category (B,); checked."""
        index = {name: k for k, name in enumerate(column.categories)}
        if column.missing is not None:
            index |= {text: len(column.categories) for text in self.table.missing if text not in index}
        found = np.empty(len(values), dtype=np.int64)
        for row, value in enumerate(values):
            text = text_of(value)
            if text not in index:
                known = ", ".join(map(repr, column.categories[:12])) + (" ..." if len(column.categories) > 12 else "")
                raise ManifoldError(f"{where(row)}, column {column.name!r}: {text!r} is none of its categories {known}")
            found[row] = index[text]
        return found

    # ---- out -----------------------------------------------------------------------------------------------------

    def outward(self, x: Tensor) -> Tensor:
        """The nearest valid rows of soft ones, encoded (B, D) or (D,): in range, whole where whole, one category each.

        The gradient passes as if nothing had been rounded (a straight-through estimate, for white-box walkers alone).
        """
        if x.ndim == 1:
            return self.outward(x[None])[0]
        with torch.no_grad():
            valid = torch.zeros_like(x)
            if len(self._first):
                chosen = (x[:, self._block] + self._padding).argmax(2) + self._first
                valid.scatter_(1, chosen, 1.0)
            if len(self._columns):
                values = self._values(x)
                inside = (values - self.mean[self._columns]) / self.scale[self._columns]  # type: ignore[index]
                missing = (self._flags >= 0) & (valid[:, self._flags.clamp_min(0)] > 0.5)
                valid[:, self._numbers_at] = inside.to(x.dtype).masked_fill_(missing, 0.0)
        return x + (valid - x).detach() if x.requires_grad else valid

    def _values(self, x: Tensor) -> Tensor:
        """Numbers (B, numbers) in the user's units, float64: in range, and whole where they are whole."""
        inside = torch.clamp(x[:, self._numbers_at], self.low[self._numbers_at], self.high[self._numbers_at]).double()
        values = inside * self.scale[self._columns] + self.mean[self._columns]  # type: ignore[index]
        return torch.where(self._whole, values.round(), values)

    def rows(self, x: Tensor) -> np.ndarray:
        """The nearest valid rows in the user's own values, (B, C) objects: int, float to six digits, text.

        A missing category is the user's own text for it, a missing number is NaN.
        """
        valid = self.outward(x)
        table = np.empty((len(x), len(self.columns)), dtype=object)
        numbers = self._values(valid).tolist()
        order = {int(j): k for k, j in enumerate(self._columns)}
        for j, (column, first) in enumerate(zip(self.table.columns, self.places, strict=True)):
            if column.kind == "number":
                kind = int if column.integer else _six_digits
                table[:, j] = [kind(row[order[j]]) for row in numbers]
                if column.missing is not None:
                    table[valid[:, first + 2].numpy() > 0.5, j] = float("nan")
            else:
                names = [*column.categories, column.missing]
                table[:, j] = [names[k] for k in valid[:, first : first + column.width].argmax(1).tolist()]
        return table

    def shown(self, x: Tensor) -> dict[str, Any]:
        """One row (D,) for people: column -> value; what is missing is called so."""
        row = self.rows(x.detach().cpu().reshape(1, -1))[0]
        texts = zip(self.table.columns, row, strict=True)
        return {c.name: "missing" if value == c.missing or value != value else value for c, value in texts}

    @property
    def holds(self) -> bool:
        """See `Units.holds`."""
        return self._holds

    def hold(self, frame: Tensor, origin: Tensor) -> Tensor:
        """Frames (B, D) with the input's own values where a walk may not change them; origin (B, D) or (D,)."""
        if not self._holds:
            return frame
        frame = torch.where(self.held, origin, frame)
        for places, bound in ((self._up, torch.maximum), (self._down, torch.minimum)):  # type: ignore[attr-defined]
            if len(places):
                frame[:, places] = bound(frame[:, places], origin.expand_as(frame)[:, places])
        return frame

    # ---- the classifier's side -------------------------------------------------------------------------------------

    def input_shape(self, classifier: Any, asked: Sequence[int] | None) -> tuple[int, ...]:
        """What a classifier is shown: (C,), the user's own rows, or (D,), encoded ones.

        Unless asked for, a torch module is shown encoded rows, whatever else the user's own ones, but for an estimator that
        was fitted to D features.
        """
        own, encoded = (len(self.columns),), tuple(self.data_shape)
        if asked is not None:
            if tuple(asked) not in (own, encoded):
                raise ManifoldError(
                    f"input_shape {tuple(asked)} fits neither the user's own rows {own} nor encoded ones {encoded}"
                )
            return tuple(asked)
        if isinstance(classifier, torch.nn.Module) or getattr(classifier, "n_features_in_", own[0]) == encoded[0] != own[0]:
            return encoded
        return own

    def asker(self, classifier: Any, input_shape: Sequence[int]) -> Callable[[Tensor], Any]:
        """The function that makes what `classifier` is shown of encoded rows: numpy rows, or a data frame for an estimator
        that was fitted to one (it knows its columns' names)."""
        if tuple(input_shape) != (len(self.columns),):
            return lambda x: self.outward(x).numpy()
        names = getattr(classifier, "feature_names_in_", None)
        if names is None:
            return self.rows
        lacking = [name for name in names if name not in self.columns]
        if lacking:
            raise ManifoldError(f"the classifier was fitted to the columns {list(names)}; this table lacks {lacking}")
        order = list(names)
        return lambda x: _data_frame(self.rows(x), self.columns)[order]


def _data_frame(rows: np.ndarray, names: Sequence[str]) -> Any:
    """A pandas data frame with each column's own type; who fitted an estimator to one has pandas."""
    import pandas

    return pandas.DataFrame({name: list(rows[:, j]) for j, name in enumerate(names)})


def _six_digits(value: float) -> float:
    return float(f"{value:.6g}")


def _complaint(value: float, text: str, column: Column) -> str:
    if np.isnan(value):
        return f"{text!r} means a missing value, but no value of this column was missing in the data"
    if column.integer and value != round(value) and column.low <= value <= column.high:
        return f"{text} is not a whole number"
    return f"{text} is outside its range {column.low:g} to {column.high:g}"
