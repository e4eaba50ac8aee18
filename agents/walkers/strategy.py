"""From a walker to the paths of an explanation: few columns for tables, and the line where the walker found nothing."""

from __future__ import annotations

import torch
from torch import Tensor

from agents.walkers.base import Recorder, Walk, lost_at_the_start, select
from agents.walkers.fallback import with_the_line
from agents.walkers.line import LineWalker
from agents.walkers.merge import merge
from agents.walkers.planning.last_step import convinced
from agents.walkers.planning.pictures.ensemble import PictureEnsemble
from agents.walkers.sparse.walk import with_few_columns
from agents.walkers.walker import Walker
from envs.core.state import State
from envs.core.world import World


def find_paths(
    walker: Walker,
    world: World,
    start: State,
    queries: Tensor,
    generator: torch.Generator,
    max_steps: int | None = None,
    *,
    fallback: bool = False,
    sparse: bool = True,
    check: PictureEnsemble | None = None,
) -> tuple[State, Walk, list[str]]:
    """Walk from every state of a batch.

    Args:
        walker: who walks. A straight one (`Walker.straight`) walks only where the search for few columns finds no end.
        world: where.
        start: (B) states at frame 0.
        queries: (B,) made so far.
        generator: source of random draws.
        max_steps: step limit; None: the world's own.
        fallback: where the walker finds no path, other ends are searched, and the line is walked.
        sparse: for tables and series, change few columns or intervals (see `agents.walkers.sparse.walk`).
        check: an ensemble that must see the class that was reached; None: none.

    Returns:
        The states at frame 0, with the columns that are held; the walks; and the name of each item's walker (B).
    """
    straight, anchored = getattr(walker, "straight", False), world.units.anchored
    names = [walker.name] * len(queries)
    if anchored and sparse and straight:
        start, walk, _ = with_few_columns(world, start, Recorder(world, start, queries, max_steps).walk(), max_steps)
        rows = torch.nonzero(~walk.success & ~lost_at_the_start(start, walk.predictions[0], walk.length)).flatten()
        if len(rows):
            nothing = torch.zeros(len(rows), dtype=torch.int64)
            walk = merge(walk, rows, walker.walk(world, select(start, rows), nothing, generator, max_steps), failed=True)
    else:
        walk = walker.walk(world, start, queries, generator, max_steps)
        goals = fallback or straight
        if anchored and (sparse or goals):
            start, walk, elsewhere = with_few_columns(world, start, walk, max_steps, goals=goals, whole=not sparse)
            names = [LineWalker.name if other else walker.name for other in elsewhere.tolist()]
    if fallback:
        walk, by = with_the_line(walker, world, start, walk, generator, max_steps)
        names = [new if new != walker.name else old for old, new in zip(names, by, strict=True)]
    if check is not None:
        walk = convinced(world, start, walk, check, max_steps, getattr(walker, "surrogate", None))
    return start, walk, names
