"""The user's own data: arrays in memory, or an .npz file named on the command line."""

from __future__ import annotations

import zipfile
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from envs.errors import ManifoldError


class Data(NamedTuple):
    """Raw data in the user's units.

    Attributes:
        x: (N, ...) what the manifold is fitted to and walks start from.
        held_out: (M, ...) what explanations are asked for, or None.
        truth, held_out_truth: true class index of each row, or None.
        class_names, columns: names, or None.
        data_shape: shape of one datum where the rows are flattened pictures, else None.
        pixel_range, channels: what is known of pictures (see `envs.make_world`), else None.
        table: what is known of a mixed table's columns (see `envs.datasets.tables.Table`); x then holds the user's own values.
        frame: the columns of the data frame that x came as (see `envs.datasets.frames.Frame`), or None.
        own: that data frame.
    """

    x: np.ndarray
    held_out: np.ndarray | None = None
    truth: np.ndarray | None = None
    held_out_truth: np.ndarray | None = None
    class_names: list[str] | None = None
    columns: list[str] | None = None
    data_shape: tuple[int, ...] | None = None
    table: Any = None
    pixel_range: tuple[float, ...] | None = None
    channels: str | None = None
    frame: Any = None
    own: Any = None


def load_npz(path: str | Path) -> Data:
    """Data from an .npz file with arrays named as the fields of `Data`; only ``x`` is needed (``X`` is taken for it).

    Raises:
        ManifoldError: no such file, damaged, pickled objects inside, or no array ``x``.
    """
    path = Path(path)
    try:
        with path.open("rb") as file:
            archive = np.load(file, allow_pickle=False)
            if isinstance(archive, np.ndarray):
                raise ManifoldError(f"{path} holds a single array; save it with numpy.savez(path, x=array)")
            arrays: dict[str, Any] = {name: archive[name] for name in archive.files}
    except FileNotFoundError as error:
        raise ManifoldError(f"no data file {path}") from error
    except ManifoldError:
        raise
    except (OSError, ValueError, EOFError, zipfile.BadZipFile) as error:
        raise ManifoldError(f"cannot read {path} as an .npz file without pickled objects: {error}") from error
    if "X" in arrays:
        arrays.setdefault("x", arrays.pop("X"))
    if "x" not in arrays:
        raise ManifoldError(f"{path} has no array named 'x' (it has {sorted(arrays)}); save it with numpy.savez(path, x=rows)")
    known = {name: arrays[name] for name in Data._fields if name in arrays and name not in ("table", "frame", "own")}
    for name in ("class_names", "columns"):
        if name in known:
            known[name] = [str(item) for item in known[name]]
    if "data_shape" in known:
        known["data_shape"] = tuple(int(n) for n in known["data_shape"])
    if "pixel_range" in known:
        known["pixel_range"] = tuple(known["pixel_range"].ravel().tolist())
    if "channels" in known:
        known["channels"] = str(known["channels"])
    return Data(**known)
