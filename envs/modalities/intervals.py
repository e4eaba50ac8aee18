"""Intervals of series: the connected parts of what changes between series."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from scipy import ndimage
from torch import Tensor

from envs.modalities.components import Component, runs

MOST = 8  # intervals of all channels
THRESHOLD = 0.25  # of the channel's largest smoothed change: weaker changes belong to the nearest interval
SMOOTHING = 1 / 48  # of the length: width of the smoothing, in points
LEAST = 0.04  # of the whole change: smaller intervals are merged into the nearest one


def changed_intervals(
    frames: Tensor, shape: tuple[int, int], spread: Tensor, names: Sequence[str] = (), most: int = MOST
) -> list[Component]:
    """The intervals that differ between series.

    In each channel, the change from the first series to the last is smoothed; its strong runs of one sign are intervals, and
    every other point that changes in any of the series belongs to the nearest one.

    Args:
        frames: (F, C T) series, the input first.
        shape: (C, T).
        spread: (C T,) standard deviation of every point, by which changes are weighed.
        names: of the channels.
        most: intervals at most; every channel that changes has one at least.

    Returns:
        Intervals that do not overlap and hold every point that changes, the largest change first.

    Example:
        >>> before, after = torch.zeros(20), torch.zeros(20)
        >>> after[3:6], after[12:18] = 1.0, -1.0
        >>> [(part.name, part.sign) for part in changed_intervals(torch.stack([before, after]), (1, 20), torch.ones(20))]
        [('points 12-17', -1), ('points 3-5', 1)]
    """
    moves = (frames != frames[:1]).any(0).reshape(shape).numpy()
    change = (frames[-1] - frames[0]).double().reshape(shape).numpy()
    weight = np.abs(change) / spread.reshape(shape).numpy() + 1e-12 * moves
    channels = np.flatnonzero(moves.any(1)).tolist()
    found: list[tuple[float, Component]] = []
    for c in channels:
        owner = _owners(change[c], moves[c], weight[c], weight.sum(), max(1, most // len(channels)))
        for k in np.unique(owner[owner > 0]):
            flat = np.zeros(shape, dtype=bool)
            flat[c] = owner == k
            at = np.flatnonzero(flat[c])
            total = change[flat].sum()
            sign = int(np.sign(total)) if abs(total) > 0.5 * np.abs(change[flat]).sum() else 0
            place = f"points {at[0]}-{at[-1]}" if at[0] != at[-1] else f"point {at[0]}"
            lead = f"{names[c]}, " if names else f"channel {c}, " if shape[0] > 1 else ""
            mask = torch.from_numpy(flat)
            where = {"rows": shape[0], "columns": shape[1], "runs": runs(mask)}
            found.append((float(weight[flat].sum()), Component(lead + place, where, mask.flatten(), sign)))
    return [part for _, part in sorted(found, key=lambda entry: -entry[0])]


def _owners(change: np.ndarray, moves: np.ndarray, weight: np.ndarray, whole: float, most: int) -> np.ndarray:
    """The interval (1, 2, ...) of every point (T,) that moves, 0 elsewhere."""
    smooth = ndimage.uniform_filter1d(change, max(1, round(SMOOTHING * len(change))))
    smooth = np.where(moves, smooth, 0.0)
    seeds, count = np.zeros(len(change), dtype=int), 0
    for sign in (1, -1):
        labels, number = ndimage.label(sign * smooth > THRESHOLD * np.abs(smooth).max())
        seeds[labels > 0] = labels[labels > 0] + count
        count += number
    if not count:
        seeds[int(weight.argmax())] = count = 1
    mass = ndimage.sum_labels(weight, seeds, np.arange(1, count + 1))
    order = np.argsort(-mass, kind="stable")[:most]
    kept = [int(k) + 1 for k in order if mass[k] >= min(LEAST * whole, mass.max())]
    near = ndimage.distance_transform_edt(~np.isin(seeds, kept), return_distances=False, return_indices=True)
    return np.where(moves, seeds[near[0]], 0)
