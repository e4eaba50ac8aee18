"""How long the ways of a world are: the steps that a straight latent line takes to the class asked for.

On most manifolds a straight line to another class is hardly longer, in data space, than the gap that it bridges, and a few
steps cover it. On a map of few dimensions it leads over other classes' islands and the sea between them: the frames change
time and again, and every change has to be walked in steps of bounded length. A step limit that fits the one cuts every walk
of the other short, whoever walks. So the limit is measured. Nothing is asked of the classifier.

n walks, d latent, D data coordinates.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from envs.core.guidance import distance
from envs.core.typicality import ClassNeighbours
from envs.registration import MAX_EPISODE_STEPS

if TYPE_CHECKING:
    from envs.core.world import World

WALKS = 256  # lines that are measured
POINTS = 64  # frames on each
CUT = 0.25  # ways are long where more of the lines than this do not fit into the usual step limit
ROOM = 1.5  # how much longer than the longest of them a walk may be: it is never quite straight


def ends(world: World) -> ClassNeighbours:
    """The codes at which walks may end: of the starts whose own frame satisfies the task, class by class, or of all of a
    class's starts where none does."""
    label = world.reference.label
    sure = world.task.satisfied(world.reference_predictions, label)
    known = torch.bincount(label[sure], minlength=world.classes) > 0
    return ClassNeighbours(world.reference.z, torch.where(sure | ~known[label], label, -1), world.classes, k=1)


def straight_steps(world: World, walks: int = WALKS, seed: int = 0) -> Tensor:
    """Steps (walks,) of the world's largest length on the decoded straight line from a random start to the nearest code of a
    random other class that a walk may end at.

    The length of a step is the world's bound, or what a full action moves in data space where there is no bound.
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
    return length / (world.max_step or world.step * world.class_distance)


def measured_horizon(world: World) -> int | None:
    """The step limit that lets every measured line arrive, with some room, where the usual one would cut many of them short;
    None where it would not."""
    steps = straight_steps(world)
    if float((steps > MAX_EPISODE_STEPS).float().mean()) <= CUT:
        return None
    return math.ceil(float(steps.max()) * ROOM)
