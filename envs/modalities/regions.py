"""Regions of a picture: the connected parts of what changes between pictures, and their places in words."""

from __future__ import annotations

import numpy as np
import torch
from scipy import ndimage
from torch import Tensor

from envs.modalities.components import Component, runs

MOST = 8  # regions
THRESHOLD = 0.25  # of the largest smoothed change: weaker changes belong to the nearest region
SMOOTHING = 1 / 24  # of the shorter side: standard deviation of the smoothing, in pixels
LEAST = 0.04  # of the whole change: smaller regions are merged into the nearest one
EXTENT = 0.5  # of the longer side: longer regions are split
APART = 0.2  # of the range of values: what differs that much from the border counts as content


def regions(frames: Tensor, most: int = MOST) -> list[Component]:
    """The regions of pictures that differ between frames.

    The change from the first frame to the last is smoothed; its strong parts of one sign are labelled as connected regions,
    long ones are split, and every other pixel that changes on any frame belongs to the nearest region, of its own sign where
    there is one. In colour, a change of hue at the same brightness counts as much as one of brightness.

    Args:
        frames: (F, \\*data_shape) pictures (H, W), or with channels first or last.
        most: regions at most.

    Returns:
        Regions that do not overlap and hold every pixel that changes, the largest change first, of different places or signs;
        empty if nothing changes.

    Example:
        >>> before, after = torch.zeros(8, 8), torch.zeros(8, 8)
        >>> after[1:3, 1:3] = 1
        >>> before[6, 6] = 1
        >>> [(part.name, part.sign) for part in regions(torch.stack([before, after]))]
        [('top left', 1), ('bottom right', -1)]
    """
    axis = channel_axis(tuple(frames.shape[1:]))
    colours = (frames[:, None] if axis is None else frames.movedim(axis + 1, 1)).double().numpy()
    grey = colours.mean(1)
    moving = (frames != frames[:1]).any(0) if axis is None else (frames != frames[:1]).any(0).any(axis)
    changes = moving.numpy()
    if not changes.any():
        return []
    lighter = grey[-1] - grey[0]
    change, strength = lighter, np.abs(lighter)
    if axis is not None:
        change, strength = _shifts(colours[-1] - colours[0])
    if not strength.any():
        strength = np.abs(grey - grey[:1]).max(0) + 1e-12 * changes
    labels = _labels(change, strength, changes, most)
    box = content(colours)
    merged: dict[tuple[str, int], np.ndarray] = {}
    for k in range(1, labels.max() + 1):
        flat = labels == k
        total = lighter[flat].sum()
        sign = int(np.sign(total)) if abs(total) > 0.2 * strength[flat].sum() else 0
        key = place(flat, strength, box), sign
        merged[key] = merged[key] | flat if key in merged else flat
    found = []
    for (name, sign), flat in sorted(merged.items(), key=lambda entry: -strength[entry[1]].sum()):
        whole = torch.from_numpy(flat)
        mask = whole if axis is None else whole.unsqueeze(axis).expand(frames.shape[1:])
        where = {"rows": flat.shape[0], "columns": flat.shape[1], "runs": runs(whole)}
        found.append(Component(name, where, mask, sign))
    return found


def _shifts(colours: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Sizes (H, W) of changes of colour (C, H, W), with the sign of the smoothed change along the main direction of all
    changes (mostly: brighter), and without it."""
    flat = colours.reshape(len(colours), -1)
    main = np.linalg.eigh(flat @ flat.T)[1][:, -1]
    main = main if main.sum() >= 0 else -main
    along = (main @ flat).reshape(colours.shape[1:])
    size = np.linalg.norm(colours, axis=0) / np.sqrt(len(colours))
    return size * np.sign(along if len(colours) == 1 else ndimage.gaussian_filter(along, SMOOTHING * min(along.shape))), size


def channel_axis(shape: tuple[int, ...]) -> int | None:
    """The axis of the channels of a picture; None for (H, W)."""
    if len(shape) == 2:
        return None
    return len(shape) - 1 if shape[-1] in (1, 3) and shape[0] not in (1, 3, 4) else 0


def _labels(change: np.ndarray, strength: np.ndarray, changes: np.ndarray, most: int) -> np.ndarray:
    """The region (1, 2, ...) of every pixel that changes, 0 elsewhere."""
    smooth = ndimage.gaussian_filter(change, SMOOTHING * min(change.shape))
    peak = np.abs(smooth).max()
    seeds = np.zeros(change.shape, int)
    if peak > 0:
        for sign in (1, -1):
            patches, count = ndimage.label(sign * smooth > THRESHOLD * peak, np.ones((3, 3)))
            for k in range(1, count + 1):
                for piece in _pieces(patches == k, strength):
                    seeds[piece] = seeds.max() + 1
    if not seeds.any():
        seeds[np.unravel_index(strength.argmax(), strength.shape)] = 1
    mass = ndimage.sum_labels(strength, seeds, np.arange(1, seeds.max() + 1))
    kept = [int(k) + 1 for k in np.argsort(-mass, kind="stable")[:most] if mass[k] >= min(LEAST * mass.sum(), mass.max())]
    own = {k: np.sign(change[seeds == k].sum()) for k in kept}
    out = np.zeros(change.shape, int)
    for sign in (1, 0, -1):
        alike = [k for k in kept if own[k] == sign] or kept
        pixels = changes & (np.sign(change) == sign)
        _, near = ndimage.distance_transform_edt(~np.isin(seeds, kept if sign == 0 else alike), return_indices=True)
        out[pixels] = seeds[tuple(near)][pixels]
    _, out = np.unique(np.concatenate([[0], out.ravel()]), return_inverse=True)
    return np.asarray(out[1:].reshape(change.shape))


def _pieces(region: np.ndarray, strength: np.ndarray) -> list[np.ndarray]:
    """A region (H, W) bool, cut where it is longer than `EXTENT` of the picture."""
    rows, columns = np.nonzero(region)
    longest = max(np.ptp(rows), np.ptp(columns)) + 1
    count = int(np.ceil(longest / (EXTENT * max(region.shape)) - 1e-9))
    if count < 2 or len(rows) < 2 * count:
        return [region]
    from sklearn.cluster import KMeans

    points = np.stack([rows, columns], 1)
    cluster = KMeans(count, n_init=4, random_state=0).fit(points, sample_weight=strength[region]).labels_
    pieces = []
    for k in range(count):
        piece = np.zeros_like(region)
        piece[rows[cluster == k], columns[cluster == k]] = True
        pieces.append(piece)
    return pieces


def content(pictures: np.ndarray) -> tuple[int, int, int, int]:
    """First and last row, first and last column of what differs from the border, in any of the pictures (F, C, H, W)."""
    sides = (pictures[..., 0, :], pictures[..., -1, :], pictures[..., 0], pictures[..., -1])
    edge = np.median(np.concatenate(sides, -1), (0, 2))
    apart = (np.abs(pictures - edge[:, None, None]) > APART * max(np.ptp(pictures), 1e-12)).any((0, 1))
    rows, columns = np.nonzero(apart if apart.any() else np.ones_like(apart))
    return rows.min(), rows.max(), columns.min(), columns.max()


def place(region: np.ndarray, weight: np.ndarray, box: tuple[int, int, int, int]) -> str:
    """Where a region (H, W) lies in the box of a picture's content, such as ``top left`` or ``centre``."""
    rows, columns = np.nonzero(region)
    mass = weight[region] + 1e-12
    words = []
    for at, first, last, names in ((rows, *box[:2], ("top", "", "bottom")), (columns, *box[2:], ("left", "", "right"))):
        share = (np.average(at, weights=mass) - first + 0.5) / (last - first + 1)
        words.append(names[int(np.clip(share * 3, 0, 2))])
    return " ".join(word for word in words if word) or "centre"
