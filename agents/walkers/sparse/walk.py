"""Walks on which few columns change: the search for the columns, then the walk with all others held.

A walk on the manifold changes most columns a little, and few of these changes decide. Ends are the walk's own, extended, and
the codes of reference rows of the target class near the input. A frame in which only some columns are an end's, and the others
the input's, is tried by one query; a linear stand-in says which to try next. Then the walk to that end is made with the
other columns held (`Factual.held`), so that frames, actions and replay agree.

Walks that failed are searched as well, with all columns: the task may be satisfied at another end than the one they headed for.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from agents.walkers.base import Recorder, Walk, lost_at_the_start, select
from agents.walkers.follow import follow
from agents.walkers.merge import merge
from agents.walkers.planning.refine import refine_last
from agents.walkers.sparse.search import Choice, Search, Tried, search
from agents.walkers.sparse.stand_in import StandIn, per_column
from envs.core.state import State
from envs.core.tasks import log_odds
from envs.core.world import World

MOST_ROWS = 2000  # reference rows of a class among which ends are searched


@dataclass(frozen=True)
class SparseSettings:
    """How few columns are searched.

    Attributes:
        ends: number of reference rows of the target class whose codes are ends.
        reach: the walk's own end is extended to this multiple of the way from frame 0.
        queries: most queries of the search for one input whose walk succeeded; the walk that follows is not included.
        rescue: the same for an input whose walk failed.
        refine: most queries for a shorter last step.

    Example:
        >>> SparseSettings(queries=6).ends
        16
    """

    ends: int = 16
    reach: float = 1.5
    queries: int = 6
    rescue: int = 10
    refine: int = 1
    hope: float = 1.5
    short: bool = True


def with_few_columns(
    world: World,
    start: State,
    walk: Walk,
    max_steps: int | None = None,
    settings: SparseSettings | None = None,
    fewer: bool = True,
) -> tuple[State, Walk, Tensor]:
    """Replace walks through a table by walks that change fewer columns, and failed ones by walks that succeed, if such are
    found.

    Args:
        world: where they were walked.
        start: (B) their states at frame 0.
        walk: B items. Items whose target is their own class stay as they are.
        max_steps: step limit; None: the world's own.
        settings: of the search.
        fewer: False: only replace failed walks.

    Returns:
        States at frame 0 with `held` set; the walks, with the queries of the search added; and which of them were replaced,
        (B,) bool.
    """
    settings = SparseSettings() if settings is None else settings
    replaced = torch.zeros(len(walk.length), dtype=torch.bool)
    ends = walk.predictions[walk.length, torch.arange(len(walk.length))].argmax(1)
    other = (start.target != start.source) | (ends != start.source)
    wanted = other & ~lost_at_the_start(start, walk.predictions[0], walk.length) & ~(walk.success & (walk.length == 0))
    rows = torch.nonzero(wanted & (~walk.success | fewer)).flatten()
    if not world.units.anchored or len(rows) == 0:
        return start, walk, replaced
    here, success = select(start, rows), walk.success[rows]
    target = torch.where(success, ends[rows], here.target)
    end, free, queries = _searched(world, here, walk.z[walk.length[rows], rows], success, target, settings)
    walk = walk._replace(queries=walk.queries.index_add(0, rows, queries))
    found = free.any(1)
    if not bool(found.any()):
        return start, walk, replaced
    items = rows[found]
    moving = select(here, found)._replace(held=~free[found])
    recorder = Recorder(world, moving, torch.zeros(len(items), dtype=torch.int64), max_steps)
    follow(recorder, end[found][None], torch.ones(len(items), dtype=torch.int64))
    refine_last(recorder, settings.refine)
    again = recorder.walk()
    good = items[again.success]
    replaced[good] = True
    held = start.held.clone()
    held[good] = moving.held[again.success]
    return start._replace(held=held), merge(walk, items, again), replaced


def _searched(
    world: World, start: State, last: Tensor, success: Tensor, target: Tensor, settings: SparseSettings
) -> tuple[Tensor, Tensor, Tensor]:
    """Search for each of B items.

    Args:
        world: where.
        start: (B) states at frame 0.
        last: (B, d) codes at the end of the walks.
        success: (B,) whether these succeeded.
        target: (B,) classes.
        settings: of the search.

    Returns:
        Codes (B, d) of the ends that were found, the places (B, D) bool that change (none where nothing was found), and the
        queries made (B,).
    """
    units: Any = world.units
    column_of: Tensor = units.column_of
    own = world.manifold.prior.project(start.z + settings.reach * (last - start.z))
    codes = torch.cat((own[:, None], _goals(world, start, target, settings.ends)), dim=1)  # (B, E, d)
    batch, count = codes.shape[:2]
    home = start.home.repeated(count)
    frames = world.decode(codes.flatten(0, 1), home)
    cells = units.exact(frames, home)
    moved = ((cells != home.cells) & ~(torch.isnan(cells) & torch.isnan(home.cells))).unflatten(0, (batch, count))
    frames = frames.unflatten(0, (batch, count))
    change = frames - start.factual[:, None]
    size = per_column(change.abs(), column_of) * moved
    worth = stand_in_of(world).worth(change, column_of, start.source, target) * moved
    begin = world.task.evidence(start)
    goal = float(log_odds(torch.tensor(world.task.tau)))
    final = _last_columns(world, start, last, success)
    arrays = size.numpy(), worth.numpy()
    searches: dict[int, Search] = {}
    asked: dict[int, Choice] = {}
    end, queries = start.z.clone(), torch.zeros(batch, dtype=torch.int64)
    free = torch.zeros(start.factual.shape, dtype=torch.bool)
    for i in range(batch):
        budget = settings.queries if success[i] else settings.rescue
        searches[i] = search(arrays[1][i], arrays[0][i], float(begin[i]), goal, int(final[i]), budget, settings.hope)
        if (choice := next(searches[i], None)) is not None:
            asked[i] = choice
    while asked:
        items = torch.tensor(list(asked))
        places = torch.stack([_places(column_of, choice.columns) for choice in asked.values()])
        at = torch.tensor([choice.end for choice in asked.values()])
        queries[items] += 1
        here = select(start, items)
        laid = torch.where(places, frames[items, at], here.factual)
        seen = here._replace(z=codes[items, at], frame=laid, prediction=world.predictions(laid, here.home))
        arrived = world.task.arrived(world.reference, seen, world.task.goal(seen)).tolist()
        evidence = world.task.evidence(seen).tolist()
        after: dict[int, Choice] = {}
        for i, *tried in zip(asked, arrived, evidence, strict=True):
            try:
                after[i] = searches[i].send(Tried(*tried))
            except StopIteration as stop:
                if stop.value is not None:
                    end[i], free[i] = codes[i, stop.value.end], _places(column_of, stop.value.columns)
        asked = after
    return _shortened(world, start, end, free) if settings.short else end, free, queries


def _shortened(world: World, start: State, end: Tensor, free: Tensor) -> Tensor:
    """Codes (B, d) of the rows in which only the places `free` (B, D) are an end's, where these decode to the same values;
    else the ends (B, d). They are nearer to frame 0."""
    home = start.home._replace(held=~free)
    frame = world.decode(end, home)
    nearer = world.manifold.encode(frame)
    cells, others = world.units.exact(frame, home), world.units.exact(world.decode(nearer, home), home)
    assert cells is not None and others is not None
    same = ((cells == others) | (torch.isnan(cells) & torch.isnan(others))).all(1)
    return torch.where(same[:, None], nearer, end)


def _last_columns(world: World, start: State, last: Tensor, success: Tensor) -> Tensor:
    """Number (B,) of columns that the walks change; one more than there are, for those that failed."""
    cells = world.units.exact(world.decode(last, start.home), start.home)
    assert cells is not None
    changed = (cells != start.cells) & ~(torch.isnan(cells) & torch.isnan(start.cells))
    return torch.where(success, changed.sum(1), cells.shape[1] + 1)


def _goals(world: World, start: State, target: Tensor, count: int) -> Tensor:
    """Codes (B, count, d) of reference rows that the classifier puts into the target classes (B,), and that differ least from
    the inputs: by the sum over the places of encoded rows, so that few columns differ."""
    reference, found = world.reference, start.z[:, None].repeat(1, count, 1)
    satisfied = world.task.satisfied(reference.prediction, reference.label)
    for label in target.unique().tolist():
        rows = torch.nonzero((reference.label == label) & satisfied).flatten()
        if not len(rows):
            rows = torch.nonzero(reference.label == label).flatten()
        if len(rows):
            rows = rows[torch.linspace(0, len(rows) - 1, min(len(rows), MOST_ROWS)).long()]
            items = torch.nonzero(target == label).flatten()
            gaps = torch.cdist(start.factual[items], reference.x[rows], p=1)
            near = gaps.topk(min(count, len(rows)), dim=1, largest=False).indices
            found[items, : near.shape[1]] = reference.z[rows[near]]
    return found


def stand_in_of(world: World) -> StandIn:
    """The stand-in of a world, fitted on first use and kept with its reference data."""
    kept = world.reference.__dict__
    if "stand_in" not in kept:
        kept["stand_in"] = StandIn(world.reference)
    found: StandIn = kept["stand_in"]
    return found


def _places(column_of: Tensor, columns: frozenset[int]) -> Tensor:
    """Which places (D,) belong to columns."""
    return torch.from_numpy(np.isin(column_of.numpy(), list(columns)))
