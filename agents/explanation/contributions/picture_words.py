"""The changed regions of a picture in words: strokes and loops of handwriting, else brightness, hue and place."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from torch import Tensor

    from envs.modalities.components import Component

#: what a region becomes in colour: the direction in which red, green and blue move beside their mean
HUES = {
    "redder": (2, -1, -1), "greener": (-1, 2, -1), "bluer": (-1, -1, 2),
    "yellower": (1, 1, -2), "more turquoise": (-2, 1, 1), "more purple": (1, -2, 1),
}  # fmt: skip
COLOURED = 0.5  # share of the change of brightness from which a shift of colour is named, and the other way round
LEAST = 0.02  # of the range of values: a smaller shift of colour is not named
LONG = 2.5  # length over width from which a stroke is called a bar
KEPT = 0.5  # share of a region's ink that is there before and after: the stroke is thicker or thinner, not new or gone


def region_words(world: Any, components: Sequence[Component], frames: Tensor) -> list[tuple[str, str]]:
    """Name and change of each region.

    Args:
        world: of pictures; handwriting is known by the name of its data set, see `envs.geometry.strokes.attributes_of`.
        components: regions.
        frames: (F, \\*data_shape) the input first, the end last.
    """
    from envs.geometry.strokes import attributes_of

    if not components:
        return []
    if attributes_of(world):
        return _strokes(components, frames)
    return [(f"the {component.name}", _became(component, frames)) for component in components]


def _became(component: Component, frames: Tensor) -> str:
    """What a region became from the first frame to the last: ``is darker``, ``is redder``, ``is brighter and bluer``."""
    light, colour = _shift(component, frames)
    size = float(np.sqrt(np.mean(colour**2)))
    words = []
    if size < LEAST or abs(light) >= COLOURED * size:
        words += {1: ["brighter"], -1: ["darker"], 0: []}[component.sign]
    if size >= max(LEAST, COLOURED * abs(light)):
        words.append(max(HUES, key=lambda name: float(colour @ np.asarray(HUES[name]) / np.linalg.norm(HUES[name]))))
    return f"is {' and '.join(words)}" if words else "has changed"


def _shift(component: Component, frames: Tensor) -> tuple[float, np.ndarray]:
    """Change of brightness of a region, and that of red, green and blue beside it (3,): means over its pixels, each weighted
    by how much it changes. Pictures without colour have no such change."""
    from envs.modalities.regions import channel_axis

    axis = channel_axis(tuple(frames.shape[1:]))
    if axis is None or frames.shape[axis + 1] < 3:
        return 0.0, np.zeros(3)
    change = (frames[-1] - frames[0]).double().movedim(axis, 0).numpy()[:3, component.mask.any(axis).numpy()]
    size = np.linalg.norm(change, axis=0)
    shift = np.average(change, axis=1, weights=size) if size.any() else np.zeros(3)
    return float(shift.mean()), shift - shift.mean()


def _strokes(components: Sequence[Component], frames: Tensor) -> list[tuple[str, str]]:
    """Regions of handwriting: loops that a region alone opens or closes, else strokes that are drawn, removed, or changed in
    width."""
    import torch

    from envs.geometry.strokes import INK, loops
    from envs.modalities.regions import channel_axis

    axis = channel_axis(tuple(frames.shape[1:]))
    before, after = (frames[k] if axis is None else frames[k].mean(axis) for k in (0, -1))
    masks = [part.mask if axis is None else part.mask.any(axis) for part in components]
    undone = torch.stack([torch.where(mask, before, after) for mask in masks])
    closed = (loops(after[None]) - loops(undone)).tolist()  # by each region's change alone, at the end
    ink = [(picture >= INK * picture.max().clamp_min(1e-6)).numpy() for picture in (before, after)]
    out = []
    for component, mask, by in zip(components, masks, closed, strict=True):
        pixels = mask.numpy()
        was, now = ink[0] & pixels, ink[1] & pixels
        if by:
            out.append((f"the {component.name} loop", "is closed" if by > 0 else "is opened"))
            continue
        old, new = int(was.sum()), int(now.sum())
        both = int((was & now).sum())
        grows = component.sign > 0 or (component.sign == 0 and new >= old)
        shape = _shape(now & ~was if grows else was & ~now) if old + new else "stroke"
        if both >= KEPT * max(old, new, 1):
            out.append((f"the {component.name} stroke", "is thicker" if grows else "is thinner"))
        else:
            out.append((f"the {component.name} {shape}", "is drawn" if grows else "is removed"))
    return out


def _shape(ink: np.ndarray) -> str:
    """`bar` for an elongated patch of ink (H, W), else `stroke`."""
    points = np.argwhere(ink)
    if len(points) < 3:
        return "stroke"
    wide = np.sqrt(np.linalg.eigvalsh(np.cov(points.T) + np.eye(2) / 12))
    return "bar" if wide[1] >= LONG * wide[0] else "stroke"
