"""What is to be explained: rows of the world's own data by index, or the user's own input from memory or a file."""

from __future__ import annotations

import os
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from envs.datasets import ImageUnits, NumberUnits
from envs.datasets.corpora import read_corpus
from envs.datasets.tables import as_number, read_csv
from envs.errors import ManifoldError, UnknownNameError
from envs.modalities.data_frame import is_row
from envs.modalities.image import COLOURS
from envs.modalities.rows import RowUnits, Where
from envs.reading.files import read_npy, read_npz, read_picture

if TYPE_CHECKING:
    from torch import Tensor

    from envs.core.world import World

MOST_NOTES = 20  # rows or values that are named; of more, the number
SPLITS = ("held_out", "reference")
OWN = "own"
FILES = (".npz", ".npy", ".csv", ".tsv", ".png", ".jpg", ".jpeg", ".bmp")


class Inputs(NamedTuple):
    """Inputs in data space x (N, *data_shape), their place in the data or None, whether one alone was given, and the user's
    own cells (N, C) of a table's rows (see `envs.core.factual.Factual`); and, where not all could be held, which they are of
    how many `given`."""

    x: Tensor
    rows: list[int] | None
    single: bool
    cells: Tensor | None = None
    kept: list[int] | None = None
    given: int | None = None


def gather(world: World, inputs: Any, split: str = "held_out", chosen: Any = None) -> Inputs:
    """Read what `explain` was given.

    Args:
        inputs: a whole number, or a range, list or array of them: rows of `split`; None: all rows. Anything else is data in
            the user's units: one input of the data's shape, or a batch (arrays, tensors, nested lists; strings for text).
        split: `held_out` or `reference`.
        chosen: whole numbers that are surely rows of `split`, instead of `inputs`.

    Raises:
        ManifoldError: an index outside the split; data of another shape, not finite, or of another scale than the world's
            pictures; whole numbers that may as well be an input as rows.
    """
    import torch

    if split not in SPLITS:
        raise UnknownNameError("split", split, SPLITS)
    if chosen is not None:
        if inputs is not None:
            raise ManifoldError("rows= and inputs together: pass the rows of a split, or inputs of your own")
        inputs = chosen
        if (rows := _as_rows(inputs)) is None:
            raise ManifoldError(f"rows are whole numbers of the split {split!r}, not {chosen!r:.60}")
    elif (rows := _as_rows(inputs)) is not None:
        _refuse_ambiguous(world, inputs, rows, split)
    if inputs is None or rows is not None:
        data, cells = world.held_out.x, world.held_out.cells
        if split == "reference":
            data, cells = world.reference.x, world.reference.cells
        single = rows is not None and np.ndim(inputs) == 0 and not isinstance(inputs, range)
        rows = list(range(len(data))) if rows is None else rows
        for row in rows:
            if not 0 <= row < len(data):
                raise ManifoldError(f"index {row} is outside the split {split!r}: it has rows 0 to {len(data) - 1}")
        index = torch.as_tensor(rows, dtype=torch.int64)
        return Inputs(data[index], rows, single, None if cells is None else cells[index])
    if isinstance(world.units, RowUnits):
        return _table_rows(world.units, inputs)
    if world.modality == "text":
        return Inputs(world.units.inward(inputs), None, isinstance(inputs, str))
    if isinstance(world.units, ImageUnits):
        return _pictures(world.units, inputs)
    array = inputs.detach().cpu().numpy() if hasattr(inputs, "detach") else inputs
    try:
        array = np.asarray(array, dtype=np.float32)
    except (TypeError, ValueError) as error:
        raise ManifoldError(f"the input must be numbers: {error}") from None
    shape = tuple(world.manifold.data_shape)
    single = array.shape in (shape, (int(np.prod(shape)),))
    if not single and array.shape[1:] not in (shape, (int(np.prod(shape)),)):
        raise ManifoldError(
            f"an input of shape {array.shape} does not fit: this world takes one of shape {shape}, "
            f"or a batch of shape ({', '.join(['n', *map(str, shape)])})"
        )
    return Inputs(world.units.inward(array[None] if single else array), None, single)


def _table_rows(units: RowUnits, inputs: Any) -> Inputs:
    """Rows of a table in the user's own values, unrounded: one (a list, a series, a dictionary by column), or several."""
    rows = inputs.detach().cpu().numpy() if hasattr(inputs, "detach") else inputs
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
        return Inputs(x, None, row, cells, kept, len(rows))
    return Inputs(x, None, row, cells)


def held_rows(
    units: RowUnits, given: Any, error: ManifoldError, where: Where = "row {}".format
) -> tuple[np.ndarray, list[int]]:
    """The rows (n, C) of `given` that the table can hold, and which they are; of each other one a warning says why.

    Numbers outside the range of their column are moved to its end, with a warning. A row with a new category, a missing value
    in a column that has none, or something that is no number is left out.

    Args:
        error: why not all of them can be held.

    Raises:
        ManifoldError: no row can be held: the first one's message; the columns are others: `error`.
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
    """Why one row (C,) cannot be held, or None."""
    try:
        units.cells(row[None], lambda _: place)
    except ManifoldError as error:
        return error
    return None


def _pictures(units: ImageUnits, inputs: Any) -> Inputs:
    """Pictures in the user's own units: one, or several."""
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
    raise ManifoldError(
        f"an input of shape {array.shape} does not fit: this world takes one of shape {units.own_shape}, "
        f"or a batch of shape ({', '.join(['n', *map(str, units.own_shape)])})"
    )


def _as_rows(inputs: Any) -> list[int] | None:
    """Whole numbers as a list of rows; None for anything else, such as a row of a table with its column names."""
    if isinstance(inputs, range):
        return list(inputs)
    if isinstance(inputs, list | tuple):
        whole = all(isinstance(item, int | np.integer) and not isinstance(item, bool) for item in inputs)
        return [int(item) for item in inputs] if whole else None
    if isinstance(inputs, bool | str | bytes | dict) or (hasattr(inputs, "index") and _names(inputs)):
        return None
    array = inputs.detach().cpu().numpy() if hasattr(inputs, "detach") else np.asarray(inputs)
    numbers = array.dtype.kind in "iu" and (array.ndim == 0 or (array.ndim == 1 and array.dtype.itemsize > 1))
    return array.reshape(-1).tolist() if numbers else None  # one byte each: pixels


def _names(inputs: Any) -> bool:
    """Whether a pandas Series names its values by text."""
    return any(isinstance(name, str) for name in getattr(inputs.index, "tolist", list)())


def _refuse_ambiguous(world: World, inputs: Any, rows: list[int], split: str) -> None:
    """Refuse whole numbers, as many as one input has values: they may be either.

    Raises:
        ManifoldError: saying how to give rows and how to give an input.
    """
    size = len(world.units.columns) or int(np.prod(world.manifold.data_shape))
    if isinstance(inputs, range) or world.modality == "text" or np.ndim(inputs) == 0 or len(rows) != size:
        return
    shown = str(rows) if size <= 8 else "[...]"
    raise ManifoldError(
        f"{shown} are {size} whole numbers: {size} rows of the split {split!r}, or one input of {size} values? "
        f"Pass rows={shown} for the rows, or [{shown}], a batch of one, for the input"
    )


def read_targets(world: World, target: Any, n: int) -> list[int | None] | None:
    """Class indices for n inputs; None for an input that is to go towards its own class's typical form.

    Args:
        target: None (then None is returned: the task's own rule), one name or index for all, `own`, or a list of these.

    Raises:
        ManifoldError: an unknown class (close names are offered), or a list of another length.
    """
    if target is None:
        return None
    if not world.task.takes_target:
        raise ManifoldError(f"target {target!r}: the task {world.task.name!r} of this world takes none; leave it out")
    if isinstance(target, str) or np.ndim(target) == 0:
        asked: Sequence[Any] = [target] * n
    else:
        asked = list(target)
        if len(asked) != n:
            raise ManifoldError(f"{len(asked)} targets for {n} inputs; give one for all, or one each")
    known: dict[Any, int | None] = {}
    for name in asked:
        plain = name.item() if hasattr(name, "item") else name
        if plain not in known:
            known[plain] = None if plain == OWN and OWN not in world.class_names else world.class_index(plain)
    return [known[name.item() if hasattr(name, "item") else name] for name in asked]


def read_file(world: World, path: str | Path) -> np.ndarray:
    """The user's own input or inputs from a file, in the user's units.

    An .npz holds them as `x` (or alone), an .npy is the array, a .csv or .tsv has the table's columns by name, and a picture
    is read as grey levels or colours in the data's own scale and order. Sentences stand one a line in a .txt, or in a column
    of a .tsv, .csv or .jsonl: the one that the world's own corpus has them in, if there is such a one, else `text` or
    `sentence`; in the encoding of that corpus.

    Raises:
        ManifoldError: no such file, another kind, damaged, or without the array, columns or size needed.
    """
    path = Path(os.path.expanduser(path))
    if world.modality == "text":
        encoding = world.config.encoding
        try:
            return read_corpus(path, world.config.text_column, None, encoding, labelled=False).x
        except UnknownNameError:  # it has no such column
            return read_corpus(path, None, None, encoding, labelled=False).x
    if path.suffix.lower() not in FILES:
        raise ManifoldError(f"{path}: inputs are read from {', '.join(FILES)}")
    try:
        kind = path.suffix.lower()
        if kind == ".npz":
            arrays = read_npz(path)
            names: list[str] = [name for name in ("x", "X") if name in arrays] or list(arrays)
            if len(names) != 1 and (not names or names[0] not in ("x", "X")):
                raise ManifoldError(f"{path}: name the array of inputs x; it holds {sorted(arrays)}")
            return arrays[names[0]]
        if kind == ".npy":
            return read_npy(path)
        return _csv(world, path) if kind in (".csv", ".tsv") else _picture(world, path)
    except FileNotFoundError:
        raise ManifoldError(f"{path}: there is no such file") from None


def _csv(world: World, path: Path) -> np.ndarray:
    """Rows of the world's own columns, in their order; other columns are passed over."""
    units = world.units
    if not isinstance(units, RowUnits):
        raise ManifoldError(f"{path}: holds rows of a table, but this world's data are pictures")
    given = read_csv(path, at_least=1, encoding=world.config.encoding)
    lacking = [name for name in units.columns if name not in given.names]
    if lacking:
        raise ManifoldError(f"{path}: lacks the columns {lacking}; its first line must name {units.columns}")
    cells = given.cells[:, [given.names.index(name) for name in units.columns]]
    if isinstance(units, NumberUnits):
        cells = np.array([[as_number(t.strip()) if _is_number(t) else t for t in row] for row in cells], dtype=object)

    def where(row: int) -> str:
        return f"{path}, line {given.lines[row]}"

    try:
        units.cells(cells, where)
    except ManifoldError as error:
        cells = held_rows(units, cells, error, where)[0]
    return units.cells(cells).numpy() if isinstance(units, NumberUnits) else cells


def _is_number(text: str | None) -> bool:
    try:
        float(text or "")
    except ValueError:
        return False
    return True


def _picture(world: World, path: Path) -> np.ndarray:
    """A picture file of the data's own size as a batch of one in the user's units."""
    import torch

    shape = tuple(world.manifold.data_shape)
    if world.modality != "image":
        raise ManifoldError(f"{path}: is a picture, but this world's data are table rows; give a .csv or .npz")
    height, width = shape[-2:] if len(shape) == 2 or shape[0] in COLOURS else shape[:2]
    with read_picture(path) as opened:
        if opened.size != (width, height):
            size = f"{opened.size[0]}x{opened.size[1]}"
            raise ManifoldError(f"{path}: is {size} pixels, this world's pictures are {width}x{height}")
        grey = len(shape) == 2 or 1 in (shape[0], shape[-1])
        mode = "L" if grey else "RGBA" if shape[0] == 4 else "RGB"
        pixels = np.asarray(opened.convert(mode), dtype=np.float32) / 255
    if not grey and shape[0] in COLOURS:
        pixels = np.moveaxis(pixels, -1, 0)
    return world.units.outward(torch.from_numpy(pixels.reshape(1, *shape))).numpy()
