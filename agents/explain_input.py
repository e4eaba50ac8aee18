"""What is to be explained: rows of the world's own data by index, or the user's own input from memory or a file."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from envs.datasets import NumberUnits
from envs.datasets.corpora import read_corpus
from envs.datasets.frames import is_row
from envs.datasets.row_units import RowUnits
from envs.datasets.tables import as_number, read_csv
from envs.errors import ManifoldError, UnknownNameError

if TYPE_CHECKING:
    from torch import Tensor

    from envs.world import World

SPLITS = ("held_out", "starts")
OWN = "own"
FILES = (".npz", ".npy", ".csv", ".tsv", ".png", ".jpg", ".jpeg", ".bmp")


class Inputs(NamedTuple):
    """Inputs in data space x (N, *data_shape), their place in the data or None, whether one alone was given, and the user's
    own cells (N, C) of a table's rows (see `envs.origin.Origin`)."""

    x: Tensor
    rows: list[int] | None
    single: bool
    cells: Tensor | None


def gather(world: World, inputs: Any, split: str = "held_out") -> Inputs:
    """Read what `explain` was given.

    Args:
        inputs: a whole number, or a list or range of them: rows of `split`; None: all rows. Anything else is data in
            the user's units: one input of the data's shape, or a batch (arrays, tensors, nested lists; strings for text).
        split: `held_out` or `starts`.

    Raises:
        ManifoldError: an index outside the split; data of another shape, not finite, or pictures outside [0, 1].
    """
    import torch

    if split not in SPLITS:
        raise UnknownNameError("split", split, SPLITS)
    rows = _as_rows(inputs)
    if inputs is None or rows is not None:
        data, cells = world.held_out.x, world.held_out.cells
        if split == "starts":
            data, cells = world.starts.x, world.starts.cells
        single = rows is not None and np.ndim(inputs) == 0 and not isinstance(inputs, range)
        rows = list(range(len(data))) if rows is None else rows
        for row in rows:
            if not 0 <= row < len(data):
                raise ManifoldError(f"index {row} is outside the split {split!r}: it has rows 0 to {len(data) - 1}")
        chosen = torch.as_tensor(rows, dtype=torch.int64)
        return Inputs(data[chosen], rows, single, None if cells is None else cells[chosen])
    if isinstance(world.units, RowUnits):
        return _table_rows(world.units, inputs)
    if world.modality == "text":
        return Inputs(world.units.inward(inputs), None, isinstance(inputs, str), None)
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
    return Inputs(world.units.inward(array[None] if single else array), None, single, None)


def _table_rows(units: RowUnits, inputs: Any) -> Inputs:
    """Rows of a table in the user's own values, unrounded: one (a list, a series, a dictionary by column), or several."""
    rows = inputs.detach().cpu().numpy() if hasattr(inputs, "detach") else inputs
    try:
        row = is_row(rows)
    except TypeError:
        raise ManifoldError(f"the input must be rows of a table, not {inputs!r:.60}") from None
    x, cells = units.entered([rows] if row else rows)
    return Inputs(x, None, row, cells)


def _as_rows(inputs: Any) -> list[int] | None:
    """Whole numbers as a list of rows; None for anything else."""
    if isinstance(inputs, int | np.integer) and not isinstance(inputs, bool):
        return [int(inputs)]
    if isinstance(inputs, range):
        return list(inputs)
    if isinstance(inputs, list | tuple) and all(isinstance(item, int | np.integer) for item in inputs):
        return [int(item) for item in inputs]
    return None


def read_targets(world: World, target: Any, n: int) -> list[int | None] | None:
    """Class indices for n inputs; None for an input that is to go towards its own class's typical form.

    Args:
        target: None (then None is returned: the task's own rule), one name or index for all, `own`, or a list of these.

    Raises:
        ManifoldError: an unknown class (close names are offered), or a list of another length.
    """
    if target is None:
        return None
    if world.task.name in ("leave", "prototype"):
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
    is read as grey levels or colours in [0, 1] as the data have it. Sentences stand one a line in a .txt, or in a column of a
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
        return _csv(world, path) if path.suffix.lower() in (".csv", ".tsv") else _picture(world, path)
    except ManifoldError:
        raise
    except FileNotFoundError:
        raise ManifoldError(f"{path}: there is no such file") from None
    except Exception as error:  # zipfile, numpy and Pillow raise many kinds for a damaged file
        raise ManifoldError(f"{path}: cannot be read ({error})") from None


def _csv(world: World, path: Path) -> np.ndarray:
    """Rows of the world's own columns, in their order; other columns are passed over."""
    units = world.units
    if not isinstance(units, RowUnits):
        raise ManifoldError(f"{path}: holds rows of a table, but this world's data are pictures")
    given = read_csv(path, at_least=1, encoding=world.spec.get("encoding", "utf-8"))
    lacking = [name for name in units.columns if name not in given.names]
    if lacking:
        raise ManifoldError(f"{path}: lacks the columns {lacking}; its first line must name {units.columns}")
    cells = given.cells[:, [given.names.index(name) for name in units.columns]]
    for name, column in zip(units.columns, cells.T, strict=True) if isinstance(units, NumberUnits) else ():
        bad = next((row for row, text in enumerate(column) if not _is_number(text)), None)
        if bad is not None:
            raise ManifoldError(f"{path}, line {given.lines[bad]}: {name} is {column[bad]!r}, a number is needed")
    if isinstance(units, NumberUnits):
        cells = np.array([[as_number(text.strip()) for text in row] for row in cells], dtype=object)
    found = units.cells(cells, lambda row: f"{path}, line {given.lines[row]}")
    return found.numpy() if isinstance(units, NumberUnits) else cells


def _is_number(text: str | None) -> bool:
    try:
        float(text or "")
    except ValueError:
        return False
    return True


def _picture(world: World, path: Path) -> np.ndarray:
    """A picture file of the data's own size as an array of the data's shape in [0, 1]."""
    from PIL import Image

    shape = tuple(world.manifold.data_shape)
    if world.modality != "image":
        raise ManifoldError(f"{path}: is a picture, but this world's data are table rows; give a .csv or .npz")
    height, width = shape[-2:] if len(shape) == 2 or shape[0] in (1, 3) else shape[:2]
    with Image.open(path) as opened:
        if opened.size != (width, height):
            size = f"{opened.size[0]}x{opened.size[1]}"
            raise ManifoldError(f"{path}: is {size} pixels, this world's pictures are {width}x{height}")
        grey = len(shape) == 2 or 1 in (shape[0], shape[-1])
        pixels = np.asarray(opened.convert("L" if grey else "RGB"), dtype=np.float32) / 255
    if not grey and shape[0] == 3:
        pixels = np.moveaxis(pixels, -1, 0)
    return pixels.reshape(1, *shape)
