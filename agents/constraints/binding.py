"""Which constraint binds, where no path was found under all of them: each is dropped in turn."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any, NamedTuple

from agents.constraints.apply import MORE, constrained, constraints_of
from agents.errors import UserError
from envs.errors import ManifoldError

if TYPE_CHECKING:
    from agents.trajectories.trajectory import Trajectory

BUDGET = 500  # queries
Without = tuple[str, dict[str, Any]]  # a constraint in words, and all others


class Binding(NamedTuple):
    """The constraints that bind one input.

    Attributes:
        names: constraints without which alone a path is found.
        untried: constraints that were not dropped, as the budget was used up.
        queries: of the walks.

    Example:
        >>> Binding(["direction of age"], [], 40).sentence
        'Without one of these constraints a path is found: direction of age (40 queries).'
    """

    names: list[str]
    untried: list[str]
    queries: int

    @property
    def sentence(self) -> str:
        """What binds, in one sentence."""
        left = f"; not tried within {self.queries} queries: {', '.join(self.untried)}" if self.untried else ""
        if self.names:
            said = f"Without one of these constraints a path is found: {'; '.join(self.names)}"
            return f"{said}{left or f' ({self.queries} queries)'}."
        return f"No single constraint binds: no path is found without any one of them{left or f' ({self.queries} queries)'}."


def binding(path: Trajectory, budget: int = BUDGET, walker: Any = "line") -> Binding:
    """Drop each constraint of a failed path in turn, and walk again.

    Of ``features_to_vary``, each column that may not vary is a constraint of its own.

    Args:
        path: that did not arrive, explained in this process.
        budget: most queries; the walk that exceeds it is the last.
        walker: who walks.

    Raises:
        UserError: the path arrived, has no constraints, or was read from a file.

    Example:
        >>> from agents import Explainer
        >>> from envs import make_world
        >>> explainer = Explainer(make_world(progress=False), walker="line")
        >>> path = explainer.explain(rows=0, features_to_vary=["sepal width in cm"])
        >>> path.success, "petal width in cm may not vary" in binding(path).names
        (False, True)
    """
    import numpy as np
    import torch

    from agents.explanation.explain import explain
    from agents.explanation.own_inputs import Inputs

    world = path.world
    if world is None:
        raise UserError(f"the path {path.name!r} was read from a file: explain its input again, and ask for that path")
    record = constraints_of(world)
    if path.success or record is None:
        raise UserError(
            f"the path {path.name!r} {'arrived' if path.success else 'was walked without constraints'}: nothing binds"
        )
    given = Inputs(torch.from_numpy(np.array(path.source_input))[None], None, True,
                   torch.from_numpy(np.array(path.source_cells))[None])  # fmt: skip
    target = [path.target] if world.task.takes_target else None
    names, untried, before = [], [], world.classifier.queries
    for name, others in _each(record, [str(name) for name in world.units.columns]):
        if world.classifier.queries - before >= budget:
            untried.append(name)
            continue
        try:
            free = constrained(world.unconstrained, **others)
        except ManifoldError:  # such as a relation that is left without freedom
            continue
        if explain(free, given, target, walker, fallback=False).success:
            names.append(name)
    return Binding(names, untried, world.classifier.queries - before)


def _each(record: dict[str, Any], columns: list[str]) -> Iterator[Without]:
    """Every constraint of a record in words, with all the others."""
    for kind in ("permitted_range", *MORE):
        found = record.get(kind) or {}
        for key in found:
            if kind == "relations":
                yield f"relation {key}", {**record, kind: [other for other in found if other != key]}
            else:
                yield f"{kind} of {key}", {**record, kind: {name: value for name, value in found.items() if name != key}}
    vary = record.get("features_to_vary", "all")
    for name in columns if vary != "all" else ():
        if name not in vary:
            yield f"{name} may not vary", {**record, "features_to_vary": [*vary, name]}
