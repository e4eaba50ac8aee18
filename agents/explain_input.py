"""What is to be explained: rows of the world's own data by index, or the user's own input from memory or a file."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from envs.datasets import ImageUnits, TableUnits
from envs.datasets.corpora import read_corpus
from envs.datasets.image_units import COLOURS
from envs.datasets.table_columns import Where
from envs.datasets.tables import read_csv
from envs.errors import ManifoldError, UnknownNameError

if TYPE_CHECKING:
    from torch import Tensor

    from envs.world import World

MOST_NOTES = 20  # rows or values that are named; of more, the number
SPLITS = ("held_out", "starts")
OWN = "own"
FILES = (".npz", ".npy", ".csv", ".png", ".jpg", ".jpeg", ".bmp")


class Inputs(NamedTuple):
    """Inputs in data space x (N, *data_shape), their place in the data or None, whether one alone was given; and, where not
    all could be held, which they are of how many `given`."""

    x: Tensor
    rows: list[int] | None
    single: bool
    kept: list[int] | None = None
    given: int | None = None


def gather(world: World, inputs: Any, split: str = "held_out", chosen: Any = None) -> Inputs:
    """Read what `explain` was given.

    Args:
        inputs: a whole number, or a range, list or array of them: rows of `split`; None: all rows. Anything else is data in
            the user's units: one input of the data's shape, or a batch (arrays, tensors, nested lists; strings for text).
        split: `held_out` or `starts`.
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
        data = world.held_out.x if split == "held_out" else world.starts.x
        single = rows is not None and np.ndim(inputs) == 0 and not isinstance(inputs, range)
        rows = list(range(len(data))) if rows is None else rows
        for row in rows:
            if not 0 <= row < len(data):
                raise ManifoldError(f"index {row} is outside the split {split!r}: it has rows 0 to {len(data) - 1}")
        return Inputs(data[torch.as_tensor(rows, dtype=torch.int64)], rows, single)
    if isinstance(world.units, TableUnits):
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


def _table_rows(units: TableUnits, inputs: Any) -> Inputs:
    """Rows of a mixed table in the user's own values: one (a list or a dictionary by column), or several."""
    row = isinstance(inputs, dict) or (np.ndim(inputs) == 1 and not isinstance(inputs[0], dict))
    given = [inputs] if row else inputs
    try:
        return Inputs(units.inward(given), None, row)
    except ManifoldError:
        rows, kept = held_rows(units, given)
        return Inputs(units.inward(rows), None, row, kept, len(given))


def held_rows(units: TableUnits, given: Any, where: Where = "row {}".format) -> tuple[np.ndarray, list[int]]:
    """The rows (n, C) of `given` that the table can hold, and which they are; of each other one a warning says why.

    Numbers outside the range of their column are moved to its end, with a warning. A row with a new category, a missing value
    in a column that has none, or something that is no number is left out.

    Raises:
        ManifoldError: no row can be held; the message is the first one's.
    """
    rows, notes = units.clipped(given, where)
    kept, errors = [], []
    for row in range(len(rows)):
        if (error := _refused(units, rows[row], where(row))) is None:
            kept.append(row)
        else:
            errors.append(error)
    if not kept:
        raise errors[0]
    notes += [f"{error}; this row is left out" for error in errors]
    more = [f"... and {len(notes) - MOST_NOTES} more rows or values"] if len(notes) > MOST_NOTES else []
    warnings.warn("\n".join(["not all rows are explained as they are:", *notes[:MOST_NOTES], *more]), stacklevel=2)
    return rows[kept], kept


def _refused(units: TableUnits, row: np.ndarray, place: str) -> ManifoldError | None:
    """Why one row (C,) cannot be held, or None."""
    try:
        units.inward(row[None], lambda _: place)
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

    An .npz holds them as `x` (or alone), an .npy is the array, a .csv has the table's columns by name, and a picture is
    read as grey levels or colours in the data's own scale and order. Sentences stand one a line in a .txt, or in a column of a
    .tsv, .csv or .jsonl: the one that the world's own corpus has them in, if there is such a one, else `text` or `sentence`;
    in the encoding of that corpus.

    Raises:
        ManifoldError: no such file, another kind, damaged, or without the array, columns or size needed.
    """
    path = Path(path)
    if world.modality == "text":
        encoding = world.spec.get("encoding", "utf-8")
        try:
            return read_corpus(path, world.spec.get("text_column"), None, encoding, labelled=False).x
        except UnknownNameError:  # it has no such column
            return read_corpus(path, None, None, encoding, labelled=False).x
    if path.suffix.lower() not in FILES:
        raise ManifoldError(f"{path}: inputs are read from {', '.join(FILES)}")
    try:
        if path.suffix == ".npz":
            with path.open("rb") as stream, np.load(stream, allow_pickle=False) as archive:
                names = [name for name in ("x", "X") if name in archive.files] or archive.files
                if len(names) != 1 and names[0] not in ("x", "X"):
                    raise ManifoldError(f"{path}: name the array of inputs x; it holds {archive.files}")
                return np.asarray(archive[names[0]])
        if path.suffix == ".npy":
            return np.asarray(np.load(path, allow_pickle=False))
        return _csv(world, path) if path.suffix == ".csv" else _picture(world, path)
    except ManifoldError:
        raise
    except FileNotFoundError:
        raise ManifoldError(f"{path}: there is no such file") from None
    except Exception as error:  # zipfile, numpy and Pillow raise many kinds for a damaged file
        raise ManifoldError(f"{path}: cannot be read ({error})") from None


def _csv(world: World, path: Path) -> np.ndarray:
    """Rows of the world's own columns, in their order; other columns are passed over."""
    import csv

    if isinstance(world.units, TableUnits):
        given = read_csv(path, at_least=1)
        lacking = [name for name in world.units.columns if name not in given.names]
        if lacking:
            raise ManifoldError(f"{path}: lacks the columns {lacking}; its first line must name {world.units.columns}")
        cells = given.cells[:, [given.names.index(name) for name in world.units.columns]]
        try:
            world.units.inward(cells)
        except ManifoldError:
            return held_rows(world.units, cells, lambda row: f"{path}, line {given.lines[row]}")[0]
        return cells

    with path.open(newline="") as stream:
        reader = csv.DictReader(stream)
        missing = [name for name in world.units.columns if name not in (reader.fieldnames or [])]
        if missing or not world.units.columns:
            raise ManifoldError(f"{path}: lacks the columns {missing}; its first line must name {world.units.columns}")
        rows = []
        for number, row in enumerate(reader, start=2):
            try:
                rows.append([float(row[name]) for name in world.units.columns])
            except (TypeError, ValueError):
                bad = next(name for name in world.units.columns if not _is_number(row[name]))
                raise ManifoldError(f"{path}, line {number}: {bad} is {row[bad]!r}, a number is needed") from None
    return np.array(rows)


def _is_number(text: str | None) -> bool:
    try:
        float(text or "")
    except ValueError:
        return False
    return True


def _picture(world: World, path: Path) -> np.ndarray:
    """A picture file of the data's own size as a batch of one in the user's units."""
    import torch
    from PIL import Image

    shape = tuple(world.manifold.data_shape)
    if world.modality != "image":
        raise ManifoldError(f"{path}: is a picture, but this world's data are table rows; give a .csv or .npz")
    height, width = shape[-2:] if len(shape) == 2 or shape[0] in COLOURS else shape[:2]
    with Image.open(path) as opened:
        if opened.size != (width, height):
            size = f"{opened.size[0]}x{opened.size[1]}"
            raise ManifoldError(f"{path}: is {size} pixels, this world's pictures are {width}x{height}")
        grey = len(shape) == 2 or 1 in (shape[0], shape[-1])
        mode = "L" if grey else "RGBA" if shape[0] == 4 else "RGB"
        pixels = np.asarray(opened.convert(mode), dtype=np.float32) / 255
    if not grey and shape[0] in COLOURS:
        pixels = np.moveaxis(pixels, -1, 0)
    return world.units.outward(torch.from_numpy(pixels.reshape(1, *shape))).numpy()
