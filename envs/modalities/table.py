"""Mixed tables: the user's values outside, one-hot categories and standardised numbers in data space.

A decoded row is soft: a number anywhere in its range, a probability for every category. The classifier and people see the
*nearest valid row*: the likeliest category, whole numbers rounded. A prediction therefore always belongs to the row that is
shown, while steps between frames stay small.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from torch import Tensor

from envs.core.factual import Factual
from envs.errors import ManifoldError
from envs.modalities.cells import Numbers, Values
from envs.modalities.columns import Column, Table, text_of
from envs.modalities.data_frame import Frame, exact_floats
from envs.modalities.rows import RowUnits, Where

MOVED = 0.25  # of a choice's probability: one of which so much has moved is the decoded one


@dataclass
class TableUnits(RowUnits):
    """Units of a mixed table of C columns, encoded in D places.

    A number has one place, standardised (0 if it is missing), and two more, known and missing, if it may be missing. A
    category has one place for each of its values and, last, one for a missing value.

    Attributes:
        table: the description.
        places: first place of each column.
        mean, scale: (C,) of the numbers, 0 and 1 for categories.
        blocks: (first place, number of places) of every choice between categories.
        held: (D,) bool, places that walks do not change.
        kept: (C,) the values of each column, see `envs.modalities.cells`.

    Example:
        >>> from envs.datasets.tables import describe_rows
        >>> rows = np.array([[30, "blue"], [40, "red"], [50, "red"]], dtype=object)
        >>> units = TableUnits.of_table(rows, describe_rows(rows, ["age", "colour"], {"colour": {"kind": "category"}}))
        >>> units.rows(units.inward(rows))[0].tolist()
        [30, 'blue']
    """

    table: Table = field(default_factory=lambda: Table((), ()))
    places: list[int] = field(default_factory=list)
    blocks: list[tuple[int, int]] = field(default_factory=list)
    held: Tensor = field(default_factory=lambda: torch.zeros(0, dtype=torch.bool))
    kept: list[Numbers | Values] = field(default_factory=list)

    @classmethod
    def of_table(
        cls,
        rows: np.ndarray,
        table: Table,
        where: Where = "row {}".format,
        frame: Frame | None = None,
        more: np.ndarray | None = None,
    ) -> TableUnits:
        """Units fitted to rows (N, C) in the user's values.

        Args:
            rows: give the scale of the numbers.
            table: the description of their columns.
            where: from a row's index to its name in errors.
            frame: columns of the data frame, if the rows came as one.
            more: (M, C) further rows with values of categories.

        Raises:
            ManifoldError: see `inward`.
        """
        widths = [column.width for column in table.columns]
        places = [sum(widths[:j]) for j in range(len(widths))]
        size = sum(widths)
        units = cls("table", (size,), [column.name for column in table.columns], table=table, places=places, frame=frame)
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
                units.kept.append(Numbers.of(rows[:, j], values, column, float(units.scale[j])))
            else:
                known = rows[:, j] if more is None or more.shape[1:] != rows.shape[1:] else np.concatenate([rows, more])[:, j]
                units._choices(known, column, where)
                units.kept.append(Values.of(known, column))
        units._index()
        return units

    def _index(self) -> None:
        """Index tables for what is done on every frame."""
        columns = self.table.columns
        numbers = [j for j, column in enumerate(columns) if column.kind == "number"]
        self._columns = torch.tensor(numbers, dtype=torch.long)
        self._numbers_at = torch.tensor([self.places[j] for j in numbers], dtype=torch.long)
        self._power = torch.tensor([10.0 ** self.kept[j].digits for j in numbers], dtype=torch.float64)  # type: ignore[union-attr]
        self._flags = torch.tensor(  # of each number: where its flag for "missing" stands; -1: it has none
            [self.places[j] + 2 if columns[j].missing is not None else -1 for j in numbers], dtype=torch.long
        )
        self._low = torch.tensor([columns[j].low for j in numbers], dtype=torch.float64)
        self._high = torch.tensor([columns[j].high for j in numbers], dtype=torch.float64)
        self._member = torch.zeros(self.data_shape[0], len(self.blocks))
        for k, (first, size) in enumerate(self.blocks):
            self._member[first : first + size, k] = 1.0
        self._is_number = self._member.sum(1) == 0
        self._categories = [(j, self.places[j], columns[j].width) for j in range(len(columns)) if j not in numbers]
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

    def cells(self, raw: object, where: Where = "row {}".format) -> Tensor:
        """See `RowUnits.cells`.

        Raises:
            ManifoldError: other columns; a value that is no number, outside its range, not whole, an unknown category, or
                missing where none was in the data. The message says where.
        """
        rows = np.asarray(self.rows_of(raw), dtype=object)
        if rows.ndim != 2 or rows.shape[1] != len(self.columns) or not len(rows):
            raise ManifoldError(
                f"rows of shape {rows.shape} do not fit: a batch (n, {len(self.columns)}) with the columns {self.columns}"
            )
        cells = np.empty(rows.shape)
        for j, (column, kept) in enumerate(zip(self.table.columns, self.kept, strict=True)):
            if isinstance(kept, Numbers):
                cells[:, j] = self._numbers(rows[:, j], column, where)
            else:
                cells[:, j] = kept.cells(rows[:, j], self._choices(rows[:, j], column, where))
        return torch.from_numpy(cells)

    def encode(self, cells: Tensor) -> Tensor:
        """See `RowUnits.encode`."""
        x = torch.zeros(len(cells), self.data_shape[0])
        if len(self._columns):
            inside = (cells[:, self._columns] - self.mean[self._columns]) / self.scale[self._columns]
            missing, flagged = torch.isnan(inside), self._flags >= 0
            x[:, self._numbers_at] = inside.nan_to_num(0.0).float()
            x[:, self._flags[flagged]] = missing[:, flagged].float()
            x[:, self._flags[flagged] - 1] = (~missing[:, flagged]).float()
        for j, first, _ in self._categories:
            x[torch.arange(len(cells)), first + self.kept[j].place[cells[:, j].long()]] = 1.0  # type: ignore[union-attr]
        return x

    def clipped(self, raw: object, where: Where = "row {}".format) -> tuple[np.ndarray, list[str]]:
        """See `RowUnits.clipped`."""
        rows, moved = super().clipped(raw, where)
        for j, column in enumerate(self.table.columns):
            for row, value in enumerate(rows[:, j] if column.kind == "number" else ()):
                try:
                    number = float(text_of(value))
                except ValueError:  # missing, or no number: `cells` says so
                    continue
                if np.isfinite(number) and not column.low <= number <= column.high:
                    end = np.ceil(column.low) if number < column.low else np.floor(column.high)
                    rows[row, j] = int(end) if column.integer else column.low if number < column.low else column.high
                    moved.append(
                        f"{where(row)}, column {column.name!r}: {text_of(value)} is outside its range {column.low:g} to "
                        f"{column.high:g}; explained as {rows[row, j]:g}"
                    )
        return rows, moved

    def _numbers(self, values: np.ndarray, column: Column, where: Where) -> np.ndarray:
        """Float64 (B,), NaN where missing; checked."""
        texts = [text_of(value) for value in values]
        found = np.empty(len(texts), dtype=object)
        for row, (text, value) in enumerate(zip(texts, values, strict=True)):
            try:
                if text in self.table.missing:
                    found[row] = np.nan
                elif isinstance(value, float | np.floating):
                    found[row] = float(value)
                else:
                    found[row] = int(text) if text.lstrip("+-").isdecimal() else float(text)
            except ValueError:
                raise ManifoldError(f"{where(row)}, column {column.name!r}: {text!r} is not a number") from None
        found = exact_floats(found, column.name, where)
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
            valid = self.encode(self.nearest(x)).to(x.dtype)
        return x + (valid - x).detach() if x.requires_grad else valid

    def _values(self, x: Tensor) -> Tensor:
        """Numbers (B, numbers) in the user's units, float64, in range."""
        inside = torch.clamp(x[:, self._numbers_at], self.low[self._numbers_at], self.high[self._numbers_at]).double()
        values = inside * self.scale[self._columns] + self.mean[self._columns]
        return torch.minimum(torch.maximum(values, self._low), self._high)

    def nearest(self, x: Tensor) -> Tensor:
        """See `RowUnits.nearest`: the likeliest category, numbers in range, rounded as the data's are."""
        chosen = self._chosen(x)
        cells = torch.zeros(len(x), len(self.columns), dtype=torch.float64)
        if len(self._columns):
            cells[:, self._columns] = self._rounded(self._values(x)).masked_fill(self._missing(chosen), torch.nan)
        for j, first, width in self._categories:
            cells[:, j] = self.kept[j].usual[chosen[:, first : first + width].argmax(1)].double()  # type: ignore[union-attr]
        return cells

    def since(self, x: Tensor, factual: Factual) -> Tensor:
        """See `RowUnits.since`: the input's own number plus what the frame adds; the input's own value of a category."""
        cells, chosen = self.nearest(x), self._chosen(x)
        own = factual.cells.expand_as(cells)
        if len(self._columns):
            at, columns = self._numbers_at, self._columns
            added = (x[:, at].double() - factual.x[:, at].double()) * self.scale[columns]
            known = own[:, columns]
            low, high = torch.minimum(self._low, known), torch.maximum(self._high, known)
            moved = self._rounded(torch.minimum(torch.maximum(known + added, low), high))
            moved = torch.where(added == 0, known, moved)
            gone = self._missing(chosen)
            moved = torch.where(torch.isnan(known), cells[:, columns], moved).masked_fill(gone, torch.nan)
            cells[:, columns] = moved
        for j, first, width in self._categories:
            place = self.kept[j].place[own[:, j].long()]  # type: ignore[union-attr]
            same = chosen[:, first : first + width].argmax(1) == place
            cells[:, j] = torch.where(same, own[:, j], cells[:, j])
        return cells

    def values(self, cells: Tensor) -> np.ndarray:
        """See `RowUnits.values`: whatever stood in the user's own cells, (B, C) objects."""
        table = np.empty((len(cells), len(self.columns)), dtype=object)
        for j, kept in enumerate(self.kept):
            table[:, j] = kept.values(cells[:, j].tolist())
        return table

    @property
    def unseen(self) -> list[Any]:
        """See `Units.unseen`: how the categories are written."""
        return [list(map(repr, kept.own)) for kept in self.kept if isinstance(kept, Values)]

    def tensor(self, cells: Tensor) -> Tensor:
        """See `RowUnits.tensor`: encoded rows."""
        return self.encode(cells)

    def shown(self, x: Tensor, factual: Factual | None = None) -> dict[str, Any]:
        """See `Units.shown`; what is missing is called so."""
        cells = self.exact(x.detach().cpu().reshape(1, -1), factual)[0].tolist()
        return {name: kept.shown(cell) for name, kept, cell in zip(self.columns, self.kept, cells, strict=True)}

    def _chosen(self, x: Tensor) -> Tensor:
        """One category each, (B, D) one-hot; the places of numbers hold 0."""
        chosen = torch.zeros_like(x)
        if len(self._first):
            chosen.scatter_(1, (x[:, self._block] + self._padding).argmax(2) + self._first, 1.0)
        return chosen

    def _missing(self, chosen: Tensor) -> Tensor:
        """Which numbers (B, numbers) are missing, by the flags among one-hot choices (B, D)."""
        return (self._flags >= 0) & (chosen[:, self._flags.clamp_min(0)] > 0.5)

    def _rounded(self, values: Tensor) -> Tensor:
        """Numbers (B, numbers) with the digits that the data's have."""
        return torch.round(values * self._power) / self._power

    # ---- walks ---------------------------------------------------------------------------------------------------

    @property
    def column_of(self) -> Tensor:
        """See `RowUnits.column_of`."""
        widths = torch.tensor([column.width for column in self.table.columns])
        return torch.arange(len(widths)).repeat_interleave(widths)

    def shrunk(self, change: Tensor) -> Tensor:
        """See `RowUnits.shrunk`: shares of categories have no dead zone, the likeliest one is chosen anyway."""
        return torch.where(self._is_number, super().shrunk(change), change)

    def faded(self, moved: Tensor) -> Tensor:
        """See `RowUnits.faded`; of a choice between categories, by the probability that has moved."""
        shares = 0.5 * ((moved.abs() @ self._member) @ self._member.T) / MOVED
        return torch.where(self._is_number, super().faded(moved), shares.clamp_max(1))

    def bounded(self, frame: Tensor, x: Tensor) -> Tensor:
        """See `RowUnits.bounded`; shares of categories are positive and sum to 1, and what a walk may not change is held."""
        frame = super().bounded(frame, x)
        frame = frame / ((frame @ self._member) @ self._member.T + self._is_number)
        return self.hold(frame, x)

    @property
    def holds(self) -> bool:
        """See `Units.holds`."""
        return self._holds

    def hold(self, frame: Tensor, factual: Tensor) -> Tensor:
        """Frames (B, D) with the input's own values where a walk may not change them; origin (B, D) or (D,)."""
        if not self._holds:
            return frame
        frame = torch.where(self.held, factual, frame)
        for places, bound in ((self._up, torch.maximum), (self._down, torch.minimum)):  # type: ignore[attr-defined]
            if len(places):
                frame[:, places] = bound(frame[:, places], factual.expand_as(frame)[:, places])
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

    def cells_asker(self, classifier: Any, input_shape: Sequence[int]) -> Any:
        """See `RowUnits.cells_asker`; encoded rows for a classifier of D features."""
        if tuple(input_shape) != (len(self.columns),):
            return lambda cells: self.encode(cells).numpy()
        return super().cells_asker(classifier, input_shape)


def _complaint(value: float, text: str, column: Column) -> str:
    if np.isnan(value):
        return f"{text!r} means a missing value, but no value of this column was missing in the data"
    if column.integer and value != round(value) and column.low <= value <= column.high:
        return f"{text} is not a whole number"
    return f"{text} is outside its range {column.low:g} to {column.high:g}"
