"""The inputs of explanations: rows of the world's own data by index, or the user's own inputs from memory or a file."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from agents.explanation.figures.renderer import renderer_of
from agents.explanation.own_inputs import Inputs, held_rows, read_given
from envs.core.row_labels import plain_label
from envs.datasets import NumberUnits, SeriesUnits, TextUnits
from envs.datasets.corpora import read_corpus
from envs.datasets.series import read_series_csv, read_ts
from envs.datasets.tables import as_number, read_csv
from envs.errors import ManifoldError, UnknownNameError
from envs.files import in_home
from envs.modalities.data_frame import is_frame
from envs.modalities.image import COLOURS
from envs.modalities.rows import RowUnits
from envs.reading.files import read_npy, read_npz, read_picture
from envs.runtime.plain import plain

if TYPE_CHECKING:
    from envs.core.world import World

SPLITS = ("held_out", "reference")
LABELLED = "own"  # rows by the user's own numbers or labels, in both splits
OWN = "own"
PICTURES = (".png", ".jpg", ".jpeg", ".bmp")
FILES = (".npz", ".npy", ".csv", ".tsv", *PICTURES)


def gather(world: World, inputs: Any, split: str = "held_out", chosen: Any = None) -> Inputs:
    """Read the inputs to be explained.

    Args:
        world: where they are explained.
        inputs: inputs that were read before (`Inputs`); an integer, or a range, list or array of them: rows of `split`; None:
            all rows. Anything else is data in the user's units: one input of the data's shape, or a batch (arrays, tensors,
            nested lists; strings for text).
        split: `held_out`, `reference`, or `own`: rows by their number in the user's file or their label in the data frame.
        chosen: integers that are rows of `split` without doubt (labels of any type, if it is `own`); then `inputs` is None.

    Raises:
        ManifoldError: an index outside the split; data of another shape, not finite, or of another scale than the world's
            pictures; integers that may be an input as well as rows.
    """
    import torch

    if isinstance(inputs, Inputs):
        return inputs
    if split not in (*SPLITS, LABELLED):
        raise UnknownNameError("split", split, (*SPLITS, LABELLED))
    if split == LABELLED:
        return _labelled(world, inputs if chosen is None else chosen)
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
        own = None if world.row_labels is None else [world.row_labels.of(split)[row] for row in rows]
        return Inputs(data[index], rows, single, None if cells is None else cells[index], labels=own)
    return read_given(world.units, inputs, tuple(world.manifold.data_shape))


def _labelled(world: World, chosen: Any) -> Inputs:
    """Rows by the user's own labels: one, or a list, array, range or pandas index of them.

    Raises:
        ManifoldError: the rows of this world have no labels, or none has one of these.
    """
    import torch

    known = world.row_labels
    if known is None:
        raise ManifoldError("split 'own' is for rows of a .csv file or a data frame; the rows of this world have no labels")
    if chosen is None:
        raise ManifoldError("split 'own' needs rows=: numbers of rows of the file, or index labels of the data frame")
    single = isinstance(chosen, str) or (np.ndim(chosen) == 0 and not isinstance(chosen, range))
    labels = [plain_label(label) if hasattr(label, "item") else label for label in ([chosen] if single else list(chosen))]
    places = [known.place(label) for label in labels]
    parts: dict[str, Any] = {"held_out": world.held_out, "reference": world.reference}
    x = torch.stack([parts[split].x[row] for split, row in places])
    cells = torch.stack([parts[split].cells[row] for split, row in places])
    return Inputs(x, [row for _, row in places], single, cells, labels=labels)


def _as_rows(inputs: Any) -> list[int] | None:
    """Integers as a list of rows; None for anything else, such as a row of a table with its column names."""
    if isinstance(inputs, range):
        return list(inputs)
    if type(inputs) is int:
        return [inputs]
    if isinstance(inputs, list | tuple):
        whole = all(isinstance(item, int | np.integer) and not isinstance(item, bool) for item in inputs)
        return [int(item) for item in inputs] if whole else None
    named = is_frame(inputs) or (hasattr(inputs, "index") and _names(inputs))
    if named or isinstance(inputs, bool | str | bytes | dict):
        return None
    array = inputs.detach().cpu().numpy() if hasattr(inputs, "detach") else np.asarray(inputs)
    numbers = array.dtype.kind in "iu" and (array.ndim == 0 or (array.ndim == 1 and array.dtype.itemsize > 1))
    return array.reshape(-1).tolist() if numbers else None  # one byte each: pixels


def is_whole_row(X: Any) -> bool:
    """Whether this is one row of whole numbers, rather than the number of a row."""
    if isinstance(X, range | str | bytes | dict) or hasattr(X, "columns"):
        return False
    X = plain(X) if isinstance(X, list | tuple) else X
    if isinstance(X, list | tuple):
        return bool(X) and all(isinstance(value, int | np.integer) and not isinstance(value, bool) for value in X)
    return getattr(X, "ndim", 0) == 1 and np.asarray(X).dtype.kind in "iu"


def _names(inputs: Any) -> bool:
    """Whether the labels of a pandas Series are texts."""
    return any(isinstance(name, str) for name in getattr(inputs.index, "tolist", list)())


def _refuse_ambiguous(world: World, inputs: Any, rows: list[int], split: str) -> None:
    """Refuse integers that are as many as one input has values: they may be rows or an input.

    Raises:
        ManifoldError: says how to give rows and how to give an input.
    """
    if isinstance(inputs, range) or np.ndim(inputs) == 0 or not renderer_of(world).numeric:
        return
    size = len(world.units.columns) or int(np.prod(world.manifold.data_shape))
    if len(rows) != size:
        return
    shown = str(rows) if size <= 8 else "[...]"
    raise ManifoldError(
        f"{shown} are {size} whole numbers: {size} rows of the split {split!r}, or one input of {size} values? "
        f"Pass rows={shown} for the rows, or [{shown}], a batch of one, for the input"
    )


def read_targets(world: World, target: Any, n: int) -> list[int | None] | None:
    """Class indices of the targets of n inputs.

    Args:
        world: gives the classes and the task.
        target: None: the task's own rule. One name or index for all; `own`: a typical item of the input's own class; or a list
            of these, one per input.
        n: number of inputs.

    Returns:
        One class index per input, None for `own`; None as a whole where `target` is None.

    Raises:
        ManifoldError: an unknown class (close names are offered), or a list of another length.
    """
    if target is None:
        return None
    if not world.task.takes_target:
        raise ManifoldError(f"target {target!r}: the task {world.task.name!r} of this world takes none; leave it out")
    if isinstance(target, str) or np.ndim(target) == 0:
        per_input: Sequence[Any] = [target] * n
    else:
        per_input = list(target)
        if len(per_input) != n:
            raise ManifoldError(f"{len(per_input)} targets for {n} inputs; give one for all, or one each")
    known: dict[Any, int | None] = {}
    for name in per_input:
        plain = name.item() if hasattr(name, "item") else name
        if plain not in known:
            known[plain] = None if plain == OWN and OWN not in world.class_names else world.class_index(plain)
    return [known[name.item() if hasattr(name, "item") else name] for name in per_input]


def inputs_of_file(world: World, path: str | Path) -> Inputs:
    """The user's own inputs from a file, see `read_file`, with the number of each row in the file."""
    place = Path(in_home(path))
    if isinstance(world.units, SeriesUnits) and place.suffix.lower() in (".csv", ".tsv", ".ts"):
        series = _series(world, place)
        return read_given(world.units, series, tuple(world.manifold.data_shape))._replace(labels=list(range(len(series))))
    if isinstance(world.units, RowUnits) and place.suffix.lower() in (".csv", ".tsv") and place.is_file():
        rows, kept, given = _csv(world, place)
        found = read_given(world.units, rows, tuple(world.manifold.data_shape))
        return found._replace(kept=kept, given=None if kept is None else given, labels=kept or list(range(given)))
    return read_given(world.units, read_file(world, path), tuple(world.manifold.data_shape))


def read_file(world: World, path: str | Path) -> np.ndarray:
    """Read the user's own inputs from a file.

    An .npz holds them as `x` (or as its only array), an .npy is the array, a .csv or .tsv has the table's columns by name, and
    a picture is read as grey levels or colours in the scale and order of the data. A .txt has one sentence per line; a .tsv,
    .csv or .jsonl has them in one column: that of the world's own corpus if there is such a column, else `text` or `sentence`;
    in the encoding of that corpus.

    Args:
        world: where they are explained.
        path: of the file.

    Returns:
        The inputs in the user's units.

    Raises:
        ManifoldError: there is no such file, it is of another kind or damaged, or lacks the array, columns or size needed.
    """
    path = Path(in_home(path))
    if isinstance(world.units, TextUnits):
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
        return _csv(world, path)[0] if kind in (".csv", ".tsv") else _picture(world, path)
    except FileNotFoundError:
        raise ManifoldError(f"{path}: there is no such file") from None


def _series(world: World, path: Path) -> np.ndarray:
    """The series of a .ts file, or of the rows of a .csv file, in which a column of classes is left out."""
    if path.suffix.lower() == ".ts":
        return read_ts(path)[0]
    target = world.config.target_column
    try:
        return read_series_csv(path, target, world.config.encoding)[0]
    except UnknownNameError:  # it has no classes
        return read_series_csv(path, None, world.config.encoding)[0]


def csv_cells(world: World, path: Path) -> tuple[np.ndarray, Callable[[int], str]]:
    """Cells (n, C) of the world's own columns in their order, and from a row to its place in messages.

    Other columns are ignored. Nothing is left out or moved to the range of its column.

    Raises:
        ManifoldError: the world has no table, or the file lacks columns.
    """
    units = world.units
    if not isinstance(units, RowUnits):
        raise ManifoldError(f"{path}: holds rows of a table, but the modality of this world is {world.modality!r}")
    given = read_csv(path, at_least=1, encoding=world.config.encoding)
    lacking = [name for name in units.columns if name not in given.names]
    if lacking:
        raise ManifoldError(f"{path}: lacks the columns {lacking}; its first line must name {units.columns}")
    cells = given.cells[:, [given.names.index(name) for name in units.columns]]
    if isinstance(units, NumberUnits):
        cells = np.array([[as_number(t.strip()) if _is_number(t) else t for t in row] for row in cells], dtype=object)
    return cells, lambda row: f"{path}, line {given.lines[row]}"


def _csv(world: World, path: Path) -> tuple[np.ndarray, list[int] | None, int]:
    """Rows of the world's own columns that the table can represent; which rows of the file they are (None: all), and the
    number of rows in the file."""
    cells, where = csv_cells(world, path)
    units = world.units
    assert isinstance(units, RowUnits)
    count, kept = len(cells), None
    try:
        units.cells(cells, where)
    except ManifoldError as error:
        cells, kept = held_rows(units, cells, error, where)
    return (units.cells(cells).numpy() if isinstance(units, NumberUnits) else cells), kept, count


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
    if not renderer_of(world).shows_pictures:
        raise ManifoldError(f"{path}: is a picture, but the modality of this world is {world.modality!r}; give a .csv or .npz")
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
