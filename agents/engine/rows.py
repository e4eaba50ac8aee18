"""The rows of a file by number, so that every worker reads the rows of its own part."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from agents.console.cli import UserError
from agents.explanation.inputs import FILES, PICTURES, csv_cells, read_file
from envs.files import in_home

if TYPE_CHECKING:
    from envs.core.world import World

PARQUET = (".parquet", ".pq")


class Rows(NamedTuple):
    """Rows in the user's units.

    Attributes:
        size: how many there are.
        read: from (start, stop) to these rows, in the form that `agents.explain` takes: an array, a list of sentences, or a
            data frame.
    """

    size: int
    read: Callable[[int, int], Any]


def open_rows(world: World, path: str | Path) -> Rows:
    """The rows of a file, or the pictures of a folder in the order of their names.

    A Parquet file is read part by part; other files are read whole.

    Args:
        world: where they are explained.
        path: of a ``.parquet``, of a file that `agents.explanation.inputs.read_file` reads, or of a folder.

    Raises:
        ManifoldError, UserError: there is no such file, or it does not hold inputs of this world.
    """
    path = Path(in_home(str(path)))
    if path.is_dir():
        return _pictures(world, path)
    if path.suffix.lower() in PARQUET:
        return _parquet(world, path)
    if path.suffix.lower() in (".csv", ".tsv") and world.units.columns:
        return _held(csv_cells(world, path)[0])
    return _held(read_file(world, path))


def _held(rows: Any) -> Rows:
    return Rows(len(rows), lambda start, stop: rows[start:stop])


def _pictures(world: World, folder: Path) -> Rows:
    files = sorted(file for file in folder.iterdir() if file.suffix.lower() in PICTURES)
    if not files:
        raise UserError(f"{str(folder)!r} holds no pictures ({', '.join(PICTURES)}); rows of a table are read from one file")
    return Rows(len(files), lambda start, stop: np.concatenate([read_file(world, file) for file in files[start:stop]]))


def _parquet(world: World, path: Path) -> Rows:
    try:
        from pyarrow import ArrowException, parquet
    except ImportError:
        raise UserError(f"{path}: reading Parquet needs pyarrow: pip install 'manifold-traversal[parquet]'") from None
    try:
        file = parquet.ParquetFile(path)
        groups = [file.metadata.row_group(i).num_rows for i in range(file.metadata.num_row_groups)]
    except FileNotFoundError:
        raise UserError(f"{path}: there is no such file") from None
    except (ArrowException, OSError) as error:
        raise UserError(f"{path}: is damaged, or no Parquet file ({error})") from error
    names = list(file.schema_arrow.names)
    wanted = [str(name) for name in world.units.columns or ()] or [_text_column(names, path)]
    if lacking := [name for name in wanted if name not in names]:
        raise UserError(f"{path}: lacks the columns {lacking}; it has {names}, and the explained classifier takes {wanted}")
    ends = np.cumsum(groups)

    def read(start: int, stop: int) -> Any:
        first, last = (int(np.searchsorted(ends, row, side="right")) for row in (start, stop - 1))
        table = file.read_row_groups(list(range(first, last + 1)), columns=wanted)
        frame = table.slice(start - int(ends[first] - groups[first]), stop - start).to_pandas()
        return frame if world.units.columns else frame[wanted[0]].tolist()

    return Rows(int(ends[-1]) if groups else 0, read)


def _text_column(names: Sequence[str], path: Path) -> str:
    for name in ("text", "sentence"):
        if name in names:
            return name
    raise UserError(f"{path}: sentences are read from a column 'text' or 'sentence'; it has {list(names)}")


__all__ = ["FILES", "Rows", "open_rows"]
