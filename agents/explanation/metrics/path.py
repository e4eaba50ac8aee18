"""Measures of one path: pure numpy functions whose values can be checked by hand.

Symbols: a path has frames x_0 .. x_T (T steps, T+1 frames, any data shape, flattened for comparison), latents z_0 .. z_T, and
probabilities p_t of the target at frame t. A measure without meaning for a path (a share of steps on a path of one frame, a
ratio over nothing) is `nan`, never an arbitrary 0 or 1; averages leave `nan` out and report the number of items.

Where CARLA [1]_ defines a measure for counterfactual methods, its definition is used. Rising share, total variation ratio,
straightness and worst frame are measures of paths, which suites for end points do not have.

References
----------
.. [1] Pawelczyk, Bielawski, van den Heuvel, Richter, Kasneci, "CARLA: A Python Library to Benchmark Algorithmic
   Recourse and Counterfactual Explanation Algorithms", NeurIPS Datasets and Benchmarks 2021, section 3.
.. [2] Hogan and Sternad, "Sensitivity of Smoothness Measures to Movement Duration, Amplitude, and Arrests", Journal
   of Motor Behavior 41 (2009).
.. [3] Khorram and Fuxin, "Cycle-Consistent Counterfactuals by Latent Transformations", CVPR 2022, the COUT score.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

Array = NDArray[np.float64]

#: A smaller fall of the probability is rounding (float32), not a step back.
RISING_TOLERANCE = 1e-6


def _flat(frames: ArrayLike) -> Array:
    """(T+1, *data) or (T+1, d) -> (T+1, features) in float64."""
    array = np.asarray(frames, dtype=np.float64)
    return array.reshape(len(array), -1) if array.size else array.reshape(len(array), 0)


def l1(a: ArrayLike, b: ArrayLike) -> float:
    """Sum of absolute differences over all features of two items of one shape."""
    return float(np.abs(np.asarray(a, dtype=np.float64) - np.asarray(b, dtype=np.float64)).sum())


def l2(a: ArrayLike, b: ArrayLike) -> float:
    """Euclidean distance (not squared) over all features of two items of one shape."""
    return float(np.sqrt(np.square(np.asarray(a, dtype=np.float64) - np.asarray(b, dtype=np.float64)).sum()))


def step_lengths(points: ArrayLike) -> Array:
    """(T+1, ...) points -> (T,) Euclidean distances from each to the next; works on frames and on latents."""
    flat = _flat(points)
    return np.asarray(np.sqrt(np.square(np.diff(flat, axis=0)).sum(axis=1)), dtype=np.float64)


def path_length(points: ArrayLike) -> float:
    """Sum of the step lengths: 0.0 for a path of one point."""
    return float(step_lengths(points).sum())


def straightness(points: ArrayLike) -> float:
    """|x_T - x_0| / length, in (0, 1]; 1 is a straight line. `nan` where the path does not move."""
    flat = _flat(points)
    length = path_length(flat)
    return l2(flat[-1], flat[0]) / length if length > 0 else float("nan")


def rising_steps(p: ArrayLike, tolerance: float = RISING_TOLERANCE) -> tuple[int, int]:
    """p (T+1,) -> (steps with p_{t+1} >= p_t - tolerance, all steps)."""
    change = np.diff(np.asarray(p, dtype=np.float64))
    return int((change >= -tolerance).sum()), int(change.size)


def rising_share(p: ArrayLike, tolerance: float = RISING_TOLERANCE) -> float:
    """Share of rising steps of one path; `nan` for a path of one frame."""
    rising, steps = rising_steps(p, tolerance)
    return rising / steps if steps else float("nan")


def tv_ratio(p: ArrayLike) -> float:
    """(p_T - p_0) / sum |p_{t+1} - p_t|, in [-1, 1]: 1 where p never falls. `nan` where p never changes."""
    values = np.asarray(p, dtype=np.float64)
    variation = float(np.abs(np.diff(values)).sum())
    return float(values[-1] - values[0]) / variation if variation > 0 else float("nan")


def class_switches(predicted: ArrayLike) -> int:
    """How often the predicted class (T+1,) changes from one frame to the next; the ideal walk has one."""
    labels = np.asarray(predicted)
    return int((labels[1:] != labels[:-1]).sum())


def largest_step_ratio(points: ArrayLike) -> float:
    """Longest step over mean step, at least 1; 1 where all steps are alike. `nan` where the path does not move."""
    lengths = step_lengths(points)
    return float(lengths.max() / lengths.mean()) if lengths.sum() > 0 else float("nan")


def roughness(points: ArrayLike) -> float:
    """log(1 + J) with the dimensionless jerk J = T^5 / L^2 sum |third difference|^2 of T+1 points, L their length [2]_.

    0 for a straight line at constant speed, more for bends and jerks. J grows with the number of points: compare only paths
    resampled to the same number (`resample_by_arc_length`). `nan` for fewer than four points or no movement.
    """
    flat = _flat(points)
    steps, length = len(flat) - 1, path_length(flat)
    if steps < 3 or length == 0:
        return float("nan")
    return float(np.log1p(steps**5 / length**2 * np.square(np.diff(flat, n=3, axis=0)).sum()))


def cout(p_target: ArrayLike, p_source: ArrayLike, along: ArrayLike) -> float:
    """Area under p(target) minus area under p(source) over relative arc length, in [-1, 1].

    C3LT's transition score [3]_ with the frames of the path in place of blended pixels: high where the prediction changes
    early. `along` (T+1,) is the arc length at each frame; `nan` where the path does not move.
    """
    way = np.asarray(along, dtype=np.float64)
    if len(way) < 2 or way[-1] <= way[0]:
        return float("nan")
    lead = np.asarray(p_target, dtype=np.float64) - np.asarray(p_source, dtype=np.float64)
    return float(np.trapezoid(lead, (way - way[0]) / (way[-1] - way[0])))


def completeness_gap(slopes: ArrayLike, points: ArrayLike, p: ArrayLike) -> float:
    """|sum_t s_t . (z_{t+1} - z_t) - (p_T - p_0)|: the part of the rise of p that local slopes (T+1, d) do not explain.

    s_t is the mean of the slopes at both ends of a step (trapezoid rule), so a p quadratic in z leaves no gap.
    0.0 for a path of one point; `nan` where a slope is unknown.
    """
    local, moved, known = _flat(slopes), np.diff(_flat(points), axis=0), np.asarray(p, dtype=np.float64)
    explained = ((local[1:] + local[:-1]) / 2 * moved).sum()
    return float(abs(explained - (known[-1] - known[0])))


def knn_distance(points: ArrayLike, bank: ArrayLike, k: int = 5, exclude_self: bool = False) -> Array:
    """Mean Euclidean distance from each point (N, ...) to its k nearest items of `bank` (M, ...) -> (N,).

    With `exclude_self` the points are the bank itself and no item is its own neighbour. A bank with fewer than k items gives
    the mean over all of them; an empty one gives `nan`.
    """
    queries, items = _flat(points), _flat(bank)
    available = len(items) - int(exclude_self)
    if len(queries) == 0 or available <= 0:
        return np.full(len(queries), np.nan)
    import torch

    from envs.core.nearest import nearest

    centre = items.mean(axis=0)  # float32 finds the neighbours, their distances are those of float64
    points, known = (torch.from_numpy((part - centre).astype(np.float32)) for part in (queries, items))
    _, found = nearest(points, known, k + exclude_self)
    place = found.numpy()
    gaps = np.stack([np.linalg.norm(items[column] - queries, axis=1) for column in place.T], axis=1)
    if exclude_self:
        gaps[place == np.arange(len(queries))[:, None]] = np.inf
    return np.sort(gaps, axis=1)[:, : min(k, available)].mean(axis=1)


def knn_distance_to_class(
    points: ArrayLike,
    classes: ArrayLike,
    bank: ArrayLike,
    bank_classes: ArrayLike,
    k: int = 5,
    exclude_self: bool = False,
) -> Array:
    """As `knn_distance`, each point against the items of its own class only: classes (N,), bank_classes (M,) -> (N,).

    The typicality ratio of a set of end points is the mean of this over them, each against its target class, divided
    by the mean over real items, each against its own class: 1.0 is as typical as real data, more is less typical.
    """
    queries, wanted = np.asarray(points), np.asarray(classes)
    items, item_classes = np.asarray(bank), np.asarray(bank_classes)
    out = np.full(len(queries), np.nan)
    for label in np.unique(wanted):
        rows = wanted == label
        out[rows] = knn_distance(queries[rows], items[item_classes == label], k, exclude_self)
    return out


def resample_by_arc_length(frames: ArrayLike, n: int) -> Array:
    """(T+1, *data) -> (n, *data): n points at equal distances along the polyline of the frames.

    Smoothness can only be compared between paths with equally many points. A path that does not move gives n copies.
    """
    points = np.asarray(frames, dtype=np.float64)
    flat = _flat(points)
    along = np.concatenate([[0.0], np.cumsum(step_lengths(flat))])
    if along[-1] == 0:
        return np.repeat(points[:1], n, axis=0)
    at = np.linspace(0.0, along[-1], n)
    right = np.clip(np.searchsorted(along, at, side="left"), 1, len(along) - 1)
    span = along[right] - along[right - 1]
    share = np.where(span > 0, (at - along[right - 1]) / np.where(span > 0, span, 1.0), 0.0)[:, None]
    mixed = flat[right - 1] * (1 - share) + flat[right] * share
    return np.asarray(mixed.reshape((n, *points.shape[1:])), dtype=np.float64)
