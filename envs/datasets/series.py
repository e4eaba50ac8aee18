"""Series from files: ``.ts``, the format of the UCR and UEA archives, and tables with one series a row.

Source: Bagnall and others, "The UEA multivariate time series classification archive, 2018", arXiv:1811.00075, section 2.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np

from envs.datasets.arrays import Data
from envs.datasets.tables import HELD_OUT, _split, classes_of_column, read_csv
from envs.errors import ManifoldError, UnknownNameError
from envs.files import in_home
from envs.reading.files import read_text

TRAIN, TEST = "_TRAIN.ts", "_TEST.ts"  # ends of the names of a set's two files


def is_ts(data: object) -> bool:
    """Whether data are named as a ``.ts`` file."""
    return isinstance(data, str | Path) and str(data).lower().endswith(".ts")


def load_ts(path: str | Path, seed: int = 0, test_size: float = HELD_OUT) -> Data:
    """Load series of one length from a ``.ts`` file.

    The held-out series are those of ``NAME_TEST.ts`` if the file is ``NAME_TRAIN.ts`` and the other lies beside it, else a
    share of the file.

    Args:
        path: The file.
        seed: Seed of the split.
        test_size: Share of held-out series.

    Raises:
        ManifoldError: If the file is missing or damaged, or its series have gaps, time stamps or different lengths.
    """
    path = Path(in_home(path))
    x, labels, names = read_ts(path)
    other = path.with_name(path.name.removesuffix(TRAIN) + TEST)
    if not path.name.endswith(TRAIN) or not other.is_file():
        return _shared(x, labels, names, seed, test_size)
    more, theirs, _ = read_ts(other)
    if more.shape[1:] != x.shape[1:]:
        raise ManifoldError(f"{other}: series of shape {more.shape[1:]}, those of {path.name} have {x.shape[1:]}")
    if labels is None or theirs is None or names is None:
        return Data(x, more, modality="series")
    for label in theirs:
        if label not in names:
            raise UnknownNameError(f"class of {other}", label, names)
    truth, held_out_truth = (np.array([names.index(label) for label in part]) for part in (labels, theirs))
    return Data(x, more, truth, held_out_truth, names, modality="series")


def read_ts(path: str | Path) -> tuple[np.ndarray, list[str] | None, list[str] | None]:
    """Series (N, T) or (N, C, T), their labels, and the names of the classes; None without class labels.

    Raises:
        ManifoldError: See `load_ts`; the message names the line.
    """
    try:
        lines = read_text(path).splitlines()
    except FileNotFoundError as error:
        raise ManifoldError(f"no data file {path}") from error
    header: dict[str, list[str]] = {}
    series: list[list[list[float]]] = []
    labels: list[str] = []
    inside, first = False, 0
    for number, line in enumerate(lines, start=1):
        text, where = line.strip(), f"{path}, line {number}"
        if not text or text.startswith(("#", "%")):
            continue
        if not inside:
            if not text.startswith("@"):
                raise ManifoldError(f"{where}: a line such as @data is needed before the series, not {text[:40]!r}")
            name, *values = text[1:].split() or [""]
            header[name.lower()] = values
            inside = name.lower() == "data"
            continue
        if header.get("timestamps", ["false"])[0].lower() == "true":
            raise ManifoldError(f"{path}: has time stamps; resample the series to regular times, without stamps")
        channels = text.split(":")
        if _labelled(header):
            labels.append(channels.pop().strip())
        if not channels:
            raise ManifoldError(f"{where}: a class without a series; each line is channels and the class, divided by ':'")
        series.append([_values(part, where) for part in channels])
        first = first or number
        if [len(part) for part in series[-1]] != [len(series[0][0])] * len(series[0]):
            points = sorted({len(part) for part in series[-1]})
            raise ManifoldError(
                f"{where}: {len(series[-1])} channels of {points} points, line {first} has "
                f"{len(series[0])} of {len(series[0][0])}; series of one length are needed: cut, pad or resample them"
            )
    if len(series) < 2:
        raise ManifoldError(f"{path}: holds {len(series)} series below a line @data; at least 2 are needed")
    x = np.array(series)
    x = x[:, 0] if x.shape[1] == 1 else x
    if not _labelled(header):
        return x, None, None
    declared = header["classlabel"][1:] or sorted(set(labels))
    for label in labels:
        if label not in declared:
            raise UnknownNameError(f"class of {path}", label, declared)
    return x, labels, declared


def load_series_csv(
    path: str | Path, target: str | None = None, seed: int = 0, test_size: float = HELD_OUT, encoding: str = "utf-8"
) -> Data:
    """Load a CSV file with one series a row: its columns are points in order, and one may hold the classes.

    Args:
        path: The file.
        target: Column of the classes; None: there are none.
        seed: Seed of the split.
        test_size: Share of held-out series.
        encoding: Encoding of the file.

    Raises:
        ManifoldError: If a point is not a number; the message names line and column.
    """
    x, labels = read_series_csv(path, target, encoding)
    names = None if labels is None else classes_of_column(labels, str(target))
    return _shared(x, labels, names, seed, test_size)


def read_series_csv(path: str | Path, target: str | None, encoding: str = "utf-8") -> tuple[np.ndarray, list[str] | None]:
    """Series (N, T) and their labels, or None, of a CSV file; see `load_series_csv`. One row is enough."""
    rows = read_csv(path, at_least=1, encoding=encoding)
    if target is not None and target not in rows.names:
        raise UnknownNameError("target column", target, rows.names)
    points = [j for j, name in enumerate(rows.names) if name != target]
    x = np.empty((len(rows.cells), len(points)))
    for row, line in enumerate(rows.lines):
        for place, j in enumerate(points):
            try:
                x[row, place] = float(rows.cells[row, j])
            except (TypeError, ValueError):
                raise ManifoldError(
                    f"{path}, line {line}, column {rows.names[j]!r} is {rows.cells[row, j]!r}: every column of a file of "
                    "series is a point, a number; name the column of the classes with --target-column"
                ) from None
    return x, None if target is None else [str(cell).strip() for cell in rows.cells[:, rows.names.index(target)]]


def _labelled(header: dict[str, list[str]]) -> bool:
    return header.get("classlabel", ["false"])[0].lower() == "true"


def _values(part: str, where: str) -> list[float]:
    try:
        return [float(text) for text in part.split(",")]
    except ValueError:
        gap = "a gap ('?'); fill it, for example by interpolation in time" if "?" in part else f"no numbers: {part[:40]!r}"
        raise ManifoldError(f"{where}: holds {gap}") from None


def _shared(x: np.ndarray, labels: list[str] | None, names: list[str] | None, seed: int, test_size: float) -> Data:
    """Series in a reference and a held-out share."""
    truth = None if labels is None or names is None else np.array([names.index(label) for label in labels])
    train, test = _split(len(x), truth, seed, test_size)
    return Data(
        x[train],
        x[test],
        None if truth is None else truth[train],
        None if truth is None else truth[test],
        names,
        modality="series",
        labels=train.tolist(),
        held_out_labels=test.tolist(),
    )
