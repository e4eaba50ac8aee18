"""Attributes of a path's data, measured along it, such as "strokes 0.5 px thicker"."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from agents.trajectories.trajectory import Trajectory

if TYPE_CHECKING:
    from envs.geometry.strokes import Attribute


def attribute_table(path: Trajectory, world: Any, attributes: Sequence[Attribute] | None = None) -> dict[str, list[float]]:
    """Measure attributes along a path.

    Args:
        path: to be described.
        world: where it was walked; decodes the frames.
        attributes: to be measured; None: those known for the world's data (`envs.geometry.strokes.ATTRIBUTES`).

    Returns:
        Name -> value on every frame, T+1 numbers; empty where the data have no attributes.
    """
    import torch

    from envs.geometry.strokes import attributes_of

    chosen = attributes_of(world) if attributes is None else attributes
    if not chosen:
        return {}
    frames = torch.from_numpy(path.frames(world))
    return {attribute.name: attribute.measure(frames).tolist() for attribute in chosen}


def attribute_changes(path: Trajectory, world: Any, attributes: Sequence[Attribute] | None = None) -> list[str]:
    """The changes of attributes from frame 0 to the last frame, in words; none where the data have no attributes."""
    from envs.geometry.strokes import attributes_of, change

    chosen = attributes_of(world) if attributes is None else attributes
    values = attribute_table(path, world, chosen)
    found = [change(attribute, values[attribute.name][0], values[attribute.name][-1]) for attribute in chosen]
    return [words for words in found if words]
