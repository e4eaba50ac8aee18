"""The user's own corpus from a file: one sentence per line, or a column of a table."""

from __future__ import annotations

import csv
import io
from pathlib import Path
from typing import Any

import numpy as np

from envs.datasets.arrays import Data
from envs.errors import ManifoldError, UnknownNameError
from envs.files import in_home
from envs.modalities.vocabulary import check_text
from envs.reading.files import LARGEST_TEXT, parse_json, read_bytes

FILES = (".txt", ".tsv", ".csv", ".jsonl")
TEXT_COLUMNS = ("text", "sentence")
LABEL_COLUMN = "label"
Row = tuple[int, Any, str | None]  # line, text, label or None


def is_corpus(data: Any, text_column: str | None) -> bool:
    """Whether data name a file of sentences.

    A .csv file is a corpus if the column of sentences is named, and a .tsv file also if its first line has such a column.
    Otherwise both are tables.

    Args:
        data: Data as given to `envs.make_world`.
        text_column: Column of the sentences, if given.
    """
    if not isinstance(data, str | Path):
        return False
    kind = Path(data).suffix.lower()
    if kind == ".tsv" and text_column is None:
        return _has_texts(in_home(Path(data)))
    return kind in FILES and (kind != ".csv" or text_column is not None)


def _has_texts(path: Path) -> bool:
    """Whether the first line of a .tsv file names a column of sentences."""
    try:
        head = read_bytes(path, LARGEST_TEXT).partition(b"\n")[0].decode("utf-8-sig", errors="replace")
    except (OSError, ManifoldError):  # said when the sentences are read
        return True
    return not {name.strip().strip('"') for name in head.split("\t")}.isdisjoint(TEXT_COLUMNS)


def read_corpus(
    path: str | Path,
    text_column: str | None = None,
    label_column: str | None = None,
    encoding: str = "utf-8",
    labelled: bool = True,
) -> Data:
    """Read sentences, with their classes if the file has them.

    Args:
        path: ``.txt`` with one sentence per line; ``.tsv`` or ``.csv`` with names in the first line; ``.jsonl`` with one
            object per line. Lines without a word are skipped.
        text_column: Column of the sentences; default: ``text`` or ``sentence``.
        label_column: Column of the classes; default: ``label``, if it exists.
        encoding: Encoding of the file.
        labelled: Whether to read classes.

    Returns:
        The sentences as `Data`.

    Raises:
        ManifoldError: If the file is missing or of another kind or encoding (with the line), a column is missing, or there is
            no sentence.
    """
    path = Path(in_home(path))
    if path.suffix.lower() not in FILES:
        raise ManifoldError(f"{path}: a corpus is read from {', '.join(FILES)}")
    rows = _rows(path, _decoded(path, encoding), text_column, label_column)
    texts = [check_text(text, f"{path}, line {line}") for line, text, _ in rows]
    if not any(text.split() for text in texts):
        raise ManifoldError(f"{path}: the corpus is empty: no line has a word")
    kept = [(text, label) for text, (_, _, label) in zip(texts, rows, strict=True) if text.split()]
    x = np.array([text for text, _ in kept], dtype=object)
    labels = [label for _, label in kept]
    if not labelled or any(label is None for label in labels):
        return Data(x)
    names = sorted({str(label) for label in labels})
    if len(names) < 2:
        raise ManifoldError(f"{path}: every sentence has the label {names[0]!r}; at least two classes are needed")
    return Data(x, truth=np.array([names.index(str(label)) for label in labels]), class_names=names)


def _decoded(path: Path, encoding: str) -> str:
    try:
        content = read_bytes(path, LARGEST_TEXT)
    except FileNotFoundError:
        raise ManifoldError(f"no data file {path}") from None
    try:
        return content.decode("utf-8-sig" if encoding.lower() in ("utf-8", "utf8") else encoding)
    except LookupError:
        raise UnknownNameError("encoding", encoding, ("utf-8", "cp1252", "latin-1", "utf-16")) from None
    except UnicodeDecodeError as error:
        line = content[: error.start].count(b"\n") + 1
        raise ManifoldError(
            f"{path}, line {line}: byte 0x{content[error.start]:02x} is not {encoding}; "
            "name the file's encoding, for example encoding=cp1252"
        ) from None


def _rows(path: Path, content: str, text_column: str | None, label_column: str | None) -> list[Row]:
    """Every row of the file."""
    kind = path.suffix.lower()
    if kind == ".txt":
        # Not splitlines(): it also splits at characters that do not end a line.
        return [(line, text.rstrip("\r"), None) for line, text in enumerate(content.split("\n"), start=1)]
    if kind == ".jsonl":
        return _json_rows(path, content, text_column, label_column)
    stream = io.StringIO(content, newline="")
    if kind == ".tsv":
        reader = csv.DictReader(stream, delimiter="\t", quoting=csv.QUOTE_NONE)
    else:
        reader = csv.DictReader(stream)
    try:
        names = list(reader.fieldnames or [])
        text, label = _columns(path, names, text_column, label_column)
        return [(reader.line_num, row[text] or "", None if label is None else row[label] or "") for row in reader]
    except csv.Error as error:
        raise ManifoldError(f"{path}, line {reader.line_num}: {error}") from None


def _json_rows(path: Path, content: str, text_column: str | None, label_column: str | None) -> list[Row]:
    rows: list[Row] = []
    text = label = None
    for line, part in enumerate(content.split("\n"), start=1):
        if not part.strip():
            continue
        entry = parse_json(part, f"{path}, line {line}")
        if not isinstance(entry, dict):
            raise ManifoldError(f'{path}, line {line}: an object is needed, {{"text": ...}}, not {part.strip()[:40]}')
        if text is None:
            text, label = _columns(path, list(entry), text_column, label_column)
        if text not in entry or (label is not None and label not in entry):
            raise ManifoldError(f"{path}, line {line}: lacks {text!r}{'' if label is None else f' or {label!r}'}")
        rows.append((line, entry[text], None if label is None else str(entry[label])))
    return rows


def _columns(path: Path, names: list[str], text: str | None, label: str | None) -> tuple[str, str | None]:
    """Names of the columns of texts and of labels (None if there are no labels)."""
    for wanted in (text, label):
        if wanted is not None and wanted not in names:
            raise UnknownNameError(f"column of {path}", wanted, names)
    found = text or next((name for name in TEXT_COLUMNS if name in names), None)
    if found is None:
        raise ManifoldError(f"{path}: has no column {' or '.join(TEXT_COLUMNS)}, but {names}; pass text_column=")
    return found, label or (LABEL_COLUMN if LABEL_COLUMN in names else None)
