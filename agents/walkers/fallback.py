"""The straight latent line as a fallback, for items without a path."""

from __future__ import annotations

import torch

from agents.walkers.base import Walk, lost_at_the_start, select
from agents.walkers.line import LineWalker
from agents.walkers.merge import merge
from agents.walkers.walker import Walker
from envs.core.state import State
from envs.core.world import World

ROOM = 5  # times the world's step limit: where frames lie close together, a line may need more steps than an agent


def with_the_line(
    walker: Walker, world: World, start: State, walk: Walk, generator: torch.Generator, max_steps: int | None = None
) -> tuple[Walk, list[str]]:
    """Walk the line for the items for which `walker` found no path.

    Args:
        walker: who walked.
        world: where.
        start: (B) states at frame 0.
        walk: what `walker` found.
        generator: source of random draws.
        max_steps: step limit; None: five times the world's own.

    Returns:
        The walk with the paths of the line where `walker` failed and the line succeeded, and the name of the walker of each
        item (B). The queries of both are added. Items whose frame 0 is already of another class stay as they are.
    """
    names = [walker.name] * len(walk.length)
    rows = torch.nonzero(~walk.success & ~lost_at_the_start(start, walk.predictions[0], walk.length)).flatten()
    line = LineWalker()
    if len(rows) == 0 or (isinstance(walker, LineWalker) and max_steps is not None):
        return walk, names
    limit = ROOM * world.max_episode_steps if max_steps is None else max_steps
    again = line.walk(world, select(start, rows), torch.zeros(len(rows), dtype=torch.int64), generator, limit)
    for row in rows[again.success].tolist():
        names[row] = line.name
    return merge(walk, rows, again), names
