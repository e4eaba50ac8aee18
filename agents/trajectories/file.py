"""The file format of paths: an ``.npz`` of numbers and one JSON text, written atomically, with a checksum of all content."""

from __future__ import annotations

import hashlib
import io
import json
import os
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from agents.console.cli import UserError
from agents.files import write_whole
from agents.runs.checks import check_fields
from envs.files import in_home
from envs.reading.files import parse_json, read_npz

FORMAT_VERSION = 2


class TrajectoryError(UserError):
    """A path that cannot be read or used, or whose parts contradict each other; the message says what to do.

    Example:
        >>> str(TrajectoryError("z has shape (3,)"))
        'z has shape (3,)'
    """


def write_parts(path: str | os.PathLike[str], arrays: Mapping[str, np.ndarray], text: str) -> Path:
    """Write a file atomically.

    Args:
        path: of the file; ``.npz`` is added if missing.
        arrays: of numbers.
        text: JSON.

    Returns:
        The path of the file.
    """
    target = Path(in_home(os.fspath(path)))
    target = target if target.suffix == ".npz" else target.with_name(target.name + ".npz")
    content: dict[str, Any] = {"metadata": np.array([text]), "checksum": np.array([checksum(arrays, text)]), **arrays}
    packed = io.BytesIO()
    np.savez_compressed(packed, **content)
    target.parent.mkdir(parents=True, exist_ok=True)
    write_whole(target, packed.getvalue())
    return target


def file_name(words: Sequence[str]) -> str:
    """A file name for any system; each word gives at most 40 bytes of digits, underscores, and letters that it may have."""
    system = sys.getfilesystemencoding()
    known = (word.encode(system, "replace").decode(system) for word in words)  # `?` for what file names cannot have
    plain = ("".join(c if c.isalnum() else "_" for c in word) for word in known)
    return "-".join(word.encode()[:40].decode(errors="ignore") or "_" for word in plain)


def blanked(arrays: dict[str, np.ndarray], hidden: dict[str, Any] | None) -> dict[str, np.ndarray]:
    """The arrays of a path without the values of its hidden columns."""
    if not hidden:
        return arrays
    arrays = {**arrays, "source_cells": arrays["source_cells"].copy(), "source_input": arrays["source_input"].copy()}
    for column, *places in hidden.values():
        arrays["source_cells"][column] = np.nan
        arrays["source_input"][places] = 0
    return arrays


def as_text(fields: Mapping[str, Any]) -> str:
    """The fields without the arrays as one JSON text.

    Raises:
        TrajectoryError: more than texts and numbers.
    """
    try:
        return json.dumps({"format": FORMAT_VERSION, **fields}, sort_keys=True)
    except TypeError as error:
        raise TrajectoryError(f"environment or versions hold more than texts and numbers: {error}") from None


def as_object(arrays: Mapping[str, np.ndarray], text: str) -> dict[str, Any]:
    """One object of JSON's types: the fields of the text, and the arrays as nested lists, with None for nan."""
    whole: dict[str, Any] = {**json.loads(text), **{name: value.tolist() for name, value in arrays.items()}}
    for name in ("information_gain", "source_cells"):
        if name in whole:
            whole[name] = [None if np.isnan(value) else value for value in whole[name]]
    return whole


def read_parts(path: str | os.PathLike[str]) -> tuple[dict[str, np.ndarray], dict[str, Any]]:
    """Read the arrays and the fields of the JSON text of `write_parts`; nothing is executed.

    Raises:
        TrajectoryError: the file is missing, truncated, changed since it was written, of another format, or has pickles.
    """
    arrays = _unpack(path)
    try:
        text, expected = str(arrays.pop("metadata")[0]), str(arrays.pop("checksum")[0])
    except (KeyError, IndexError) as error:
        raise TrajectoryError(f"{path}: is an .npz, but no path of this project ({error!r})") from None
    fields = parse_json(text, f"{path}, metadata", error=TrajectoryError)
    if not isinstance(fields, dict) or "format" not in fields:
        raise TrajectoryError(f"{path}: is an .npz, but no path of this project (its metadata has no format)")
    version = fields.pop("format")
    if version != FORMAT_VERSION:
        raise TrajectoryError(
            f"{path}: was written in format {version!r:.40}, this version reads {FORMAT_VERSION}; read it "
            "with the version of manifold-traversal that wrote it, or explain the input again"
        )
    if expected != checksum(arrays, text):
        raise TrajectoryError(f"{path}: does not match its checksum: changed or damaged after it was written")
    check_fields(fields, str(path), TrajectoryError)
    for name, array in arrays.items():
        if array.dtype.kind not in "fiu":
            raise TrajectoryError(f"{path}: {name} holds {array.dtype}; a path is made of numbers")
    return arrays, fields


def checksum(arrays: Mapping[str, np.ndarray], text: str) -> str:
    """sha256 of the metadata and of the name, type, shape and bytes of every array."""
    digest = hashlib.sha256(text.encode())
    for name in sorted(arrays):
        digest.update(f"\n{name} {arrays[name].dtype.str} {arrays[name].shape}\n".encode())
        digest.update(np.ascontiguousarray(arrays[name]).tobytes())
    return digest.hexdigest()


def _unpack(path: str | os.PathLike[str]) -> dict[str, np.ndarray]:
    """Read the arrays of an .npz without pickle.

    Raises:
        TrajectoryError: the file cannot be read.
    """
    try:
        return read_npz(Path(in_home(os.fspath(path))), error=TrajectoryError)
    except FileNotFoundError:
        raise TrajectoryError(f"{path}: there is no such file; a run keeps its paths in paths/") from None
