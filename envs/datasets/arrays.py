"""The user's own data: arrays in memory, or an .npz file."""

from __future__ import annotations

from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from envs.errors import ManifoldError
from envs.files import in_home
from envs.reading.files import read_npz

LIVE = ("table", "frame", "own", "labels", "held_out_labels", "lines")  # fields that no file holds


class Data(NamedTuple):
    """Raw data in the user's units.

    Attributes:
        x: Data that the manifold is fitted to and reference walks start from, (N, ...).
        held_out: Data to be explained, (M, ...), or None.
        truth: True class index of each row of `x`, or None.
        held_out_truth: True class index of each row of `held_out`, or None.
        class_names: Names of the classes, or None.
        columns: Names of the columns, or None.
        data_shape: Shape of one datum if the rows are flattened images, else None.
        table: Description of a mixed table (`envs.modalities.columns.Table`); `x` then holds the user's own values.
        pixel_range: Range of the pixels, see `envs.make_world`, or None.
        pixel_mean, pixel_std: Of each channel of normalised pictures, see `envs.make_world`, or None.
        channels: Position of the channels, see `envs.make_world`, or None.
        frame: Columns of the data frame that `x` came as (`envs.modalities.data_frame.Frame`), or None.
        own: That data frame, or None.
        labels: Labels of the rows of `x`: their numbers in the file, or their index labels in the data frame; or None.
        held_out_labels: Labels of the rows of `held_out`, or None.
        lines: Line in the file of each row number, or None.
        modality: ``series`` or ``image``, see `envs.make_world`, or None.
        sampling: Time between two points of series, see `envs.make_world`, or None.

    Example:
        >>> from envs.datasets import DATASETS
        >>> data = DATASETS["iris"]()
        >>> data.x.shape, data.class_names
        ((105, 4), ['setosa', 'versicolor', 'virginica'])
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
    labels: Any = None
    held_out_labels: Any = None
    lines: Any = None
    modality: str | None = None
    sampling: Any = None
    pixel_mean: tuple[float, ...] | None = None
    pixel_std: tuple[float, ...] | None = None


def load_npz(path: str | Path) -> Data:
    """Load data from an .npz file whose arrays are named as the fields of `Data`. Only ``x`` is required (``X`` is accepted).

    Args:
        path: The file.

    Raises:
        ManifoldError: If the file is missing or damaged, contains pickled objects, or has no array ``x``.
    """
    path = Path(in_home(path))
    try:
        arrays: dict[str, Any] = dict(read_npz(path))
    except FileNotFoundError as error:
        raise ManifoldError(f"no data file {path}") from error
    if "X" in arrays:
        arrays.setdefault("x", arrays.pop("X"))
    if "x" not in arrays:
        raise ManifoldError(f"{path} has no array named 'x' (it has {sorted(arrays)}); save it with numpy.savez(path, x=rows)")
    known = {name: arrays[name] for name in Data._fields if name in arrays and name not in LIVE}
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
    for name in {"pixel_range", "pixel_mean", "pixel_std"} & set(known):
        known[name] = tuple(known[name].ravel().tolist())
    for name in ("channels", "modality", "sampling"):
        if name in known:
            known[name] = str(known[name])
    return Data(**known)
