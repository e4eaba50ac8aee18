"""Scenarios of one input side by side: the nearest end, the most typical one, and the one that changes only some columns."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from agents.explanation.alternatives.changes import by_columns
from agents.explanation.alternatives.result import Alternatives, flat, named, stopped_by_budget, target_of
from agents.trajectories.goal import in_goal_of
from envs.errors import ManifoldError, UnknownNameError

if TYPE_CHECKING:
    from torch import Tensor

    from agents.explanation.own_inputs import Inputs
    from agents.trajectories.trajectory import Trajectory
    from envs.core.world import World

CANDIDATES = 6  # real inputs of the target class that are walked to
NEAREST = 64  # of the target class, among which they are the most typical ones


def scenarios(
    source: Any, inputs: Any = None, target: Any = None, features_to_vary: Sequence[str] = (), **options: Any
) -> Any:
    """The nearest path, the most typical one, and one that changes only some columns, for each input.

    The walks that are compared: the default explanation, the same with all changes of a table (``sparse=False``), and lines
    to six real inputs of the target class near the input, those with the most typical places. The nearest one ends at the
    smallest distance from the input; the most typical one at the smallest distance to its five nearest real items of the
    target class. Where both are one path, it is shown once.

    Args:
        source: a run (or its folder), or a world.
        inputs, target: as for `agents.explain.explain`.
        features_to_vary: of a table, the columns that the third path may change; none: no such path.
        options: further arguments of `agents.explain.explain`.

    Returns:
        `Alternatives` for one row or input, else a list of them.

    Raises:
        ManifoldError, UnknownNameError: columns that the data do not have.

    Example:
        >>> from envs import make_world
        >>> [path.scenario for path in scenarios(make_world(), 0, walker="line", features_to_vary=["petal length in cm"])]
        ['nearest', 'most typical', 'only petal length in cm']
    """
    from agents.explanation.contributions.compute import explained_class
    from agents.explanation.explain import explain, world_and_run
    from agents.explanation.inputs import gather

    world, run = world_and_run(source)
    held = _all_but(world, features_to_vary)
    on_batch = options.pop("on_batch", None)
    given = gather(world, inputs, options.pop("split", "held_out"), options.pop("rows", None))
    first = explain(run or world, given, target, **options)
    first = [first] if given.single else first
    again = {name: value for name, value in options.items() if name not in ("skip_present", "progress")}
    found: list[Alternatives] = []
    with stopped_by_budget(lambda: [*flat(found), *first[len(found) :]]):
        for path in first:
            place = int(path.position or 0) if given.kept is None else given.kept.index(path.position)
            one = given.chosen([place])
            targets = None if (target := target_of(path, world)) is None else [target]
            own = in_goal_of(path, world)
            pool = [path]
            if path.target != path.source:
                pool += _further(run or world, own, one, path, targets, again)
            ends = [p for p in pool if p.success and explained_class(p) == explained_class(path)]
            only = explain(run or world, one._replace(held=held[None]), targets, **again)[0] if held is not None else None
            found.append(_chosen(own, path, pool, ends, only, features_to_vary))
    if on_batch is not None:
        on_batch([path for one in found for path in one])
    return found[0] if given.single else found


def _all_but(world: World, columns: Sequence[str]) -> Tensor | None:
    """Places (D,) of a table's other columns; None where no columns are named."""
    import torch

    if not columns:
        return None
    units: Any = world.units
    names = [str(name) for name in units.columns or []]
    if not by_columns(world):
        raise ManifoldError("features_to_vary is for tables; this world has no columns")
    for name in columns:
        if name not in names:
            raise UnknownNameError("column in features_to_vary", name, names)
    free = {names.index(name) for name in columns}
    for rule in units.relations:  # its columns change together, or not at all
        if free & set(rule.columns) and not set(rule.columns) <= free:
            others = [names[j] for j in rule.columns if j not in free]
            raise ManifoldError(
                f"features_to_vary={list(columns)}: the relation {rule.text!r} holds {others} as well: name them, too"
            )
    return ~torch.isin(units.column_of, torch.tensor(sorted(free)))


def _further(
    source: Any, world: World, one: Inputs, path: Trajectory, targets: list[Any] | None, options: dict[str, Any]
) -> list[Trajectory]:
    """The walks that the default path is compared with."""
    import torch

    from agents.explanation.contributions.compute import explained_class
    from agents.explanation.explain import explain
    from agents.explanation.metrics.path import knn_distance
    from agents.walkers.goals import arriving_reference
    from agents.walkers.towards import TowardsWalker

    goal, reference = explained_class(path), world.reference
    rows = torch.nonzero(arriving_reference(world, path.source, goal) & (reference.label == goal)).flatten()
    with torch.inference_mode():
        place = world.manifold.coordinates(torch.from_numpy(np.array(path.z[:1])), one.x)
        gaps = torch.cdist(place, reference.coordinates[rows])[0]
    rows = rows[gaps.topk(min(NEAREST, len(rows)), largest=False).indices]
    own = reference.coordinates[reference.label == goal].numpy()
    if len(own) > 1 and len(rows):
        rows = rows[np.argsort(knn_distance(reference.coordinates[rows].numpy(), own, exclude_self=False), kind="stable")]
    rows = rows[:CANDIDATES]
    found = [explain(source, one, targets, **{**options, "sparse": False})[0]] if by_columns(world) else []
    if len(rows):
        many = one.chosen([0] * len(rows))
        lines = {**options, "walker": TowardsWalker(reference.z[rows]), "fallback": False, "sparse": False}
        found += explain(world, many, None if targets is None else targets * len(rows), **lines)
    return found


def _chosen(
    world: World,
    path: Trajectory,
    pool: Sequence[Trajectory],
    ends: Sequence[Trajectory],
    only: Trajectory | None,
    columns: Sequence[str],
) -> Alternatives:
    """The scenarios of one input among the walks of its pool."""
    shown: list[tuple[str, Trajectory]] = [("nearest", path)]
    missing = [] if ends else ["no walk arrived"]
    if ends:
        nearest = min(ends, key=lambda p: float(p.distances[-1]) if p.distances is not None else 0.0)
        shown = [("nearest", nearest), ("most typical", ends[int(np.argmin(_away(world, ends)))])]
    if only is not None and only.success:
        shown.append((f"only {', '.join(columns)}", only))
    elif only is not None:
        missing.append(f"no path was found that changes only {', '.join(columns)}")
    names: list[list[str]] = []
    paths: list[Trajectory] = []
    for name, each in shown:  # paths with one end are one scenario
        same = next((k for k, p in enumerate(paths) if np.allclose(p.frames(world)[-1], each.frames(world)[-1])), len(paths))
        names, paths = (names, paths) if same < len(paths) else ([*names, []], [*paths, each])
        names[same].append(name)
    made = [*pool, *([] if only is None else [only])]
    for each in made:
        each.__dict__["position"] = path.position
    queries = sum(p.queries for p in made) - sum(p.queries for p in paths)
    found = [named(each, " and ".join(part), path.requested) for each, part in zip(paths, names, strict=True)]
    return Alternatives(found, f"{'; '.join([*([', '.join(map(' and '.join, names))] if ends else []), *missing])}.", queries)


def _away(world: World, paths: Sequence[Trajectory]) -> np.ndarray:
    """(N,) distances of the ends to their five nearest real items of the target class."""
    from agents.explanation.metrics.evaluate import reference_of, target_classes
    from agents.explanation.metrics.path import knn_distance_to_class
    from agents.trajectories.world import coordinates

    reference = reference_of(world)
    ends = [coordinates(world, p.z[-1:], p.frames(world)[-1:])[0] for p in paths]
    return knn_distance_to_class(np.stack(ends), target_classes(paths), reference.bank, reference.bank_classes)
