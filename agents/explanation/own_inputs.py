"""The user's own inputs, read from memory in the user's units: one reader per kind of units."""

from __future__ import annotations

import warnings
from functools import singledispatch
from typing import Any, NamedTuple

import numpy as np
from torch import Tensor

from envs.datasets import ImageUnits, SeriesUnits, TextUnits, Units
from envs.errors import ManifoldError
from envs.modalities.data_frame import index_of, is_frame, is_row, is_series
from envs.modalities.rows import RowUnits, Where

MOST_NOTES = 20  # rows or values that are named in a warning; of more, the number


class Inputs(NamedTuple):
    """Inputs in data space.

    Attributes:
        x: (N, *data_shape).
        rows: their rows in the split they come from; None for the user's own.
        single: whether one input was given, not a batch.
        cells: (N, C) the user's own cells of a table's rows, see `envs.core.factual.Factual`.
        kept: which of the given rows these are, where some had to be left out; None: all.
        given: how many rows were given, where some had to be left out.
        labels: the user's own label of each row: its number in a file, its index label in a data frame; None: there are none.
        held: (N, D) bool, places of a table's row that its walk keeps, besides those that all walks keep; None: no place.
    """

    x: Tensor
    rows: list[int] | None
    single: bool
    cells: Tensor | None = None
    kept: list[int] | None = None
    given: int | None = None
    labels: list[Any] | None = None
    held: Tensor | None = None

    def chosen(self, places: list[int], held: Tensor | None = None) -> Inputs:
        """The inputs at these places as a batch, with other places held."""
        rows, labels = ([of[i] for i in places] if of is not None else None for of in (self.rows, self.labels))
        cells = None if self.cells is None else self.cells[places]
        return Inputs(self.x[places], rows, False, cells, labels=labels, held=held)


@singledispatch
def read_given(units: Units, inputs: Any, shape: tuple[int, ...]) -> Inputs:
    """Read inputs in the user's units; this one: numbers of the data's shape.

    Args:
        units: the world's, which select the reader.
        inputs: one input or a batch: arrays, tensors, nested lists; data frames for tables, strings for text.
        shape: of one datum.

    Raises:
        ManifoldError: the inputs do not fit; the message says what would.
    """
    array = inputs.detach().cpu().numpy() if hasattr(inputs, "detach") else inputs
    try:
        array = np.asarray(array, dtype=np.float32)
    except (TypeError, ValueError) as error:
        raise ManifoldError(f"the input must be numbers: {error}") from None
    flat = (int(np.prod(shape)),)
    single = array.shape in (shape, flat)
    if not single and array.shape[1:] not in (shape, flat):
        raise _no_fit(array, shape)
    return Inputs(units.inward(array[None] if single else array), None, single)


@read_given.register
def _(units: TextUnits, inputs: Any, shape: tuple[int, ...]) -> Inputs:
    x = units.inward(inputs)
    if unknown := units.vocabulary.mostly_unknown(x):
        warnings.warn(
            f"{len(unknown)} of {len(x)} sentences consist mostly of words that the corpus lacks, the first is "
            f"{unknown[0]!r}: are they in another language? Unknown words are kept as they are; "
            "proposals and codes cannot tell them apart",
            stacklevel=2,
        )
    return Inputs(x, None, isinstance(inputs, str))


@read_given.register
def _(units: RowUnits, inputs: Any, shape: tuple[int, ...]) -> Inputs:
    """Rows of a table in the user's own values, unrounded: one (a list, a series, a dictionary by column) or several."""
    rows = inputs.detach().cpu().numpy() if hasattr(inputs, "detach") else inputs
    labels = _labels(rows)
    try:
        row = is_row(rows)
    except TypeError:
        raise ManifoldError(f"the input must be rows of a table, not {inputs!r:.60}") from None
    rows = [rows] if row else rows
    try:
        x, cells = units.entered(rows)
    except ManifoldError as error:
        fitting, kept = held_rows(units, rows, error)
        x, cells = units.entered(fitting)
        own = labels if labels is None else [labels[k] for k in kept]
        return Inputs(x, None, row, cells, kept, len(rows), own)
    return Inputs(x, None, row, cells, labels=labels)


def _labels(rows: Any) -> list[Any] | None:
    """Index labels of the rows of a data frame, a series, or a list of series."""
    if is_frame(rows):
        return index_of(rows)
    several = rows if isinstance(rows, list | tuple) else [rows]
    named = [getattr(row, "name", None) if is_series(row) else None for row in several]
    return named if named and all(name is not None for name in named) else None


def held_rows(
    units: RowUnits, given: Any, error: ManifoldError, where: Where = "row {}".format
) -> tuple[np.ndarray, list[int]]:
    """Select the rows that the table can represent; a warning gives the reason for each other one.

    Numbers outside the range of their column are moved to its end, with a warning. A row with a new category, a missing value
    in a column that has none, or a value that is not a number is left out.

    Args:
        units: of the table.
        given: rows in the user's units.
        error: why not all of them can be represented.
        where: names the place of a row in messages.

    Returns:
        The selected rows (n, C), and their indices.

    Raises:
        ManifoldError: no row can be represented (the reason for the first one), or the columns differ (`error`).
    """
    try:
        rows, notes = units.clipped(given, where)
    except (ManifoldError, ValueError):
        raise error from None
    kept, errors = [], []
    for row in range(len(rows)):
        if (refused := _refused(units, rows[row], where(row))) is None:
            kept.append(row)
        else:
            errors.append(refused)
    if not kept:
        raise errors[0]
    notes += [f"{refused}; this row is left out" for refused in errors]
    more = [f"... and {len(notes) - MOST_NOTES} more rows or values"] if len(notes) > MOST_NOTES else []
    warnings.warn("\n".join(["not all rows are explained as they are:", *notes[:MOST_NOTES], *more]), stacklevel=2)
    return rows[kept], kept


def _refused(units: RowUnits, row: np.ndarray, place: str) -> ManifoldError | None:
    """Why the table cannot represent one row (C,); None if it can."""
    try:
        units.cells(row[None], lambda _: place)
    except ManifoldError as error:
        return error
    return None


@read_given.register
def _(units: SeriesUnits, inputs: Any, shape: tuple[int, ...]) -> Inputs:
    """Series in the user's own units: one of the layouts of `SeriesUnits.layouts`, or a batch."""
    given = inputs.detach().cpu().numpy() if hasattr(inputs, "detach") else inputs
    single = np.shape(given) in units.layouts if not is_frame(given) else False
    x, cells = units.entered(np.asarray(given)[None] if single else given)
    return Inputs(x, None, single, cells)


@read_given.register
def _(units: ImageUnits, inputs: Any, shape: tuple[int, ...]) -> Inputs:
    """Pictures in the user's own units: one or several."""
    array = inputs.detach().cpu().numpy() if hasattr(inputs, "detach") else inputs
    try:
        array = np.asarray(array)
    except ValueError as error:
        raise ManifoldError(f"the input must be numbers: {error}") from None
    if array.dtype.kind in "US":
        raise ManifoldError(f"the input must be numbers, not {inputs!r:.60}")
    for shape in units.shapes:  # the user's own first: (1, 8, 8) is a batch of one where pictures are (8, 8)
        if array.shape == shape:
            return Inputs(units.inward(array[None]), None, True)
        if array.shape[1:] == shape:
            return Inputs(units.inward(array), None, False)
    raise _no_fit(array, units.own_shape)


def _no_fit(array: np.ndarray, shape: tuple[int, ...]) -> ManifoldError:
    """Inputs of another shape than the world's data."""
    return ManifoldError(
        f"an input of shape {array.shape} does not fit: this world takes one of shape {shape}, "
        f"or a batch of shape ({', '.join(['n', *map(str, shape)])})"
    )
