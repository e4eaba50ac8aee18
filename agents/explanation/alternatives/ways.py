"""Several ways from one input to one target: paths that differ in what they change.

The search is greedy. After a way is found, the next one may not change what the ways before it changed. Of tables, their
columns are held: all of them first, then at least one of each way, so that none contains a way before it; a way that suffices
with fewer of another one's columns takes its place. Of pictures, series and text,
the walk goes to another real input of the target class, the nearest one whose difference from the input shares at most half
with each way before. Every walk that arrives is compared with the ways before; copies are never shown.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from itertools import islice, product
from typing import TYPE_CHECKING, Any

import numpy as np

from agents.errors import UserError
from agents.explanation.alternatives.changes import MOST_OVERLAP, begin, by_columns, change, change_of, is_new, overlap
from agents.explanation.alternatives.result import Alternatives, flat, named, stopped_by_budget, target_of
from agents.trajectories.goal import in_goal_of

if TYPE_CHECKING:
    from torch import Tensor

    from agents.trajectories.trajectory import Trajectory
    from envs.core.world import World

TRIES = 6  # walks for each further way
MOST_WAYS = 20
NEAREST = 64  # real inputs of the target class among which other ends are chosen


@dataclass
class Found:
    """The ways of one input so far.

    Attributes:
        paths: the ways.
        changes: what each changes.
        queries: of walks that gave no way, and of tries to change fewer columns.
        checked: the paths of a table that were searched for columns that can be left out.
        tries: what the next way is tried with: places to hold, or a code; None: nothing is left.
        requested: the target as it was given, see `Trajectory`.
    """

    paths: list[Trajectory]
    changes: list[np.ndarray] = field(default_factory=list)
    queries: int = 0
    checked: list[Trajectory] = field(default_factory=list)
    tries: Iterator[Tensor] | None = None
    requested: str | None = None

    def add(self, path: Trajectory, change: np.ndarray, columns: bool) -> bool:
        """Add a way, in place of those that change its columns and others besides; whether there is one more now."""
        fuller = [k for k, before in enumerate(self.changes) if columns and not bool((change > before).any())]
        for k in reversed(fuller):
            self.queries += self.paths.pop(k).queries
            del self.changes[k]
        place = fuller[0] if fuller else len(self.paths)
        self.paths.insert(place, path)
        self.changes.insert(place, change)
        return not fuller


def several_ways(source: Any, inputs: Any = None, target: Any = None, n: int = 3, **options: Any) -> Any:
    """Different paths from each input to the same target, diverse in what they change.

    Args:
        source: a run (or its folder), or a world.
        inputs, target: as for `agents.explain.explain`.
        n: most ways for each input.
        options: further arguments of `agents.explain.explain`. Of pictures and text, `walker` walks the first way, and the
            line the others.

    Returns:
        `Alternatives` for one row or input, else a list of them.

    Raises:
        UserError: n is not from 1 to 20.

    Example:
        >>> from envs import make_world
        >>> found = several_ways(make_world(), 0, n=2, walker="line")
        >>> [path.scenario for path in found]
        ['way 1', 'way 2']
    """
    from agents.explanation.contributions.compute import explained_class
    from agents.explanation.explain import explain, world_and_run
    from agents.explanation.inputs import gather

    if isinstance(n, bool) or not isinstance(n, int) or not 1 <= n <= MOST_WAYS:
        raise UserError(f"n={n!r}: a whole number of ways from 1 to {MOST_WAYS} is needed")
    world, run = world_and_run(source)
    on_batch = options.pop("on_batch", None)
    given = gather(world, inputs, options.pop("split", "held_out"), options.pop("rows", None))
    first = explain(run or world, given, target, **options)
    every = [Found([path], requested=path.requested) for path in ([first] if given.single else first)]
    place = {id(one): _place(given, one.paths[0]) for one in every}
    open_ = [one for one in every if one.paths[0].success and explained_class(one.paths[0]) != one.paths[0].source]
    for one in open_:
        one.changes.append(change_of(one.paths[0], world))
    again = {name: value for name, value in options.items() if name not in ("skip_present", "progress")}

    def walk(ones: list[Found], tries: list[Tensor]) -> list[Trajectory]:
        inputs = given.chosen([place[id(one)] for one in ones]) if ones else None
        return _walked(run or world, world, ones, tries, inputs, again)

    if n > 1:
        with stopped_by_budget(lambda: flat([_told(one, n, world) for one in every])):
            _search(world, open_, n, walk)
    found = [_told(one, n, world) for one in every]
    if on_batch is not None:
        on_batch([path for one in found for path in one])
    return found[0] if given.single else found


def _search(world: World, open_: list[Found], n: int, walk: Callable[[list[Found], list[Tensor]], list[Trajectory]]) -> None:
    """Add ways to those of each input, up to n, by further walks."""
    from agents.explanation.contributions.compute import explained_class

    if by_columns(world):
        _leave_out(world, open_, walk)
    for known in range(1, n):
        for one in open_:
            one.tries = islice(_tries(world, one), TRIES)
        waiting = open_
        while waiting:
            pairs = [(one, code) for one in waiting if (code := next(one.tries or iter(()), None)) is not None]
            walked = walk([one for one, _ in pairs], [code for _, code in pairs])
            waiting = []
            for (one, _), path in zip(pairs, walked, strict=True):
                goal = explained_class(one.paths[0])
                path.__dict__["position"] = one.paths[0].position
                seen = change_of(path, world) if path.success and explained_class(path) == goal else None
                if seen is None or not is_new(world, seen, one.changes):
                    one.queries += path.queries
                elif one.add(path, seen, by_columns(world)):
                    continue
                waiting.append(one)
        if by_columns(world):
            _leave_out(world, open_, walk)
        open_ = [one for one in open_ if len(one.paths) > known]


def _place(given: Any, path: Trajectory) -> int:
    """Where the path's input stands in what was given."""
    return int(path.position or 0) if given.kept is None else given.kept.index(path.position)


def _walked(source: Any, world: World, ones: list[Found], tries: list[Tensor], inputs: Any, options: dict[str, Any]) -> Any:
    """One more walk for each input, in one batch."""
    import torch

    from agents.explanation.explain import explain
    from agents.walkers.towards import TowardsWalker

    if not ones:
        return []
    targets: Any = [target_of(one.paths[0], world) for one in ones]
    targets = None if targets[0] is None else targets
    if by_columns(world):
        found = explain(source, inputs._replace(held=torch.stack(tries)), targets, **options)
    else:
        options = {**options, "walker": TowardsWalker(torch.stack(tries)), "fallback": False}
        found = explain(world, inputs, targets, **options)
    return found


def _tries(world: World, one: Found) -> Iterator[Tensor]:
    """What the next way of an input is tried with."""
    way: Callable[[World, Found], Iterator[Tensor]] = _held if by_columns(world) else _ends
    return way(in_goal_of(one.paths[0], world), one)


def _held(world: World, one: Found) -> Iterator[Tensor]:
    """Places (D,) of a table to hold: those of all columns that changed, then of one column of each way."""
    import torch

    units: Any = world.units
    used = [np.flatnonzero(changed).tolist() for changed in one.changes]
    sets = [frozenset(column for way in used for column in way)]
    sets += sorted(
        {frozenset(part) for part in islice(product(*used), 1000)} - set(sets), key=lambda part: (-len(part), sorted(part))
    )
    for columns in sets:
        yield torch.isin(units.group_of[units.column_of], torch.tensor(sorted(columns)))


def _leave_out(world: World, every: list[Found], walk: Callable[[list[Found], list[Tensor]], list[Trajectory]]) -> None:
    """Walk ways through a table again without the columns that are not needed, one after the other."""
    import torch

    units: Any = world.units
    while True:
        jobs, tries = [], []
        for one in every:
            for path, changed in zip(one.paths, one.changes, strict=True):
                if not any(path is other for other in one.checked):
                    one.checked.append(path)
                    column, asked = _needless(in_goal_of(path, world), path)
                    one.queries += asked
                    if column is not None:
                        jobs.append((one, (path, changed)))
                        tries.append(torch.isin(units.group_of[units.column_of], torch.tensor(column)) | _kept(world, path))
        if not jobs:
            return
        for (one, before), path in zip(jobs, walk([one for one, _ in jobs], tries), strict=True):
            path.__dict__["position"] = one.paths[0].position
            fewer = change_of(path, world)
            same = path.success and path.predicted[-1] == before[0].predicted[-1]
            if same and not bool((fewer > before[1]).any()):
                one.add(path, fewer, True)
            else:
                one.queries += path.queries


def _kept(world: World, path: Trajectory) -> Tensor:
    """Places (D,) that the path holds."""
    held = path.factual(world).held
    assert held is not None
    return held[0]


def _needless(world: World, path: Trajectory) -> tuple[int | None, int]:
    """The group of columns without whose change the end is most surely predicted alike, and the queries that showed it;
    None: each is needed."""
    import torch

    units, factual = world.units, path.factual(world)
    ends = torch.cat([factual.x, torch.from_numpy(path.frames(world)[-1:])])
    parts = units.components(ends, factual)
    groups = [int(units.group_of[part.where["column"]]) for part in parts]  # type: ignore[attr-defined]
    each = sorted(set(groups))
    if len(each) < 2:
        return None, 0
    choice = torch.tensor([[int(own != group) for own in groups] for group in each])
    rows = units.composed(ends, parts, choice)
    with torch.inference_mode():
        p = world.predictions(rows, factual.chosen(torch.zeros(len(rows), dtype=torch.int64)))
    end = int(path.predicted[-1])
    left = [k for k in range(len(each)) if int(p[k].argmax()) == end]
    return (each[max(left, key=lambda k: float(p[k, end]))] if left else None), len(rows)


def _ends(world: World, one: Found) -> Iterator[Tensor]:
    """Codes (d,) of real inputs of the target class: the nearest ones whose change is another way than those before, then
    those whose change shares least with them."""
    import torch

    from agents.explanation.contributions.compute import explained_class
    from agents.walkers.goals import arriving_reference

    first = one.paths[0]
    known = arriving_reference(world, first.source, explained_class(first))
    known &= world.reference.label == explained_class(first)
    with torch.inference_mode():
        factual = first.factual(world)
        start = torch.from_numpy(np.array(first.z[:1]))
        gaps = torch.cdist(world.manifold.coordinates(start, factual.x), world.reference.coordinates[known])[0]
        near = gaps.topk(min(NEAREST, len(gaps)), largest=False).indices
        codes = world.reference.z[known][near]
        frames = world.decode(torch.cat([start, codes]), factual.chosen(torch.zeros(len(codes) + 1, dtype=torch.int64)))
        home = begin(world, frames[0], factual)
        shared = [max(overlap(change(world, home, end, factual), before) for before in one.changes) for end in frames[1:]]
    for k in sorted(range(len(codes)), key=lambda k: (max(shared[k], MOST_OVERLAP), k)):
        yield codes[k]


def _told(one: Found, n: int, world: World) -> Alternatives:
    """The ways with their names, and the sentence about them."""
    count = len(one.changes)
    said = f"{count} way{'' if count == 1 else 's'} found" + (f" of {n} wanted" if count < n else "")
    if by_columns(world) and count:
        names = [str(name) for name in world.units.columns]
        groups: Tensor = world.units.group_of  # type: ignore[attr-defined]
        each = [", ".join(names[j] for j in range(len(names)) if changed[int(groups[j])]) for changed in one.changes]
        said += ": " + "; ".join(each)
    if count < n:
        said += ". Other walks changed the same parts, or did not arrive" if count else ". The walk did not arrive"
    numbered = n > 1 and count > 0
    return Alternatives(
        [named(path, f"way {k}", one.requested) if numbered else path for k, path in enumerate(one.paths, 1)],
        f"{said}.",
        one.queries,
    )
