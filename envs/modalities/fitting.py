"""Units fitted to raw data."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from envs.modalities.base import Units
from envs.modalities.image import ImageUnits
from envs.modalities.numbers import NumberUnits


def fit_units(
    raw: np.ndarray, data_shape: Sequence[int] | None = None, columns: Sequence[str] | None = None, **pixels: Any
) -> Units:
    """Units of pictures or of a table of numbers.

    Args:
        raw: (N, ...) data in the user's units; two axes are a table.
        data_shape: shape of a picture, for pictures whose rows are flat.
        columns: names of the table's columns.
        pixels: what is known of pictures, see `ImageUnits.of_pictures`.

    Example:
        >>> fit_units(np.array([[1.0, 10.0], [3.0, 30.0]]), columns=["age", "weight"]).columns
        ['age', 'weight']
    """
    shape = tuple(data_shape) if data_shape is not None else raw.shape[1:]
    if len(shape) > 1:
        return ImageUnits.of_pictures(raw, shape, **pixels)
    return NumberUnits.of_rows(raw.reshape(len(raw), -1), columns)
