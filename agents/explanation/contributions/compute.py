"""Contributions of the changed parts of paths, by switching them from the input to the end in random orders."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from itertools import pairwise
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from agents.errors import UserError
from agents.explanation.contributions.orders import Segment, cost, segment
from agents.explanation.contributions.result import Contributions, Part
from agents.explanation.contributions.variates import estimated_credits
from agents.trajectories.goal import in_goal_of
from agents.trajectories.shown import measured, shown_of

if TYPE_CHECKING:
    from torch import Tensor

    from agents.trajectories.trajectory import Trajectory
    from envs.core.factual import Factual
    from envs.modalities.components import Component

ORDERS = 12  # between two key frames: six random orders and their reverses
SEGMENTS = 1  # between key frames: the input and the end alone; more gave no better order of the parts and took more queries
MAX_QUERIES = 500  # of one path
PartNames = Mapping[str, str] | Callable[[str], str]


class Plan(NamedTuple):
    """What is queried for one path.

    Attributes:
        components: n changed parts.
        frames: numbers of the key frames, -1 is the input.
        end: the place of the last frame in `rows`.
        segments: for each pair of key frames: the parts that differ, the coalitions, and the place of each coalition in
            `rows`.
        rows: (R, \\*data_shape) the data that are queried, the input first.
        factual: the input, a batch of one.
        names: name and change of each part, in words.
    """

    components: list[Component]
    frames: list[int]
    end: int
    segments: list[tuple[np.ndarray, Segment, np.ndarray]]
    rows: Tensor
    factual: Factual
    names: list[tuple[str, str]]


def contributions(
    path: Trajectory | Sequence[Trajectory],
    world: Any = None,
    orders: int = ORDERS,
    max_queries: int = MAX_QUERIES,
    seed: int = 0,
    part_names: PartNames | None = None,
    segments: int = SEGMENTS,
) -> Any:
    """What each changed part of a path is worth: changes of p(explained class) that sum exactly to p(end) - p(input); of a
    model with a score, changes of the score.

    The parts are switched from the input to the end in random orders; each is credited with its step of p, averaged over
    orders (Shapley values). A surrogate of the queried probabilities lowers the error of few orders (see
    `agents.explanation.contributions.variates`). With more segments, they are switched from key frame to key frame, chosen
    where p moves. All rows are queried in one batch and counted.

    Args:
        path: one path or several; several cost one batch.
        world: where they were walked; None: the path's own, see `Trajectory.world`.
        orders: random orders between two key frames, even: an order and its reverse make a pair.
        max_queries: of one path. Where all segments cost more, fewer are used.
        seed: of the orders; a path's result does not depend on the others.
        part_names: the user's names: a mapping from names of parts, or a function of the name.
        segments: stretches of the path between key frames; sentences have one.

    Returns:
        `Contributions`, or a list of them for several paths.

    Raises:
        UserError: more parts than `max_queries` allows even without key frames between; an odd number of orders; no world.

    Example:
        >>> from agents.explain import explain
        >>> from envs import make_world
        >>> path = explain(make_world(), 0, walker="line")
        >>> found = contributions(path)
        >>> found.parts[0].name, found.efficiency_error < 1e-6
        ('petal width in cm', True)
    """
    single = not isinstance(path, Sequence)
    paths: list[Trajectory] = [path] if single else list(path)  # type: ignore[list-item, arg-type]
    if orders < 2 or orders % 2:
        raise UserError(f"orders={orders}: an even number from 2 on is needed, each order is used with its reverse")
    if segments < 1:
        raise UserError(f"segments={segments}: at least one is needed, from the input to the end")
    worlds = [each.world if world is None else in_goal_of(each, world) for each in paths]
    for each, found in zip(paths, worlds, strict=True):
        if found is None:
            raise UserError(f"the path {each.name!r} was read from a file: give the world that it was walked in as world=")
    if len({id(found) for found in worlds}) > 1:  # each world has its own classifier
        return [contributions(each, found, orders, max_queries, seed, part_names, segments)
                for each, found in zip(paths, worlds, strict=True)]  # fmt: skip
    plans = [_plan(each, found, orders, max_queries, seed, segments) for each, found in zip(paths, worlds, strict=True)]
    if not plans:
        return []
    p = _predicted(worlds[0], plans)
    results = [_result(*each, orders, seed, part_names) for each in zip(paths, plans, p, strict=True)]
    return results[0] if single else results


def explained_class(path: Trajectory) -> int:
    """The class whose probability a path is about: its target, or where it had none, the class of its end."""
    return path.target if path.target != path.source else int(path.predicted[-1])


def changed_parts(path: Trajectory, world: Any) -> list[tuple[str, str]]:
    """Name and change of every part that differs between the input and the end, in words; costs no query."""
    frames, factual = _frames(path, world)
    ends = frames[[0, -1]]
    return _words(path, world, world.units.components(ends, factual), ends)


def _frames(path: Trajectory, world: Any) -> tuple[Tensor, Factual]:
    """The input and every frame (T+2, \\*data_shape), and the input as frames are made of it."""
    import torch

    factual = path.factual(world)
    return torch.cat([factual.x, torch.from_numpy(path.frames(world)).to(factual.x.dtype)]), factual


def _words(path: Trajectory, world: Any, components: list[Component], frames: Tensor) -> list[tuple[str, str]]:
    from agents.explanation.figures.renderer import renderer_of

    seen: dict[tuple[str, str], int] = {}
    out = []
    for name, change in renderer_of(path).part_words(path, world, components, frames):
        number = seen[name, change] = seen.get((name, change), 0) + 1
        out.append((name if number == 1 else f"{name} ({number})", change))
    return out


def _plan(path: Trajectory, world: Any, orders: int, max_queries: int, seed: int, most: int) -> Plan:
    import torch

    frames, factual = _frames(path, world)
    keys = key_frames(_along(path), most if world.units.follows_frames else 1)
    while True:
        shown = frames[keys]
        components = world.units.components(shown, factual)
        first = _first_equal(shown, components)
        active = [np.flatnonzero(now != then) for now, then in pairwise(first)]
        needed = len(keys) + sum(cost(len(each), orders) for each in active)
        if needed <= max_queries or len(keys) == 2:
            break
        keys = key_frames(_along(path), len(keys) - 2)
    if needed > max_queries:
        raise UserError(
            f"the contributions of the {len(components)} changed parts of {path.name!r} take {needed} queries with "
            f"orders={orders}, and max_queries is {max_queries}: raise max_queries to {needed}"
            + (", or lower orders to 2" if orders > 2 else "")
        )
    generator = np.random.default_rng(seed)
    known: dict[tuple[int, ...], int] = {tuple(first[0]): 0}
    segments = []
    for k, parts in enumerate(active):
        coalitions = segment(len(parts), orders, generator)
        choice = np.repeat(first[k][None], len(coalitions.switched), 0)
        choice[:, parts] = np.where(coalitions.switched, first[k + 1][parts], first[k][parts])
        places = np.array([known.setdefault(tuple(row), len(known)) for row in choice.tolist()])
        segments.append((parts, coalitions, places))
    chosen = torch.tensor(list(known), dtype=torch.int64).reshape(len(known), len(components))
    return Plan(components, [t - 1 for t in keys], known[tuple(first[-1])], segments,
                world.units.composed(shown, components, chosen), factual, _words(path, world, components, shown))  # fmt: skip


def _first_equal(frames: Tensor, components: Sequence[Component]) -> np.ndarray:
    """(F, n) for every key frame the first of the frames just before it on which the part is the same, so that equal data are
    one query."""
    first = np.zeros((len(frames), len(components)), dtype=int)
    for c, component in enumerate(components):
        for k in range(1, len(frames)):
            values = frames[k - 1 : k + 1, component.mask] if component.mask.numel() else None
            moves = values is None or bool((values[0] != values[1]).any())
            first[k, c] = k if moves else first[k - 1, c]
    return first


def _along(path: Trajectory) -> np.ndarray:
    """(T+2,) the explained class's probability along the input and the frames; that of the input is taken for frame 0's."""
    c = explained_class(path)
    shown = shown_of(path, c)
    p = shown.values if shown is not None else (path.predicted == c).astype(float)
    return np.concatenate([p[:1], p]).astype(np.float64)


def key_frames(p: np.ndarray, segments: int) -> list[int]:
    """Places in p (T+2,) that part the movement of p into at most so many equal shares; the first and the last are among them.

    Example:
        >>> key_frames(np.array([0.0, 0.0, 0.1, 0.2, 0.9, 1.0]), 2)
        [0, 4, 5]
    """
    moved = np.concatenate([[0.0], np.cumsum(np.abs(np.diff(p)))])
    levels = np.linspace(0, moved[-1], segments + 1)[1:-1]
    between = [int(np.searchsorted(moved, level)) for level in levels] if moved[-1] > 0 else []
    return sorted({0, len(p) - 1, *between})


def _predicted(world: Any, plans: Sequence[Plan]) -> list[np.ndarray]:
    """The predictions (R, K), float64, of every plan's rows, from one batch."""
    import torch

    counts = torch.tensor([len(plan.rows) for plan in plans])
    width = max(plan.rows.shape[1] for plan in plans)
    same = all(plan.rows.shape[1] == width for plan in plans)
    rows = torch.cat([p.rows if same else torch.nn.functional.pad(p.rows, (0, width - p.rows.shape[1])) for p in plans])
    home = type(plans[0].factual)(*(torch.cat(part) for part in zip(*(plan.factual for plan in plans), strict=True)))
    with torch.inference_mode():
        found = world.predictions(rows, home.chosen(torch.arange(len(plans)).repeat_interleave(counts)))
    return [np.asarray(part, dtype=np.float64) for part in found.split(counts.tolist())]


def _result(
    path: Trajectory, plan: Plan, predictions: np.ndarray, orders: int, seed: int, part_names: PartNames | None
) -> Contributions:
    explained = explained_class(path)
    p = measured(path, predictions, explained)
    value, variance, generator = np.zeros(len(plan.components)), np.zeros(len(plan.components)), np.random.default_rng(seed)
    for active, coalitions, places in plan.segments:
        found = estimated_credits(coalitions, p[places], generator)
        value[active], variance[active] = value[active] + found[0], variance[active] + found[1]
    exact, spread = all(coalitions.orders is None for _, coalitions, _ in plan.segments), np.sqrt(variance)
    parts = [
        Part(_named(name, part_names), change, component.where, float(value[k]), float(spread[k]))
        for k, (component, (name, change)) in enumerate(zip(plan.components, plan.names, strict=True))
    ]
    parts.sort(key=lambda part: -part.value)
    called = measured(path, predictions[:1], path.source)
    return Contributions(
        parts=parts, explained=explained, start=float(p[0]), end=float(p[plan.end]), called=float(called[0]),
        queries=len(p), frames=plan.frames, orders=orders, exact=exact, seed=seed,
    )  # fmt: skip


def _named(name: str, part_names: PartNames | None) -> str:
    """The user's name of a part, or its own."""
    if part_names is None:
        return name
    return str(part_names(name) if callable(part_names) else part_names.get(name, name))
