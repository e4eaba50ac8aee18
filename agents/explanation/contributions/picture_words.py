"""The changed regions of a picture in words: strokes and loops of handwriting, else brightness and place."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from torch import Tensor

    from envs.modalities.components import Component

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
    verb = {1: "is brighter", -1: "is darker", 0: "has changed"}
    return [(f"the {component.name}", verb[component.sign]) for component in components]


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
