"""Mixed tables: the user's values outside, one-hot categories and standardised numbers in data space.

A decoded row is soft: a number anywhere in its range, a probability for every category. The classifier and people see the
*nearest valid row*: the likeliest category, whole numbers rounded. A prediction therefore always belongs to the row that is
shown, while steps between frames stay small.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any

import numpy as np
import torch
from torch import Tensor

from envs.core.factual import Factual
from envs.errors import ManifoldError
from envs.modalities.cells import Numbers, Values, read_choices, read_numbers
from envs.modalities.choices import Choices
from envs.modalities.columns import Table, text_of
from envs.modalities.data_frame import Frame
from envs.modalities.dates import number_of
from envs.modalities.gates import Gate, gates_of
from envs.modalities.linked import Linked
from envs.modalities.quantities import Quantities, Quantity
from envs.modalities.rows import RowUnits, Where
from envs.modalities.rules import Rules


@dataclass
class TableUnits(RowUnits):
    """Units of a mixed table of C columns, encoded in D places.

    A number has one place, standardised on its scale, and a gate (see `envs.modalities.gates`) if it may be missing or is
    zero-inflated; the place holds 0 where it has no value of its own. A category has one place for each of its values and,
    last, one for a missing value. A linked column has no place: another column's category determines its value.

    Attributes:
        table: the description.
        places: first place of each column.
        numbers: the numbers that are not linked.
        gates: choices beside numbers.
        links: linked columns.
        rules: what walks may not change.
        blocks: (first place, number of places) of every choice between categories.
        choices: those blocks, to compute with.
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
    choices: Choices = field(default_factory=lambda: Choices([], 0))
    kept: list[Numbers | Values] = field(default_factory=list)
    numbers: Quantities = field(default_factory=lambda: Quantities([], []))
    gates: list[Gate] = field(default_factory=list)
    links: list[Linked] = field(default_factory=list)
    rules: Rules = field(default_factory=lambda: Rules([], [], 0, [], []))

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
        units.low, units.high = torch.zeros(size), torch.ones(size)
        units.gates = gates_of(table.columns, places)
        known = rows if more is None or more.shape[1:] != rows.shape[1:] else np.concatenate([rows, more])
        found = []
        for j, (column, first) in enumerate(zip(table.columns, places, strict=True)):
            if column.kind == "number":
                values = read_numbers(rows[:, j], column, table.missing, where)
                refuse_huge(column.name, values)
                units.kept.append(kept := Numbers.of(rows[:, j], values, column))
                found += [Quantity.of(column, j, first, values, kept)] if column.linked_to is None else []
            else:
                read_choices(known[:, j], column, table.missing, where)
                units.kept.append(Values.of(known[:, j], column))
                units.blocks += [(first, column.width)] if column.linked_to is None else []
        units.blocks = sorted([*units.blocks, *((gate.first, gate.size) for gate in units.gates)])
        units.numbers = Quantities(found, units.gates)
        units.low[units.numbers.at], units.high[units.numbers.at] = units.numbers.ends()
        units.choices = Choices(units.blocks, size)
        units.links = [units._link(j, known) for j, column in enumerate(table.columns) if column.linked_to is not None]
        units.rules = Rules(table.columns, places, size, units.gates, units.links)
        return units

    def _link(self, j: int, rows: np.ndarray) -> Linked:
        """The values of the linked column j for the categories of its head in the user's rows (N, C)."""
        column, kept, unknown, name = self.table.columns[j], self.kept[j], self.table.missing, "row {}".format
        head = self.columns.index(str(column.linked_to))
        chosen = read_choices(rows[:, head], self.table.columns[head], unknown, name)
        if isinstance(kept, Numbers):
            cells = read_numbers(rows[:, j], column, unknown, name)
        else:
            cells = kept.usual[read_choices(rows[:, j], column, unknown, name)].double().numpy()
        return Linked.of(j, head, chosen, cells, self.table.columns[head].width)

    @property
    def units_of_measure(self) -> dict[str, str]:
        """See `RowUnits.units_of_measure`."""
        return {c.name: c.unit for c in self.table.columns if c.unit is not None and not c.date}

    @property
    def descriptions(self) -> dict[str, str]:
        """See `RowUnits.descriptions`."""
        return {c.name: c.description for c in self.table.columns if c.description is not None}

    def is_date(self, name: str) -> bool:
        """See `RowUnits.is_date`."""
        return self.table.columns[self.columns.index(name)].date

    @property
    def held(self) -> Tensor:
        """(D,) bool, places that walks do not change."""
        return self.rules.held

    def fix(self, j: int) -> None:
        """Hold column j in all walks from now on, as if it were immutable."""
        self.rules = self.rules.fixed(j)

    def restrict(self, j: int, moves: Tensor) -> None:
        """Hold the category of column j to these moves from now on: (categories, categories) bool, from one to another."""
        self.rules = self.rules.restricted(j, moves)

    def direct(self, j: int, way: str) -> None:
        """Let the numbers of column j only rise (`up`) or fall (`down`) from now on."""
        self.rules = self.rules.directed(j, way)

    def loosen(self, j: int) -> None:
        """Let column j vary from now on, though its description holds it."""
        self.table = self.table._replace(
            columns=tuple(replace(c, immutable=False) if k == j else c for k, c in enumerate(self.table.columns))
        )
        self.rules = self.rules.loosened(j)

    def narrow(self, j: int, low: float, high: float) -> None:
        """Hold the numbers of column j in a range from now on; an input's own number may stay outside of it."""
        self.numbers = self.numbers.narrowed(j, low, high)
        self.low, self.high = self.low.clone(), self.high.clone()
        self.low[self.numbers.at], self.high[self.numbers.at] = self.numbers.ends()
        k = self.numbers.columns == j
        self.rules = self.rules.within(j, low, high, bool((self.numbers.low[k] <= self.numbers.high[k]).all()))

    @property
    def opens(self) -> list[list[int]]:
        """(place of a number, place whose choice says that it has a value) of numbers with a gate."""
        return [[self.places[j], gate.first + k] for gate in self.gates for k, j in enumerate(gate.members)]

    def places_of(self, column: int) -> list[int]:
        """See `RowUnits.places_of`; those that the column shares with others are included."""
        j = column
        own, head = self.table.columns[j], next((link.head for link in self.links if link.column == j), j)
        found = list(range(self.places[head], self.places[head] + self.table.columns[head].width))
        shared = [gate for gate in self.gates if j in gate.members and own.exclusive_with is not None]
        return found + [place for gate in shared for place in range(gate.first, gate.first + gate.size)]

    @cached_property
    def _categories(self) -> list[tuple[int, int, int]]:
        """(column, first place, places) of the categories that are not linked."""
        columns = enumerate(zip(self.table.columns, self.places, strict=True))
        return [(j, first, c.width) for j, (c, first) in columns if c.kind == "category" and c.linked_to is None]

    # ---- in ------------------------------------------------------------------------------------------------------

    def cells(self, raw: object, where: Where = "row {}".format) -> Tensor:
        """See `RowUnits.cells`.

        Raises:
            ManifoldError: other columns; a value that is not a number, outside its range, not whole, an unknown category, or
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
        x[:, self.numbers.at] = self.numbers.encode(cells[:, self.numbers.columns])
        for gate in self.gates:
            x[torch.arange(len(cells)), gate.first + gate.state(cells[:, list(gate.members)])] = 1.0
        for j, first, _ in self._categories:
            x[torch.arange(len(cells)), first + self.kept[j].place[cells[:, j].long()]] = 1.0  # type: ignore[union-attr]
        return x

    def clipped(self, raw: object, where: Where = "row {}".format) -> tuple[np.ndarray, list[str]]:
        """See `RowUnits.clipped`."""
        rows, moved = super().clipped(raw, where)
        for j, column in enumerate(self.table.columns):
            for row, value in enumerate(rows[:, j] if column.kind == "number" else ()):
                try:
                    number = number_of(value, str(column.unit)) if column.date else float(text_of(value))
                except (ValueError, TypeError):  # missing, or no number: `cells` says so
                    continue
                if np.isfinite(number) and not column.low <= number <= column.high:
                    end = np.ceil(column.low) if number < column.low else np.floor(column.high)
                    end = end if column.integer else column.low if number < column.low else column.high
                    rows[row, j] = self.kept[j].values([end])[0] if column.date else int(end) if column.integer else end
                    moved.append(
                        f"{where(row)}, column {column.name!r}: {text_of(value)} is outside its range "
                        f"{column.text_of(column.low)} to {column.text_of(column.high)}; explained as {column.text_of(end)}"
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

    def nearest(self, x: Tensor) -> Tensor:
        """See `RowUnits.nearest`: the likeliest category, numbers in range, rounded as the data's are."""
        chosen = self.choices.chosen(x)
        cells = torch.zeros(len(x), len(self.columns), dtype=torch.float64)
        cells[:, self.numbers.columns] = self.numbers.nearest(x, chosen)
        for j, first, width in self._categories:
            cells[:, j] = self.kept[j].usual[chosen[:, first : first + width].argmax(1)].double()  # type: ignore[union-attr]
        for link in self.links:
            cells[:, link.column] = link.cells[self._category(chosen, link.head)]
        return cells

    def since(self, x: Tensor, factual: Factual) -> Tensor:
        """See `RowUnits.since`: the input's own number plus what the frame adds; the input's own value of a category."""
        cells, chosen = self.nearest(x), self.choices.chosen(x)
        own = factual.cells.expand_as(cells)
        start, columns = factual.x.expand_as(x), self.numbers.columns
        before = self.choices.chosen(start)
        cells[:, columns] = self.numbers.since(x, start, own[:, columns], chosen, before)
        for j, first, width in self._categories:
            same = chosen[:, first : first + width].argmax(1) == self.kept[j].place[own[:, j].long()]  # type: ignore[union-attr]
            cells[:, j] = torch.where(same, own[:, j], cells[:, j])
        for link in self.links:
            same = self._category(chosen, link.head) == self._category(before, link.head)
            cells[:, link.column] = torch.where(same, own[:, link.column], cells[:, link.column])
        return cells

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

    # ---- walks ---------------------------------------------------------------------------------------------------

    @property
    def column_of(self) -> Tensor:
        """See `RowUnits.column_of`; a linked column has no place of its own."""
        widths = torch.tensor([column.width for column in self.table.columns])
        return torch.arange(len(widths)).repeat_interleave(widths)

    def scaling(self, columns: Sequence[int]) -> tuple[Tensor, float]:
        """See `RowUnits.scaling`."""
        return self.numbers.scaling(columns)

    def evenly_scaled(self, column: int) -> bool:
        """See `RowUnits.evenly_scaled`."""
        return self.table.columns[column].scale == "linear"

    @property
    def together(self) -> list[Sequence[int]]:
        """See `RowUnits.together`: linked columns, and columns that share a choice, among them."""
        linked = [(link.column, link.head) for link in self.links]
        return [*super().together, *linked, *(gate.members for gate in self.gates if len(gate.members) > 1)]

    def shrunk(self, change: Tensor) -> Tensor:
        """See `RowUnits.shrunk`: shares of categories have no dead zone, the likeliest one is chosen anyway."""
        return torch.where(self.choices.outside, super().shrunk(change), change)

    def faded(self, moved: Tensor, x: Tensor) -> Tensor:
        """See `RowUnits.faded`; of a choice between categories, by the probability that has moved, and so of the place of a
        number without a value of its own, by its gate's."""
        shares = self.choices.moved(moved)
        faded = torch.where(self.choices.outside, super().faded(moved, x), shares)
        self.numbers.fade(faded, shares, x.expand_as(faded))
        return faded

    def bounded(self, frame: Tensor, x: Tensor) -> Tensor:
        """See `RowUnits.bounded`; shares of categories are positive and sum to 1, and what a walk may not change is held."""
        frame = super().bounded(frame, x)
        frame = self.hold(self.choices.normalised(frame), x)
        self.numbers.close(frame)
        return frame

    @property
    def holds(self) -> bool:
        """See `Units.holds`."""
        return self.rules.any

    def hold(self, frame: Tensor, factual: Tensor) -> Tensor:
        """Frames (B, D) with the input's own values where a walk may not change them; origin (B, D) or (D,)."""
        return self.rules.hold(frame, factual)

    # ---- the classifier's side -------------------------------------------------------------------------------------

    def input_shape(self, classifier: Any, requested: Sequence[int] | None) -> tuple[int, ...]:
        """Shape of the classifier's input: (C,), the user's own rows, or (D,), encoded ones.

        Unless one is requested: encoded rows for a torch module and for an estimator that was fitted to D features, own rows
        for anything else.
        """
        own, encoded = (len(self.columns),), tuple(self.data_shape)
        if requested is not None:
            if tuple(requested) not in (own, encoded):
                raise ManifoldError(
                    f"input_shape {tuple(requested)} fits neither the user's own rows {own} nor encoded ones {encoded}"
                )
            return tuple(requested)
        if isinstance(classifier, torch.nn.Module) or getattr(classifier, "n_features_in_", own[0]) == encoded[0] != own[0]:
            return encoded
        return own

    def cells_asker(self, classifier: Any, input_shape: Sequence[int]) -> Any:
        """See `RowUnits.cells_asker`; encoded rows for a classifier of D features."""
        if tuple(input_shape) != (len(self.columns),):
            return lambda cells: self.encode(cells).numpy()
        return super().cells_asker(classifier, input_shape)


def refuse_huge(name: str, values: np.ndarray) -> None:
    """Refuse numbers (N,) whose spread overflows.

    Raises:
        ManifoldError: names the column and the largest number.
    """
    with np.errstate(over="ignore"):
        spread = float(np.nanstd(values))
    if not math.isfinite(spread) and np.isfinite(values).any():
        raise ManifoldError(
            f"column {name!r} holds numbers of up to {float(np.nanmax(np.abs(values))):.3g}, "
            "whose spread overflows: correct them, give them as missing, or use their logarithm"
        )
