"""Several paths from one input, each with its name among them."""

from __future__ import annotations

import dataclasses
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, overload

from envs.errors import QueryBudgetError

if TYPE_CHECKING:
    from agents.trajectories.trajectory import Trajectory
    from envs.core.world import World


@dataclass(frozen=True)
class Alternatives(Sequence["Trajectory"]):
    """Paths from one input; each names itself in `Trajectory.scenario`. A sequence of the paths, the first one the default.

    Attributes:
        paths: what was found; the default explanation alone where it did not arrive.
        sentence: how many there are, and what was not found.
        queries: classifier rows of walks that are not among the paths; part of no path's queries.

    Example:
        >>> import envs
        >>> from agents import Explainer
        >>> explainer = Explainer(envs.make_world(progress=False), walker="line")
        >>> print(explainer.explain(rows=0, n=2).sentence)
        2 ways found: petal width in cm; petal length in cm.
    """

    paths: list[Trajectory]
    sentence: str
    queries: int

    @overload
    def __getitem__(self, place: int) -> Trajectory: ...

    @overload
    def __getitem__(self, place: slice) -> list[Trajectory]: ...

    def __getitem__(self, place: Any) -> Any:
        return self.paths[place]

    def __len__(self) -> int:
        return len(self.paths)


def target_of(path: Trajectory, world: World) -> Any:
    """The target of further walks from a path's input: its own goal on a score or on labels, else its class; None where the
    task takes no target."""
    return path.goal if path.goal is not None else path.target if world.task.takes_target else None


def named(path: Trajectory, scenario: str, requested: str | None) -> Trajectory:
    """A path with its name among others and the target as it was given; what this process alone knows of it is kept."""
    found = dataclasses.replace(path, scenario=scenario, requested=requested)
    for name in ("world", "position", "walked_here"):
        if name in path.__dict__:
            found.__dict__[name] = path.__dict__[name]
    return found


@contextmanager
def stopped_by_budget(paths: Callable[[], Iterable[Trajectory]]) -> Iterator[None]:
    """Within, an exhausted query budget hands over the paths that were found before."""
    try:
        yield
    except QueryBudgetError as error:
        stopped = QueryBudgetError(f"{error.__cause__ or error}. Other walks were left out")
        stopped.paths = list(paths())
        raise stopped from error


def flat(found: Any) -> list[Trajectory]:
    """The paths of what a function of inputs returned: a path or `Alternatives`, or a list of either."""
    every = found if isinstance(found, list) else [found]
    return [path for one in every for path in (one.paths if isinstance(one, Alternatives) else [one])]


def sentences(found: Any, world: Any, brief: bool = False) -> list[str]:
    """One line for each input with alternatives: which input, how many were found, and what the search took besides; `brief`:
    one line for all."""
    from agents.explanation.output import place_of

    every = [one for one in (found if isinstance(found, list) else [found]) if isinstance(one, Alternatives)]
    if brief and every:
        counts = Counter(sum(path.success for path in one) for one in every)
        counted = ", ".join(f"{count} for {counts[count]} inputs" for count in sorted(counts))
        return [f"paths an input: {counted}; queries of other walks: {sum(one.queries for one in every)}"]
    lines = []
    for one in every:
        place = place_of(one.paths[0], world)
        lines.append((f"[{place}] " if place else "") + f"{one.sentence} Queries of other walks: {one.queries}.")
    return lines
