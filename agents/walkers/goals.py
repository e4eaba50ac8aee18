"""Where a walk could end: known items that already are what is asked for. Looks only at cached answers."""

from __future__ import annotations

import torch
from torch import Tensor

from envs import dynamics
from envs.dynamics import State
from envs.world import World


def neighbour_goals(world: World, state: State, arriving: bool = True) -> tuple[Tensor, Tensor]:
    """Latents (B, d) of each item's nearest unlike neighbour among `world.starts`, and whether there is one, (B,)
    bool.

    Nearest is measured from the input itself, in data space (between codes for text). A neighbour is a start whose own
    decoded frame satisfies
    the task for the item's source and target; where no start does, or with `arriving` off, a start that the
    classifier puts into the target class (any other class where the target is the source).
    """
    starts = world.starts
    goals = state.z.clone()
    found = torch.zeros(len(state.z), dtype=torch.bool)
    known, place = world.start_places, world.manifold.coordinates(state.z0, state.origin)
    for source, target in torch.unique(torch.stack([state.source, state.target], dim=1), dim=0).tolist():
        rows = torch.nonzero((state.source == source) & (state.target == target)).flatten()
        plain = not arriving and target != source
        candidates = _unlike(world, source, target) if plain else arriving_starts(world, source, target)
        if not bool(candidates.any()):
            continue
        distance = torch.cdist(place[rows], known[candidates])
        goals[rows] = starts.z[candidates][distance.argmin(dim=1)]
        found[rows] = True
    return goals, found


def arriving_starts(world: World, source: int, target: int) -> Tensor:
    """Which starts a walk from `source` to `target` could end at, (N,) bool.

    Those whose own decoded frame satisfies the task; where none does, those that the classifier puts into the target class
    (any other class where the target is the source).
    """
    there = _arrived(world, source, target)
    return there if bool(there.any()) else _unlike(world, source, target)


def _unlike(world: World, source: int, target: int) -> Tensor:
    """Which starts the classifier puts into the target class, or any other than the source where that is the target."""
    return world.starts.label != source if target == source else world.starts.label == target


def _arrived(world: World, source: int, target: int) -> Tensor:
    """Which starts, taken as the last frame of a walk from `source` to `target`, satisfy the task: (N,) bool."""
    every = torch.arange(len(world.starts.z))
    ends = dynamics.start(world, every, torch.full_like(every, target))
    ends = ends._replace(source=torch.full_like(every, source), answer=world.start_answers)
    return torch.as_tensor(world.task.arrived(world, ends, world.task.goal(ends)))
