"""Pictures that were normalised by the mean and standard deviation of each channel."""

from __future__ import annotations

from typing import Any

import numpy as np

from envs.errors import ManifoldError

TOLERANCE = 1e-4  # of shares in [0, 1]: what float16 loses when pictures are normalised


def normalisation(mean: Any, std: Any, channels: int) -> tuple[tuple[float, ...] | None, tuple[float, ...] | None]:
    """The declared mean and standard deviation of each channel; a single number stands for all channels.

    Raises:
        ManifoldError: one without the other, another number of channels, or no positive standard deviation.
    """
    if mean is None and std is None:
        return None, None
    if mean is None or std is None:
        raise ManifoldError(
            "pixel_mean and pixel_std belong together: give both, or pixel_range=(low, high) for pictures of one range"
        )
    found = []
    for name, values in (("pixel_mean", mean), ("pixel_std", std)):
        values = np.atleast_1d(np.asarray(values, dtype=np.float64))
        if values.shape == (1,):
            values = values.repeat(channels)
        if values.shape != (channels,) or not np.isfinite(values).all():
            raise ManifoldError(f"{name} has a finite number for each of the {channels} channels, not {values.tolist()}")
        found.append(tuple(values.tolist()))
    if min(found[1]) <= 0:
        raise ManifoldError(f"pixel_std holds standard deviations, which are positive, not {list(found[1])}")
    return found[0], found[1]


def check_shares(shares: np.ndarray, declared: dict[str, Any]) -> None:
    """Refuse pictures that their declared normalisation takes out of [0, 1].

    Raises:
        ManifoldError: they are.
    """
    smallest, largest = float(shares.min()), float(shares.max())
    if smallest < -TOLERANCE or largest > 1 + TOLERANCE:
        raise ManifoldError(
            f"pictures with {declared} come from shares in [0, 1], and these from {smallest:.4g} to {largest:.4g}: divide by "
            "the largest value (often 255) before they are normalised, or declare what they were normalised by"
        )
