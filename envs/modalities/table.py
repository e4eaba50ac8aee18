"""Mixed tables: the user's values outside, one-hot categories and standardised numbers in data space.

A decoded row is soft: a number anywhere in its range, a probability for every category. The classifier and people see the
*nearest valid row*: the likeliest category, whole numbers rounded. A prediction therefore always belongs to the row that is
shown, while steps between frames stay small.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import torch
from torch import Tensor

from envs.core.factual import Factual
from envs.errors import ManifoldError
from envs.modalities.cells import Numbers, Values, ends_of, read_choices, read_numbers
from envs.modalities.columns import Column, Table, text_of
from envs.modalities.data_frame import Frame
from envs.modalities.gates import Gate, gates_of, restricted
from envs.modalities.linked import Linked
from envs.modalities.rows import RowUnits, Where
from envs.modalities.scales import Scaled, unit_of

MOVED = 0.25  # of a choice's probability: one of which so much has moved is the decoded one


@dataclass
class TableUnits(RowUnits):
    """Units of a mixed table of C columns, encoded in D places.

    A number has one place, standardised on its scale, and a gate (see `envs.modalities.gates`) if it may be missing or is
    zero-inflated; the place holds 0 where it has no value of its own. A category has one place for each of its values and,
    last, one for a missing value. A linked column has no place: another column's category determines its value.

    Attributes:
        table: the description.
        places: first place of each column.
        mean, scale: (C,) of the scaled numbers, 0 and 1 for categories.
        gates: choices beside numbers.
        links: linked columns.
        allowed: first place of a choice -> (size, size) bool, the choices that walks from a choice may reach; not listed: all.
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
    gates: list[Gate] = field(default_factory=list)
    links: list[Linked] = field(default_factory=list)
    allowed: dict[int, Tensor] = field(default_factory=dict)

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
        units.gates = gates_of(table.columns, places)
        known = rows if more is None or more.shape[1:] != rows.shape[1:] else np.concatenate([rows, more])
        ends, pitch = [(0.0, 1.0)] * len(widths), [1.0] * len(widths)
        for j, (column, first) in enumerate(zip(table.columns, places, strict=True)):
            if column.kind == "number":
                values = read_numbers(rows[:, j], column, table.missing, where)
                units.kept.append(Numbers.of(rows[:, j], values, column))
                if column.linked_to is None:
                    there = values[~np.isnan(values) & ~(column.zero_inflated & (values == 0))]
                    ends[j], pitch[j] = ends_of(column, there), unit_of(there)
                    units._standardise(j, there, ends[j], Scaled([column.scale], pitch[j : j + 1]))
            else:
                read_choices(known[:, j], column, table.missing, where)
                units.kept.append(Values.of(known[:, j], column))
                units.blocks += [(first, column.width)] if column.linked_to is None else []
        units.blocks = sorted([*units.blocks, *((gate.first, gate.size) for gate in units.gates)])
        numbers = [j for j, column in enumerate(table.columns) if column.kind == "number" and column.linked_to is None]
        units._index(numbers, [ends[j] for j in numbers])
        units.scales = Scaled([table.columns[j].scale for j in numbers], [pitch[j] for j in numbers])
        for j, column in enumerate(table.columns):
            units._link(j, known)
            units._rule(j, column)
        return units

    def _standardise(self, j: int, there: np.ndarray, ends: tuple[float, float], scaled: Scaled) -> None:
        """Mean, scale and range of column j, whose numbers are `there`, on their scale."""
        values = scaled.forward(torch.from_numpy(there)[:, None]).numpy()[:, 0] if len(there) else np.zeros(1)
        spread = float(values.std())
        self.mean[j] = float(values.mean())
        self.scale[j] = spread if spread > 1e-9 * np.abs(values).max() else 1.0
        inside = (scaled.forward(torch.tensor(ends, dtype=torch.float64)[:, None])[:, 0] - self.mean[j]) / self.scale[j]
        self.low[self.places[j]], self.high[self.places[j]] = inside.tolist()

    def _link(self, j: int, rows: np.ndarray) -> None:
        """Remember the values of column j, if it is linked, for the categories of its head in the user's rows (N, C)."""
        if (name := self.table.columns[j].linked_to) is None:
            return
        head, unknown = self.columns.index(name), self.table.missing
        chosen = read_choices(rows[:, head], self.table.columns[head], unknown, "row {}".format)
        own, kept = rows[:, j], self.kept[j]
        if isinstance(kept, Numbers):
            cells = read_numbers(own, self.table.columns[j], unknown, "row {}".format)
        else:
            cells = kept.usual[read_choices(own, self.table.columns[j], unknown, "row {}".format)].double().numpy()
        self.links.append(Linked.of(j, head, chosen, cells, self.table.columns[head].width))

    def _rule(self, j: int, column: Column) -> None:
        """Restrict what walks may do with column j: immutable, or one way."""
        if column.kind == "number" and column.linked_to is None or column.immutable:
            first, width = self.places[j], 1 if column.kind == "number" else column.width
            self.held[first : first + min(width, column.width)] |= column.immutable
        for gate in self.gates:
            if j in gate.members:
                self._allow(gate.first, gate.allowed(j, column))
        for link in self.links:
            if j == link.column:
                self._allow(self.places[link.head], link.allowed(column.immutable, column.only))
        self._holds = bool(self.held.any() or self.allowed or any(len(places) for places, _, _ in self._one_way))

    def _allow(self, first: int, allowed: Tensor) -> None:
        """Leave out choices at a place from what walks may reach."""
        allowed = allowed & self.allowed.get(first, torch.ones_like(allowed))
        if not allowed.all():
            self.allowed = {**self.allowed, first: allowed}
        if int(allowed.sum()) == len(allowed):  # none but the input's own
            self.held = self.held.clone()
            self.held[first : first + len(allowed)] = True

    def fix(self, j: int) -> None:
        """Hold column j in all walks from now on, as if it were immutable."""
        self.held = self.held.clone()
        self._rule(j, replace(self.table.columns[j], immutable=True))

    def narrow(self, j: int, low: float, high: float) -> None:
        """Hold the numbers of column j in a range from now on; an input's own number may stay outside of it."""
        for link in self.links:
            if link.column == j:
                self._allow(self.places[link.head], link.within(low, high))
        if j not in self._columns.tolist():
            return self._rule(j, self.table.columns[j])
        k, first = self._columns.tolist().index(j), self.places[j]
        self.low, self.high, self._low, self._high = (t.clone() for t in (self.low, self.high, self._low, self._high))
        self._low[k], self._high[k] = max(float(self._low[k]), low), min(float(self._high[k]), high)
        ends = torch.stack([self._low[k], self._high[k]])[:, None].expand(2, len(self._columns))
        inside = (self.scales.forward(ends)[:, k] - self.mean[j]) / self.scale[j]
        self.low[first], self.high[first] = inside.tolist()
        for gate in self.gates:
            if j in gate.members and gate.inflated:
                self._allow(gate.first, gate.within(j, low <= 0 <= high, float(self._low[k]) <= float(self._high[k])))
        return self._rule(j, self.table.columns[j])

    @property
    def opens(self) -> list[list[int]]:
        """(place of a number, place whose choice says that it has a value) of numbers with a gate."""
        return [[self.places[j], gate.first + k] for gate in self.gates for k, j in enumerate(gate.members)]

    def places_of(self, j: int) -> list[int]:
        """The places of an encoded row that carry column j, those that it shares with other columns included."""
        column, head = self.table.columns[j], next((link.head for link in self.links if link.column == j), j)
        found = list(range(self.places[head], self.places[head] + self.table.columns[head].width))
        shared = [gate for gate in self.gates if j in gate.members and column.exclusive_with is not None]
        return found + [place for gate in shared for place in range(gate.first, gate.first + gate.size)]

    def _index(self, numbers: list[int], ends: Sequence[tuple[float, float]]) -> None:
        """Index tables for what is done on every frame.

        Args:
            numbers: columns of numbers that are not linked.
            ends: their least and largest value other than the zeros of zero-inflated ones.
        """
        columns = self.table.columns
        self._columns = torch.tensor(numbers, dtype=torch.long)
        self._numbers_at = torch.tensor([self.places[j] for j in numbers], dtype=torch.long)
        self._power = torch.tensor([10.0 ** self.kept[j].digits for j in numbers], dtype=torch.float64)  # type: ignore[union-attr]
        gates = {j: (gate, gate.first + k) for gate in self.gates for k, j in enumerate(gate.members)}
        self._gate = torch.tensor([self.gates.index(gates[j][0]) if j in gates else -1 for j in numbers], dtype=torch.long)
        self._open = torch.tensor([gates[j][1] if j in gates else -1 for j in numbers], dtype=torch.long)
        self._flags = torch.tensor(  # of each number: where its flag for "missing" stands; -1: it has none
            [gates[j][0].first + gates[j][0].size - 1 if columns[j].missing is not None else -1 for j in numbers], dtype=torch.long
        )
        self._inflated = torch.tensor([columns[j].zero_inflated for j in numbers], dtype=torch.bool)
        self._low = torch.tensor([low for low, _ in ends], dtype=torch.float64)
        self._high = torch.tensor([high for _, high in ends], dtype=torch.float64)
        self._member = torch.zeros(self.data_shape[0], len(self.blocks))
        for k, (first, size) in enumerate(self.blocks):
            self._member[first : first + size, k] = 1.0
        self._is_number = self._member.sum(1) == 0
        self._categories = [
            (j, self.places[j], c.width) for j, c in enumerate(columns) if c.kind == "category" and c.linked_to is None
        ]
        widest = max((size for _, size in self.blocks), default=0)
        self._first = torch.tensor([first for first, _ in self.blocks], dtype=torch.long)
        self._block = torch.zeros(len(self.blocks), widest, dtype=torch.long)
        self._padding = torch.full((len(self.blocks), widest), -torch.inf)
        for k, (first, size) in enumerate(self.blocks):
            self._block[k, :size] = torch.arange(first, first + size)
            self._padding[k, :size] = 0.0
        self._one_way = []  # places, their gates' places for "has a value", and the bound
        for name, bound in (("up", torch.maximum), ("down", torch.minimum)):
            chosen = [k for k, j in enumerate(numbers) if columns[j].only == name]
            self._one_way.append((self._numbers_at[chosen], self._open[chosen], bound))

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
                cells[:, j] = read_numbers(rows[:, j], column, self.table.missing, where)
            else:
                cells[:, j] = kept.cells(rows[:, j], read_choices(rows[:, j], column, self.table.missing, where))
        return torch.from_numpy(cells)

    def encode(self, cells: Tensor) -> Tensor:
        """See `RowUnits.encode`."""
        x = torch.zeros(len(cells), self.data_shape[0])
        if len(self._columns):
            values = cells[:, self._columns]
            inside = (self.scales.forward(values) - self.mean[self._columns]) / self.scale[self._columns]
            x[:, self._numbers_at] = torch.where(self._present(values), inside, 0.0).float()
        for gate in self.gates:
            x[torch.arange(len(cells)), gate.first + gate.state(cells[:, list(gate.members)])] = 1.0
        for j, first, _ in self._categories:
            x[torch.arange(len(cells)), first + self.kept[j].place[cells[:, j].long()]] = 1.0  # type: ignore[union-attr]
        return x

    def _present(self, values: Tensor) -> Tensor:
        """Which numbers (B, numbers) have a value of their own: neither missing nor the zero of a zero-inflated column."""
        return ~torch.isnan(values) & ~(self._inflated & (values == 0))

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
        values = self.scales.backward(inside * self.scale[self._columns] + self.mean[self._columns])
        return torch.minimum(torch.maximum(values, self._low), self._high)

    def nearest(self, x: Tensor) -> Tensor:
        """See `RowUnits.nearest`: the likeliest category, numbers in range, rounded as the data's are."""
        chosen = self._chosen(x)
        cells = torch.zeros(len(x), len(self.columns), dtype=torch.float64)
        if len(self._columns):
            cells[:, self._columns] = self._stated(self._rounded(self._values(x)), self._opened(chosen), chosen)
        for j, first, width in self._categories:
            cells[:, j] = self.kept[j].usual[chosen[:, first : first + width].argmax(1)].double()  # type: ignore[union-attr]
        for link in self.links:
            cells[:, link.column] = link.cells[self._category(chosen, link.head)]
        return cells

    def since(self, x: Tensor, factual: Factual) -> Tensor:
        """See `RowUnits.since`: the input's own number plus what the frame adds; the input's own value of a category."""
        cells, chosen = self.nearest(x), self._chosen(x)
        own = factual.cells.expand_as(cells)
        before = self._chosen(factual.x.expand_as(x))
        if len(self._columns):
            cells[:, self._columns] = self._moved(x, factual.x, own[:, self._columns], chosen, before)
        for j, first, width in self._categories:
            same = chosen[:, first : first + width].argmax(1) == self.kept[j].place[own[:, j].long()]  # type: ignore[union-attr]
            cells[:, j] = torch.where(same, own[:, j], cells[:, j])
        for link in self.links:
            same = self._category(chosen, link.head) == self._category(before, link.head)
            cells[:, link.column] = torch.where(same, own[:, link.column], cells[:, link.column])
        return cells

    def _moved(self, x: Tensor, start: Tensor, known: Tensor, chosen: Tensor, before: Tensor) -> Tensor:
        """Numbers (B, numbers) of frames x (B, D) whose walks began at `start` with the user's own numbers `known`.

        Args:
            chosen, before: (B, D) one-hot choices of the frames and of the inputs.
        """
        columns, present = self._columns, self._present(known)
        added = (x[:, self._numbers_at].double() - start.expand_as(x)[:, self._numbers_at].double()) * self.scale[columns]
        origin = torch.where(present, self.scales.forward(known), self.mean[columns])
        low = torch.where(present, torch.minimum(self._low, known), self._low)
        high = torch.where(present, torch.maximum(self._high, known), self._high)
        moved = self._rounded(torch.minimum(torch.maximum(self.scales.backward(origin + added), low), high))
        moved = torch.where(present & (added == 0), known, moved)
        stayed = torch.zeros(len(x), len(self.gates) + 1, dtype=torch.bool)
        for k, gate in enumerate(self.gates):
            places = slice(gate.first, gate.first + gate.size)
            stayed[:, k] = (chosen[:, places] == before[:, places]).all(1)
        there = torch.where(stayed[:, self._gate], present, self._opened(chosen))
        return self._stated(moved, there, chosen)

    def _opened(self, chosen: Tensor) -> Tensor:
        """Which numbers (B, numbers) have a value of their own by one-hot choices (B, D)."""
        return (self._open < 0) | (chosen[:, self._open.clamp_min(0)] > 0.5)

    def _stated(self, values: Tensor, there: Tensor, chosen: Tensor) -> Tensor:
        """Numbers (B, numbers), 0 where a zero-inflated one is not `there`, NaN where one is missing by choices (B, D)."""
        return values.masked_fill(self._inflated & ~there, 0.0).masked_fill(self._missing(chosen), torch.nan)

    def _category(self, chosen: Tensor, j: int) -> Tensor:
        """The category (B,) of column j by one-hot choices (B, D)."""
        return chosen[:, self.places[j] : self.places[j] + self.table.columns[j].width].argmax(1)

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

    def shrunk(self, change: Tensor) -> Tensor:
        """See `RowUnits.shrunk`: shares of categories have no dead zone, the likeliest one is chosen anyway."""
        return torch.where(self._is_number, super().shrunk(change), change)

    def faded(self, moved: Tensor, x: Tensor) -> Tensor:
        """See `RowUnits.faded`; of a choice between categories, by the probability that has moved, and so of the place of a
        number without a value of its own, by its gate's."""
        shares = (0.5 * ((moved.abs() @ self._member) @ self._member.T) / MOVED).clamp_max(1)
        faded = torch.where(self._is_number, super().faded(moved, x), shares)
        if len(self.gates):
            at, opens = self._numbers_at[self._open >= 0], self._open[self._open >= 0]
            closed = x.expand_as(faded)[:, opens] < 0.5
            faded[:, at] = torch.where(closed, torch.maximum(faded[:, at], shares[:, opens]), faded[:, at])
        return faded

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
        own = factual.expand_as(frame)
        for places, opens, bound in self._one_way:
            if len(places):
                there = (opens < 0) | (own[:, opens.clamp_min(0)] > 0.5)
                frame[:, places] = torch.where(there, bound(frame[:, places], own[:, places]), frame[:, places])
        for first, allowed in self.allowed.items():
            restricted(frame, own, first, allowed)
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
