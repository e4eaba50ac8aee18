"""A path in the terms of its data's attributes: "strokes 0.5 px thicker, loop closed" beside the pixels."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from agents.trajectories.trajectory import Trajectory

if TYPE_CHECKING:
    from envs.geometry.strokes import Attribute


def attribute_table(path: Trajectory, world: Any, attributes: Sequence[Attribute] | None = None) -> dict[str, list[float]]:
    """Attribute -> its value on every frame of the path, (T+1,); empty where the data have none.

    Args:
        attributes: what to measure; None: what is known of the world's data (`envs.geometry.strokes.ATTRIBUTES`).
    """
    import torch

    from envs.geometry.strokes import attributes_of

    chosen = attributes_of(world) if attributes is None else attributes
    if not chosen:
        return {}
    frames = torch.from_numpy(path.frames(world))
    return {attribute.name: attribute.measure(frames).tolist() for attribute in chosen}


def attribute_sentence(path: Trajectory, world: Any, attributes: Sequence[Attribute] | None = None) -> str:
    """What the path changed from frame 0 to its last frame; empty where the data have no attributes."""
    from envs.geometry.strokes import attributes_of, change

    chosen = attributes_of(world) if attributes is None else attributes
    values = attribute_table(path, world, chosen)
    if not values:
        return ""
    told = [change(attribute, values[attribute.name][0], values[attribute.name][-1]) for attribute in chosen]
    told = [words for words in told if words]
    if not told:
        names = ", ".join(attribute.name for attribute in chosen)
        return f"No change in its attributes ({names})."
    text = ", ".join(told)
    return f"{text[0].upper()}{text[1:]}."
