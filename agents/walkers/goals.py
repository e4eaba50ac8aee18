"""Goals of walks: reference inputs that satisfy the task, by cached predictions. Only `queried_goals` costs queries."""

from __future__ import annotations

from collections.abc import Iterator

import torch
from torch import Tensor

from agents.walkers.base import select
from envs.core.factual import nothing_held
from envs.core.nearest import nearest
from envs.core.state import State
from envs.core.world import World

AROUND = 64  # nearest goals among which some are queried
FORBIDDEN = 4  # weight of a difference that a walk may not make, beside one that it may
MOST_LIKELY = 1000  # goals, and reference rows, among which the likely goals are sought
ALIKE = 3  # reference rows whose predictions say how likely a goal is


def goals_of(world: World, state: State, arriving: bool = True) -> Iterator[tuple[Tensor, Tensor]]:
    """Group the items by the reference inputs at which they may end.

    The candidates depend on the target alone, so there is one group for each target; where the target is the source, or no
    reference input satisfies the task, they depend on both.

    Args:
        world: gives the reference inputs (N).
        state: (B) items.
        arriving: take reference inputs whose own decoded frame satisfies the task, where there are any (see
            `arriving_reference`). False: all that the classifier puts into the target class.

    Yields:
        The items of a group (R,) int64, and their candidates (N,) bool; groups without candidates are left out.
    """
    for target in state.target.unique().tolist():
        rows = torch.nonzero(state.target == target).flatten()
        sources = state.source[rows].unique().tolist()
        alike = world.task.towards_target and not world.task.any_other and target not in sources
        for source in sources[:1] if alike else sources:
            own = rows if alike else rows[state.source[rows] == source]
            plain = not arriving and target != source
            candidates = _unlike(world, source, target) if plain else arriving_reference(world, source, target)
            if bool(candidates.any()):
                yield own, candidates


def neighbour_goals(world: World, state: State, arriving: bool = True) -> tuple[Tensor, Tensor]:
    """Each item's nearest unlike neighbour among the reference inputs.

    The distance is that from the input itself, in data space (between codes for text), to the candidates of `goals_of`.

    Returns:
        Latents (B, d) of the neighbours, and which items have one, (B,) bool.
    """
    goals = state.z.clone()
    found = torch.zeros(len(state.z), dtype=torch.bool)
    known, place = world.reference.coordinates, world.manifold.coordinates(state.z0, state.factual)
    for rows, candidates in goals_of(world, state, arriving):
        _, index = nearest(place[rows], known[candidates])
        goals[rows] = world.reference.z[candidates][index[:, 0]]
        found[rows] = True
    return goals, found


def queried_goals(world: World, state: State, tries: int) -> tuple[Tensor, Tensor, Tensor]:
    """For each item, a goal whose frame, in a walk from this input, satisfies the task by the classifier's answer.

    What an input holds, and what of its reconstruction error it keeps, may take a frame back over the boundary although the
    goal's own decoded frame is beyond it. Of the `AROUND` goals that are nearest, and that differ least in what a walk may
    not change, the first ones and those of which the classifier is surest that they are not of the input's class take turns;
    where walks keep columns, half as many of the `_likely` ones of all goals are queried besides.

    Args:
        world: gives the reference inputs.
        state: (B) items at frame 0.
        tries: the most goals of an item that are queried, one query each; half as many again where walks keep columns.

    Returns:
        Latents (B, d) of the goals, which items have one, (B,) bool, and the queries made (B,) int64.
    """
    goals, found = state.z.clone(), torch.zeros(len(state.z), dtype=torch.bool)
    queries = torch.zeros(len(state.z), dtype=torch.int64)
    for rows, candidates in goals_of(world, state):
        codes, sure = world.reference.z[candidates], 1 - world.reference.end_predictions[candidates]
        index = _permitted_near(world, state.factual[rows], world.reference.x[candidates])
        surest = sure[index, state.source[rows, None]].argsort(dim=1, descending=True, stable=True).argsort(dim=1)
        order = torch.minimum(torch.arange(index.shape[1]), surest + 0.5).argsort(dim=1, stable=True)
        tried = index.gather(1, order)[:, :tries]
        if world.units.holds:  # a likely one after every second of the others
            likely = _likely(world, select(state, rows), codes, tries // 2)
            turn = torch.cat((torch.arange(tried.shape[1]), 2 * torch.arange(likely.shape[1]) + 1.5))
            tried = torch.cat((tried, likely), dim=1)[:, turn.argsort()]
        for column in tried.T:
            left = ~found[rows]
            items, z = rows[left], codes[column[left]]
            if len(items) == 0:
                break
            here = select(state, items)
            frame = world.decode(z, here.home)
            seen = here._replace(z=z, frame=frame, prediction=world.predictions(frame, here.home))
            there = torch.as_tensor(world.task.arrived(world.reference, seen, world.task.goal(seen)))
            queries[items] += 1
            goals[items[there]], found[items[there]] = z[there], True
    return goals, found, queries


def _likely(world: World, state: State, codes: Tensor, count: int) -> Tensor:
    """Indices (B, count) of the codes (N, d) whose frames, in walks from these inputs, are nearest to reference rows that the
    classifier is sure are not of the input's class. With the input's held columns, that may be other codes than those of rows
    that the classifier is surest of. No query."""
    reference, found = world.reference, []
    some, known = (torch.linspace(0, n - 1, min(n, MOST_LIKELY)).long() for n in (len(codes), len(reference.x)))
    other, rows = 1 - reference.prediction[known], reference.x[known]
    for item in range(len(state.z)):
        home = state.home.chosen(torch.tensor([item])).repeated(len(some))
        alike = nearest(world.decode(codes[some], home), rows, k=ALIKE)[1]
        likely = other[alike, state.source[item]].mean(1)
        found.append(some[likely.argsort(descending=True, stable=True)[:count]])
    return torch.stack(found)


def _permitted_near(world: World, x: Tensor, known: Tensor) -> Tensor:
    """Indices (B, k) of the `AROUND` rows known (N, D) that are nearest to inputs x (B, D), in which what a walk may not
    change counts more."""
    if not world.units.holds:
        return nearest(x, known, k=AROUND)[1]
    found = []
    for row in x:
        against = (world.units.hold(known.clone(), row) - known).norm(dim=1)
        found.append(((known - row).norm(dim=1) + FORBIDDEN * against).topk(min(AROUND, len(known)), largest=False).indices)
    return torch.stack(found)


def arriving_reference(world: World, source: int, target: int) -> Tensor:
    """Reference inputs at which a walk from class `source` to class `target` may end, (N,) bool.

    Those whose own decoded frame satisfies the task; where none does, those that the classifier puts into the target class
    (into any other class where the target is the source).
    """
    there = _arrived(world, source, target)
    return there if bool(there.any()) else _unlike(world, source, target)


def _unlike(world: World, source: int, target: int) -> Tensor:
    """Reference inputs predicted as `target`, or as any class but `source` where the two are equal, (N,) bool."""
    if world.task.group is not None:
        return world.task.in_group(world.reference.label)
    any_other = target == source or world.task.any_other
    return world.reference.label != source if any_other else world.reference.label == target


def _arrived(world: World, source: int, target: int) -> Tensor:
    """Reference inputs that satisfy the task as the last frame of a walk from `source` to `target`, (N,) bool."""
    x, z, frame, _, label, cells, base = world.reference
    wanted, unused = torch.full_like(label, target), torch.zeros(len(label))
    predictions, own = world.reference.end_predictions, torch.full_like(label, source)
    held = nothing_held(x, world.units.anchored)
    ends = State(z, z, frame, x, cells, base, held, predictions, own, wanted, unused, unused, unused)
    there = torch.as_tensor(world.task.arrived(world.reference, ends, world.task.goal(ends)))
    if not world.units.anchored:
        return there
    # The decoded code is not the reference input itself: both must be of the class, or a walk could end where it begins.
    if world.task.group is not None:
        return there & world.task.in_group(label)
    away = not world.task.towards_target or (world.task.any_other and target != source)
    return there & (label != source if away else label == target)
