"""A path on disk: an ``.npz`` of numbers and one JSON text, written atomically, with a checksum over everything inside."""

from __future__ import annotations

import hashlib
import io
import json
import os
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from agents.atomic import write_whole
from agents.cli import UserError, in_home

FORMAT_VERSION = 2
LARGEST_FILE = 1 << 30  # bytes once unpacked: a path is far smaller


class TrajectoryError(UserError):
    """A path that cannot be read or used, or whose parts contradict each other; the message says what to do."""


def write_parts(path: str | os.PathLike[str], arrays: Mapping[str, np.ndarray], text: str) -> Path:
    """Write arrays and a JSON text beside their place and rename the file whole; ``.npz`` is added if missing."""
    target = Path(in_home(os.fspath(path)))
    target = target if target.suffix == ".npz" else target.with_name(target.name + ".npz")
    content: dict[str, Any] = {"metadata": np.array([text]), "checksum": np.array([checksum(arrays, text)]), **arrays}
    packed = io.BytesIO()
    np.savez_compressed(packed, **content)
    target.parent.mkdir(parents=True, exist_ok=True)
    write_whole(target, packed.getvalue())
    return target


def read_parts(path: str | os.PathLike[str]) -> tuple[dict[str, np.ndarray], dict[str, Any]]:
    """The arrays and the fields of the JSON text that `write_parts` wrote; nothing is executed.

    Raises:
        TrajectoryError: missing, truncated, changed since it was written, of another format, or with pickles.
    """
    arrays = _unpack(path)
    try:
        text, expected = str(arrays.pop("metadata")[0]), str(arrays.pop("checksum")[0])
        fields = json.loads(text)
        version = fields.pop("format")
    except (KeyError, IndexError, ValueError, AttributeError) as error:
        raise TrajectoryError(f"{path}: is an .npz, but no path of this project ({error!r})") from None
    if version != FORMAT_VERSION:
        raise TrajectoryError(
            f"{path}: was written in format {version}, this version reads {FORMAT_VERSION}; read it "
            "with the version of manifold-traversal that wrote it, or walk again"
        )
    if expected != checksum(arrays, text):
        raise TrajectoryError(f"{path}: does not match its checksum: changed or damaged after it was written")
    return arrays, fields


def checksum(arrays: Mapping[str, np.ndarray], text: str) -> str:
    """sha256 over the metadata and every array's name, type, shape and bytes."""
    digest = hashlib.sha256(text.encode())
    for name in sorted(arrays):
        digest.update(f"\n{name} {arrays[name].dtype.str} {arrays[name].shape}\n".encode())
        digest.update(np.ascontiguousarray(arrays[name]).tobytes())
    return digest.hexdigest()


def _unpack(path: str | os.PathLike[str]) -> dict[str, np.ndarray]:
    """The arrays of an .npz, read without pickle; TrajectoryError for whatever is wrong with the file."""
    try:
        content = Path(in_home(os.fspath(path))).read_bytes()
        with zipfile.ZipFile(io.BytesIO(content)) as parts:
            if sum(part.file_size for part in parts.infolist()) > LARGEST_FILE:
                raise TrajectoryError(f"{path}: unpacks to more than {LARGEST_FILE >> 20} MB; that is no path")
        with np.load(io.BytesIO(content), allow_pickle=False) as archive:
            return {name: archive[name] for name in archive.files}
    except TrajectoryError:
        raise
    except FileNotFoundError:
        raise TrajectoryError(f"{path}: there is no such file; a run keeps its paths in paths/") from None
    except OSError as error:
        raise TrajectoryError(f"{path}: cannot be read ({error.strerror or error})") from None
    except Exception as error:  # zipfile, zlib and numpy raise many kinds for a damaged file
        if isinstance(error, ValueError) and "allow_pickle" in str(error):
            raise TrajectoryError(f"{path}: holds pickled objects, which could run code: refused") from None
        raise TrajectoryError(f"{path}: no path file, or truncated or damaged ({type(error).__name__})") from None
