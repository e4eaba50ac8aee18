"""The user's own data: arrays in memory, or an .npz file named on the command line."""

from __future__ import annotations

from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from envs.errors import ManifoldError
from envs.reading.files import read_npz


class Data(NamedTuple):
    """Raw data in the user's units.

    Attributes:
        x: (N, ...) what the manifold is fitted to and walks start from.
        held_out: (M, ...) what explanations are asked for, or None.
        truth, held_out_truth: true class index of each row, or None.
        class_names, columns: names, or None.
        data_shape: shape of one datum where the rows are flattened pictures, else None.
        pixel_range, channels: what is known of pictures (see `envs.make_world`), else None.
        table: the description of a mixed table (`envs.modalities.columns.Table`); x then holds the user's own values.
        frame: the columns of the data frame that x came as (see `envs.modalities.data_frame.Frame`), or None.
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
    path = Path(path).expanduser()
    try:
        arrays: dict[str, Any] = dict(read_npz(path))
    except FileNotFoundError as error:
        raise ManifoldError(f"no data file {path}") from error
    if "X" in arrays:
        arrays.setdefault("x", arrays.pop("X"))
    if "x" not in arrays:
        raise ManifoldError(f"{path} has no array named 'x' (it has {sorted(arrays)}); save it with numpy.savez(path, x=rows)")
    known = {name: arrays[name] for name in Data._fields if name in arrays and name not in ("table", "frame", "own")}
    for name in ("class_names", "columns", "data_shape", "truth", "held_out_truth"):
        if name in known and known[name].ndim != 1:
            raise ManifoldError(f"{path}: {name} has shape {known[name].shape}; a list is needed, an array with one axis")
    for name in ("class_names", "columns"):
        if name in known:
            known[name] = [str(item) for item in known[name]]
    if "data_shape" in known:
        if known["data_shape"].dtype.kind not in "iu":
            raise ManifoldError(f"{path}: data_shape is a list of whole numbers, not {known['data_shape'].dtype}")
        known["data_shape"] = tuple(int(n) for n in known["data_shape"])
    if "pixel_range" in known:
        known["pixel_range"] = tuple(known["pixel_range"].ravel().tolist())
    if "channels" in known:
        known["channels"] = str(known["channels"])
    return Data(**known)
