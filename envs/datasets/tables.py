"""The user's own table from a CSV file, with or without a description of its columns."""

from __future__ import annotations

import csv
import io
import math
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from envs.datasets.arrays import Data
from envs.errors import ManifoldError, UnknownNameError
from envs.files import in_home
from envs.modalities.columns import Column, Table, by_size, is_plain_number, read_description, text_of
from envs.modalities.inferred_columns import describe
from envs.modalities.table import TableUnits
from envs.reading.files import read_text

SEPARATORS = ",;\t|"
EMPTY = ("", "NA", "N/A", "NaN", "nan", "null", "None")  # texts that pandas reads as missing
MOST_NUMBERS = 20  # different numbers of a target column that pass as classes without a warning
HELD_OUT = 0.3  # share of held-out rows


class Rows(NamedTuple):
    """A CSV file as it is.

    Attributes:
        names: Names of the columns.
        cells: Texts, (N, columns).
        lines: Line of each row in the file.

    Example:
        >>> Rows(["age"], np.array([["17"]], dtype=object), [2]).names
        ['age']
    """

    names: list[str]
    cells: np.ndarray
    lines: list[int]


def read_csv(path: str | Path, at_least: int = 2, encoding: str = "utf-8") -> Rows:
    """Read the cells of a CSV file whose first line names the columns.

    The separator is whichever of ``, ; tab |`` occurs most in that line.

    Args:
        path: The file.
        at_least: Smallest number of rows.
        encoding: Encoding of the file.

    Raises:
        UnknownNameError: If there is no such encoding.
        ManifoldError: If the file is missing or has another encoding, has no rows, or a row of another length, or if column
            names are missing or repeated.
    """
    path = Path(in_home(path))
    try:
        text = read_text(path, encoding)
        try:
            names, cells, lines = _parsed(path, text, blanks=True)
        except (ManifoldError, csv.Error):  # quotes behind blanks: a, "b, c"
            names, cells, lines = _parsed(path, text, blanks=False)
    except FileNotFoundError as error:
        raise ManifoldError(f"no data file {path}") from error
    except LookupError:
        raise UnknownNameError("encoding", encoding, ("utf-8", "cp1252", "latin-1", "utf-16")) from None
    except csv.Error as error:
        raise ManifoldError(f"cannot read {path} as CSV: {error}") from error
    _check_names(path, names)
    if len(cells) < at_least:
        raise ManifoldError(f"{path} holds {len(cells)} rows below its first line; at least {at_least} are needed")
    return Rows(names, np.array(cells, dtype=object), lines)


def _parsed(path: Path, text: str, blanks: bool) -> tuple[list[str], list[list[str]], list[int]]:
    """Names, cells and lines of the text of a CSV file. Spaces before a cell belong to it, as in pandas, if `blanks`."""
    separator = max(SEPARATORS, key=text.partition("\n")[0].count)
    stream = io.StringIO(text, newline="")
    reader = csv.reader(stream, delimiter=separator, skipinitialspace=not blanks, strict=True)
    names = [name.strip() for name in next(reader, [])]
    cells, lines = [], []
    for row in reader:
        if not row:
            continue  # an empty line
        if len(row) != len(names):
            raise ManifoldError(
                f"{path}, line {reader.line_num}: {len(row)} values, the first line names {len(names)} columns"
            )
        cells.append(row)
        lines.append(reader.line_num)
    return names, cells, lines


def _check_names(path: Path, names: Sequence[str]) -> None:
    if not names or all(not name for name in names):
        raise ManifoldError(f"{path} is empty: its first line must name the columns")
    seen: set[str] = set()
    for place, name in enumerate(names):
        if not name:
            raise ManifoldError(f"{path}, line 1: column {place + 1} has no name")
        if name in seen:
            raise ManifoldError(f"{path}, line 1: two columns are called {name!r}")
        seen.add(name)


def load_csv(
    path: str | Path,
    description: Any = None,
    target: str | None = None,
    seed: int = 0,
    test_size: float = HELD_OUT,
    encoding: str = "utf-8",
    scored: bool = False,
) -> Data:
    """Load a CSV file: rows in the user's own values, described columns, and a held-out share.

    Args:
        path: The file.
        description: See `envs.modalities.columns`: a file or a mapping. What it leaves out is inferred.
        target: Column of the classes; default: the description's. Without one there are no true classes.
        seed: Seed of the split.
        test_size: Share of held-out rows. The split is stratified if each class has two rows.
        encoding: Encoding of the file.
        scored: The target column holds numbers, not classes.

    Raises:
        ManifoldError: If the file contradicts itself or the description; the message names line and column.
    """
    rows = read_csv(path, encoding=encoding)
    described = read_description({} if description is None else description)
    target = target or described["target"]

    def where(row: int) -> str:
        return f"{path}, line {rows.lines[row]}"

    if target is not None and target not in rows.names:
        raise UnknownNameError("target column", target, rows.names)
    truth: np.ndarray | None = None
    names: list[str] | None = None
    if target is not None and scored:
        truth = _numbers(rows, target, where)
    elif target is not None:
        truth, names = _classes(rows, target, described["missing"], where)
    columns = describe(rows.names, rows.cells, described, where, target)
    table = Table(tuple(columns), tuple(described["missing"]), target)
    cells = rows.cells[:, [rows.names.index(column.name) for column in columns]]
    for j, column in enumerate(columns):
        cells[:, j] = typed(cells[:, j], column, described["missing"])
    TableUnits.of_table(cells, table, where)  # refuses values outside the description, with their line
    train, test = _split(len(cells), truth, seed, test_size)
    return Data(
        cells[train],
        cells[test],
        None if truth is None else truth[train],
        None if truth is None else truth[test],
        names,
        [column.name for column in columns],
        table=table,
        labels=train.tolist(),
        held_out_labels=test.tolist(),
        lines=rows.lines,
    )


def typed(texts: np.ndarray, column: Column, missing: Sequence[str]) -> list[Any]:
    """The texts of a column as pandas reads them, which is what most classifiers of tables were fitted to.

    Numbers become int or float (except codes such as 00171), True and False bool, and missing values NaN (except texts such as
    "?"). Other texts stay as they are, with their spaces.

    Args:
        texts: Texts of the column, (N,).
        column: Its description.
        missing: Texts that mean "unknown".
    """
    bare = [text_of(text) for text in texts]
    absent = [text in missing and (text in EMPTY or column.kind == "number") for text in bare]
    known = {text for text, gone in zip(bare, absent, strict=True) if not gone}
    kind: Any = None
    if column.date:
        pass
    elif column.kind == "number":
        kind = as_number
    elif known and known <= {"True", "False"}:
        kind = "True".__eq__
    elif known and all(is_plain_number(text) for text in known):
        kind = int if not any(absent) and all(text.lstrip("-").isdecimal() for text in known) else float
    values = zip(texts, bare, absent, strict=True)
    return [math.nan if gone else text if kind is None else kind(plain) for text, plain, gone in values]


def as_number(text: str) -> int | float:
    """The number that a text represents. Whole numbers are int, so no digit is lost."""
    return int(text) if text.lstrip("+-").isdecimal() else float(text)


def describe_rows(rows: np.ndarray, names: Sequence[str] | None, description: Any, partial: bool = False) -> Table:
    """Describe the columns of rows in memory.

    Args:
        rows: Rows in the user's values, (N, C).
        names: Names of the columns; without them the description must name every column.
        description: See `envs.modalities.columns`.
        partial: Columns may be ignored: the rows have names, and the table is a part of them.

    Raises:
        ManifoldError: If the number of names differs from that of columns, or values contradict the description.
    """
    described = read_description(description)
    names = list(described["columns"]) if names is None else list(names)
    if len(names) != rows.shape[1]:
        raise ManifoldError(f"{len(names)} column names for {rows.shape[1]} columns: {names}")
    columns = describe(names, rows, described, lambda row: f"row {row}")
    if len(columns) != rows.shape[1] and not partial:
        raise ManifoldError("rows in memory cannot have ignored columns; remove them from the array")
    return Table(tuple(columns), tuple(described["missing"]))


def _classes(rows: Rows, target: str, missing: Sequence[str], where: Any) -> tuple[np.ndarray, list[str]]:
    """Class index of each row, and the class names in order."""
    texts = [text_of(cell) for cell in rows.cells[:, rows.names.index(target)]]
    for row, text in enumerate(texts):
        if text in missing:
            raise ManifoldError(f"{where(row)}, column {target!r}: the class is missing ({text!r}); remove such rows")
    names = classes_of_column(texts, target)
    index = {name: k for k, name in enumerate(names)}
    return np.array([index[text] for text in texts], dtype=np.int64), names


def classes_of_column(texts: Sequence[str], target: str) -> list[str]:
    """The class names in the target column, in order.

    Raises:
        ManifoldError: If there is only one, or too many for classes.
    """
    names = sorted(set(texts), key=by_size)
    if len(names) < 2:
        raise ManifoldError(f"the target column {target!r} holds only one class, {names[0]!r}")
    if len(names) > len(texts) / 2:
        raise ManifoldError(
            f"the target column {target!r} holds {len(names)} different values in {len(texts)} rows, too many for classes; "
            "group them into ranges first, or explain a predicted number: outputs='score' (--outputs score)"
        )
    if len(names) > MOST_NUMBERS and all(by_size(name)[0] == 0 for name in names):
        warnings.warn(
            f"the target column {target!r} holds {len(names)} different numbers, and each is a class: to explain a predicted "
            "number, pass outputs='score' (--outputs score)",
            stacklevel=4,
        )
    return names


def _numbers(rows: Rows, target: str, where: Any) -> np.ndarray:
    """The numbers of the target column, float64."""
    found = []
    for row, cell in enumerate(rows.cells[:, rows.names.index(target)]):
        try:
            found.append(float(text_of(cell)))
        except ValueError:
            raise ManifoldError(
                f"{where(row)}, column {target!r}: {text_of(cell)!r} is not a number, and a model with a score predicts "
                "numbers: name another target column, or leave outputs='score' out"
            ) from None
    if not np.isfinite(found).all():
        raise ManifoldError(
            f"{where(int(np.argmin(np.isfinite(found))))}, column {target!r}: the number is missing or infinite"
        )
    return np.array(found)


def _split(count: int, truth: np.ndarray | None, seed: int, test_size: float) -> tuple[np.ndarray, np.ndarray]:
    """Indices of reference rows and of held-out rows."""
    from sklearn.model_selection import train_test_split

    even = (
        None
        if truth is None or truth.dtype.kind == "f" or np.bincount(truth).min() < 2 or count * test_size < truth.max() + 1
        else truth
    )
    train, test = train_test_split(np.arange(count), test_size=test_size, stratify=even, random_state=seed)
    return train, test
