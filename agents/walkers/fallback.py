"""The straight latent line for the items that another walker did not find a path for."""

from __future__ import annotations

import torch

from agents.walkers.base import Walk, Walker, lost_at_the_start, select
from agents.walkers.line import LineWalker
from agents.walkers.merge import merge
from envs.core.state import State
from envs.core.world import World


def with_the_line(
    walker: Walker, world: World, start: State, walk: Walk, generator: torch.Generator, max_steps: int | None = None
) -> tuple[Walk, list[str]]:
    """The walk with what the line found where `walker` found nothing, and the name of who walked each item (B).

    The queries of both are added. Items that stand in another class at frame 0 already are left as they are.
    """
    names = [walker.name] * len(walk.length)
    rows = torch.nonzero(~walk.success & ~lost_at_the_start(start, walk.predictions[0], walk.length)).flatten()
    line = LineWalker()
    if len(rows) == 0 or walker.name == line.name:
        return walk, names
    again = line.walk(world, select(start, rows), torch.zeros(len(rows), dtype=torch.int64), generator, max_steps)
    for row in rows[again.success].tolist():
        names[row] = line.name
    return merge(walk, rows, again), names
