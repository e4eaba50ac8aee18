"""Walks on which few columns change: the search for the columns, then the walk with all others held.

A walk on the manifold changes most columns a little, and few of these changes decide. Ends are the walk's own, extended, and
the codes of reference rows of the target class near the input. A frame in which only some columns are an end's, and the others
the input's, is tried by one query; a surrogate chooses which to try next. Then the walk to that end is made with the
other columns held (`Factual.held`), so that frames, actions and replay agree.

Walks that failed are searched as well: the task may be satisfied at another end than the one they headed for.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor

from agents.walkers.base import Recorder, Walk, lost_at_the_start, select
from agents.walkers.follow import follow, latent_step
from agents.walkers.merge import merge
from agents.walkers.planning.refine import refine_last
from agents.walkers.sparse.intervals import ENDS, choose
from agents.walkers.sparse.search import Choice, Search, Tried, search
from agents.walkers.sparse.surrogate import expected, per_group
from envs.core.factual import differs
from envs.core.state import State
from envs.core.tasks import log_odds
from envs.core.world import World

SPARE = 0.8  # share of the step limit within which ends are sought
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
        hope: see `agents.walkers.sparse.search.search`.
        intervals: most queries of the search in a series.

    Example:
        >>> SparseSettings(queries=4).ends
        96
    """

    ends: int = 96
    reach: float = 1.5
    queries: int = 8
    rescue: int = 6
    refine: int = 1
    hope: float = 2.0
    intervals: int = 18


class Found(NamedTuple):
    """What a search found for B items.

    Attributes:
        end: (B, d) codes of the ends.
        free: (B, D) bool, the places that change; none where nothing was found.
        own: (B,) bool, whether the end is the walk's own, extended.
        queries: (B,) int64, queries made.

    Example:
        >>> empty = torch.zeros(1, 2, dtype=torch.bool)
        >>> Found(torch.zeros(1, 2), empty, empty[:, 0], torch.zeros(1, dtype=torch.int64)).free.any(1)
        tensor([False])
    """

    end: Tensor
    free: Tensor
    own: Tensor
    queries: Tensor


def with_few_columns(
    world: World,
    start: State,
    walk: Walk,
    max_steps: int | None = None,
    *,
    goals: bool = True,
    whole: bool = False,
    settings: SparseSettings | None = None,
) -> tuple[State, Walk, Tensor]:
    """Replace walks through a table by walks that change fewer columns, and failed ones by walks that succeed, if such are
    found.

    Args:
        world: where they were walked.
        start: (B) their states at frame 0.
        walk: B items. Items whose target is their own class stay as they are.
        max_steps: step limit; None: the world's own.
        goals: search the codes of reference rows, too, and replace failed walks; False: only the walks' own ends.
        whole: change as many columns as the ends do: only failed walks are replaced.
        settings: of the search.

    Returns:
        States at frame 0 with `held` set; the walks, with the queries of the search added; and which of them now go to another
        end than the walk's own, or go on where it failed, (B,) bool.
    """
    settings = SparseSettings() if settings is None else settings
    elsewhere = torch.zeros(len(walk.length), dtype=torch.bool)
    ends = walk.predictions[walk.length, torch.arange(len(walk.length))].argmax(1)
    other = (start.target != start.source) | (ends != start.source)
    wanted = other & ~lost_at_the_start(start, walk.predictions[0], walk.length) & ~(walk.success & (walk.length == 0))
    wanted &= (walk.success & (not whole)) | (~walk.success & goals)
    rows = torch.nonzero(wanted).flatten()
    if not world.units.anchored or len(rows) == 0:
        return start, walk, elsewhere
    most = world.max_episode_steps if max_steps is None else max_steps
    reach = SPARE * latent_step(world) * most
    target = torch.where(walk.success, ends, start.target)[rows]
    last, success = walk.z[walk.length[rows], rows], walk.success[rows]
    if world.units.in_time and not whole:
        found = _intervals(world, select(start, rows), last, target, reach, settings, goals)
    else:
        options = _options(world, select(start, rows), last, success, target, reach, settings, goals)
        found = _searched(world, select(start, rows), options, whole, settings)
    walk = walk._replace(queries=walk.queries.index_add(0, rows, found.queries))
    some = found.free.any(1)
    items, own = rows[some], found.own[some]
    if len(items) == 0:
        return start, walk, elsewhere
    moving = select(start, items)
    moving = moving if whole else moving._replace(held=~found.free[some])
    recorder = Recorder(world, moving, torch.zeros(len(items), dtype=torch.int64), max_steps)
    counts = torch.where(own, walk.length[items] + 1, 1)  # along the walk's own way to its own end, else straight
    way_points = torch.cat((walk.z[1:, items], walk.z[:1, items]))
    way_points[counts - 1, torch.arange(len(items))] = found.end[some]
    follow(recorder, way_points, counts)
    refine_last(recorder, settings.refine)
    again = recorder.walk()
    elsewhere[items] = again.success & ~(own & success[some])
    held = start.held.clone()
    held[items[again.success]] = moving.held[again.success]
    return start._replace(held=held), merge(walk, items, again), elsewhere


class _Options(NamedTuple):
    """What can be tried for B items: E ends, with C columns each.

    Attributes:
        codes: (B, E, d), the walk's own end first.
        frames: (B, E, D) at the ends.
        order, rise, cost: (B, E, C) see `search`.
        fewer_than: (B,) number of columns that a choice must stay below.
        budget: (B,) most queries.
    """

    codes: Tensor
    frames: Tensor
    order: np.ndarray
    rise: np.ndarray
    cost: np.ndarray
    fewer_than: list[int]
    budget: list[int]


def _options(
    world: World,
    start: State,
    last: Tensor,
    success: Tensor,
    target: Tensor,
    reach: float,
    settings: SparseSettings,
    goals: bool,
) -> _Options:
    """Ends of B items, and what a surrogate expects of them.

    Args:
        world: where.
        start: (B) states at frame 0.
        last: (B, d) codes at the end of the walks.
        success: (B,) whether these succeeded.
        target: (B,) classes.
        reach: latent distance from frame 0 within which ends lie.
        settings: of the search.
        goals: whether reference rows are ends.
    """
    units: Any = world.units
    groups: Tensor = units.group_of
    codes, frames = _ends(world, start, last, target, reach, settings, goals)
    batch, count = codes.shape[:2]
    home = start.home.repeated(count)
    moved = per_group(differs(units.exact(frames, home), home.cells).float(), groups, len(groups)) > 0
    moved = moved.unflatten(0, (batch, count))
    frames = frames.unflatten(0, (batch, count))
    found = expected(world, start.factual, frames, moved, groups[units.column_of], target)
    cells = units.exact(world.decode(last, start.home), start.home)
    present = (per_group(differs(cells, start.cells).float(), groups, len(groups)) > 0).sum(1)
    return _Options(
        codes,
        frames,
        *found,
        torch.where(success, present, moved.shape[2] + 1).tolist(),
        torch.where(success, settings.queries, settings.rescue).tolist(),
    )


def _ends(
    world: World, start: State, last: Tensor, target: Tensor, reach: float, settings: SparseSettings, goals: bool
) -> tuple[Tensor, Tensor]:
    """Codes (B, E, d) of ends, and their frames (B E, D); the arguments are those of `_options`."""
    codes = world.manifold.project(start.z + settings.reach * (last - start.z))[:, None]
    if goals:
        codes = torch.cat((codes, _goals(world, start, target, settings.ends)), dim=1)
    away = codes - start.z[:, None]
    codes = start.z[:, None] + away * (reach / away.norm(dim=2, keepdim=True).clamp_min(1e-12)).clamp_max(1)
    return codes, world.decode(codes.flatten(0, 1), start.home.repeated(codes.shape[1]))


def _intervals(
    world: World, start: State, last: Tensor, target: Tensor, reach: float, settings: SparseSettings, goals: bool
) -> Found:
    """Search intervals for each of B series; the arguments are those of `_options`."""
    codes, frames = _ends(world, start, last, target, reach, replace(settings, ends=ENDS), goals)
    chosen = choose(world, start, frames.unflatten(0, codes.shape[:2]), target, settings.intervals)
    end = codes[torch.arange(len(codes)), chosen.end.clamp_min(0)]
    return Found(end, chosen.free, torch.zeros(len(end), dtype=torch.bool), chosen.queries)


def _searched(world: World, start: State, options: _Options, whole: bool, settings: SparseSettings) -> Found:
    """Search for each of B items; all items' tries of one round are one batch of queries."""
    units: Any = world.units
    group: Tensor = units.group_of[units.column_of]
    begin, goal = world.task.evidence(start).tolist(), float(log_odds(torch.tensor(world.task.tau)))
    found = Found(
        start.z.clone(),
        torch.zeros(start.factual.shape, dtype=torch.bool),
        torch.zeros(len(begin), dtype=torch.bool),
        torch.zeros(len(begin), dtype=torch.int64),
    )
    searches: dict[int, Search] = {}
    open_choices: dict[int, Choice] = {}
    for i, rise in enumerate(options.rise):
        limits = options.fewer_than[i], options.budget[i]
        searches[i] = search(options.order[i], rise, options.cost[i], begin[i], goal, *limits, settings.hope, whole)
        if (choice := next(searches[i], None)) is not None:
            open_choices[i] = choice
    while open_choices:
        items, at = torch.tensor(list(open_choices)), torch.tensor([choice.end for choice in open_choices.values()])
        places = torch.stack([_places(group, choice.columns) for choice in open_choices.values()])
        found.queries[items] += 1
        here = select(start, items)
        frame = units.holding(options.frames[items, at], here.factual, ~places)
        seen = here._replace(z=options.codes[items, at], frame=frame, prediction=world.predictions(frame, here.home))
        arrived = world.task.arrived(world.reference, seen, world.task.goal(seen)).tolist()
        after: dict[int, Choice] = {}
        for i, *tried in zip(open_choices, arrived, world.task.evidence(seen).tolist(), strict=True):
            try:
                after[i] = searches[i].send(Tried(*tried))
            except StopIteration as stop:
                if stop.value is not None:
                    found.end[i], found.own[i] = options.codes[i, stop.value.end], stop.value.end == 0
                    found.free[i] = _places(group, stop.value.columns)
        open_choices = after
    return found


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


def _places(group: Tensor, columns: frozenset[int]) -> Tensor:
    """Which places (D,) belong to groups of columns."""
    return torch.from_numpy(np.isin(group.numpy(), list(columns)))
