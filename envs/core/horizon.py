"""How many steps straight latent lines to another class take, and the step limit that follows.

On most manifolds, a straight line to another class is little longer in data space than the gap that it bridges, and a few
steps cover it. On a map of few dimensions it crosses other classes, its frames change many times, and steps of bounded length
are many: a step limit that suits the one truncates every walk on the other. The limit is therefore measured. No query.

n walks, d latent dimensions, D data coordinates.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor

from envs.core.guidance import distance
from envs.core.world import World
from envs.registration import MAX_EPISODE_STEPS

WALKS = 256  # lines that are measured
POINTS = 64  # frames on each
CUT = 0.25  # the limit is raised if more than this share of the lines exceeds the usual step limit
ROOM = 1.5  # the limit, as a multiple of the longest line's steps: walks are never quite straight


def straight_steps(world: World, walks: int = WALKS, seed: int = 0) -> Tensor:
    """Steps (walks,) on the decoded straight line from a random reference row to the nearest code of another random class at
    which a walk may end.

    Args:
        world: gives the length of a step: its bound, or, without a bound, what a full action moves in data space.
        walks: how many lines.
        seed: of the rows and classes.
    """
    generator = torch.Generator().manual_seed(seed)
    index = torch.randint(len(world.reference.z), (walks,), generator=generator)
    present = world.reference.label.unique()
    source = torch.searchsorted(present, world.reference.label[index])
    target = present[(source + torch.randint(1, len(present), (walks,), generator=generator)) % len(present)]
    z, factual = world.reference.z[index], world.reference.factual.chosen(index)
    with torch.inference_mode():
        near = world.end_codes(z, target)
        end = z - near.distance[:, None] * near.gradient  # k = 1: the gradient is the unit vector away from the nearest
        before, length = world.coordinates_of(z, factual), torch.zeros(walks)
        for share in torch.linspace(0, 1, POINTS)[1:]:
            here = world.coordinates_of(torch.lerp(z, end, share), factual)
            length += distance(here, before)
            before = here
    return length / (world.max_step or world.step * world.reference.class_distance)


def measured_horizon(world: World) -> int | None:
    """The step limit with which every measured line arrives, or None if the usual limit truncates few of them.

    Example:
        >>> from envs import make_world
        >>> measured_horizon(make_world(data="digits")) is None
        True
    """
    steps = straight_steps(world)
    if float((steps > MAX_EPISODE_STEPS).float().mean()) <= CUT:
        return None
    return math.ceil(float(steps.max()) * ROOM)
