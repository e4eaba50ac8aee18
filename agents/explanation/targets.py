"""The targets of explanations: one class, a group of classes, or a goal on a score or on labels."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from agents.explanation.inputs import OWN, Inputs, read_targets
from envs.errors import ManifoldError, UnknownNameError
from envs.goals import AnyOf, Goal, LabelGoal, Request, ScoreGoal, read_group, read_request

if TYPE_CHECKING:
    from envs.core.world import World


OF = {ScoreGoal.kind: "a score", LabelGoal.kind: "labels"}  # in messages
MOST_NAMED = 3  # inputs that a warning names


class Aim(NamedTuple):
    """Inputs with targets that are walked to in one world.

    Attributes:
        world: where the paths are recorded.
        walked_in: where they are walked: `world` with a task of its own for groups and without a requested target.
        rows: places of the inputs.
        targets: a class for each, None for the input's own; None as a whole: the task's own rule.
        requested: the target in words, where it is more than a class.
        queries: made for each input to find its goal.
    """

    world: World
    walked_in: World
    rows: list[int]
    targets: list[int | None] | None
    requested: str | None = None
    queries: int = 0


def read_aims(world: World, target: Any, given: Inputs, skip: bool = False) -> list[Aim]:
    """What inputs should walk to, by the world that each target needs.

    Args:
        world: of the explanation.
        target: as for `agents.explanation.explain.explain`.
        given: the inputs.
        skip: leave out inputs whose goal cannot be walked to, with a warning, instead of an error.

    Raises:
        ManifoldError: an unknown class, a goal that does not fit the world's outputs or its data.
    """
    everyone, count = list(range(len(given.x))), len(given.x) if given.given is None else given.given
    wanted = _each(world, target, count)
    if wanted is None:
        targets = read_targets(world, target, count)
        if targets is not None and given.kept is not None:
            targets = [targets[row] for row in given.kept]
        return [Aim(world, world.untargeted if targets is None else world, everyone, targets)]
    if given.kept is not None:
        wanted = [wanted[row] for row in given.kept]
    return _goals(world, wanted, given, skip and not given.single) if world.goal is not None else _groups(world, wanted)


def _each(world: World, target: Any, count: int) -> list[Any] | None:
    """One target an input, where some are more than a class: a goal or request, a group, or else an index; None: all are
    classes."""
    several = not (
        target is None or isinstance(target, str | set | frozenset | AnyOf | Goal | Request) or np.ndim(target) == 0
    )
    per_input = list(target) if several else [target] * count
    read: dict[Any, Any] = {}

    def found(one: Any) -> Any:
        key = frozenset(one) if isinstance(one, set) else id(one) if isinstance(one, Goal | Request) else one
        if key not in read:
            read[key] = _read(world, one)
        return read[key]

    known = [found(one) for one in per_input]
    if all(one is None for one in known):
        return None
    if len(per_input) != count:
        raise ManifoldError(f"{len(per_input)} targets for {count} inputs; give one for all, or one each")
    return [
        one if one is not None else read_targets(world, [per_input[i]], 1)[0]  # type: ignore[index]
        for i, one in enumerate(known)
    ]


def _read(world: World, target: Any) -> Any:
    """A goal, request or group; None for anything that is one class, or the task's own rule."""
    if target is None or (isinstance(target, str) and (target == OWN or target in world.class_names)):
        return None
    if world.goal is None:
        if isinstance(target, Goal | Request):
            raise ManifoldError(
                f"target {target.text!r} is a goal on a score or on labels; this world has the classes {world.class_names}"
            )
        return read_group(target, world.class_names, world.config.class_order)
    if isinstance(target, AnyOf | set | frozenset):
        raise ManifoldError(f"target {target!r} is a group of classes; this world has {OF[world.goal.kind]}")
    if not isinstance(target, str | Goal | Request):
        if isinstance(target, bool | int | np.integer) and 0 <= target < world.classes:
            return None
        raise ManifoldError(
            f"target {target!r}: say on which side of it the {world.goal.kind} should be, such as '>= {target}'"
        )
    labels = world.goal.labels if isinstance(world.goal, LabelGoal) else ()
    found = read_request(target, world.goal.kind, labels)
    if found.kind != world.goal.kind:
        raise ManifoldError(f"target {found.text!r} is a goal on {OF[found.kind]}, and this world has {OF[world.goal.kind]}")
    return found


def _groups(world: World, wanted: Sequence[Any]) -> list[Aim]:
    """Aims at groups and single classes."""
    aims = []
    for group in dict.fromkeys(wanted):
        rows = [i for i, one in enumerate(wanted) if one == group]
        if not isinstance(group, AnyOf):
            aims.append(Aim(world, world, rows, [group] * len(rows)))
            continue
        ends = [world.class_index(name) for name in group.names]
        if not bool(np.isin(world.reference.label.numpy(), ends).any()):
            raise ManifoldError(f"target {group.text!r}: the classifier predicts none of these classes for any reference row")
        aims.append(Aim(world, world.aiming(ends), rows, None, group.text))
    return aims


def _goals(world: World, wanted: Sequence[Any], given: Inputs, skip: bool) -> list[Aim]:
    """Aims at goals, one world for each goal; requests are resolved with one query an input."""
    lost: dict[int, str] = {}

    def refuse(rows: Sequence[int], error: ManifoldError) -> None:
        if not skip or isinstance(error, UnknownNameError):
            raise error if isinstance(error, UnknownNameError) else ManifoldError(f"{_place(given, rows[0])}: {error}")
        lost.update(dict.fromkeys(rows, str(error)))

    relative = [i for i, one in enumerate(wanted) if isinstance(one, Request)]
    resolved: list[Any] = list(wanted)
    if relative:
        for i, output in zip(relative, _outputs(world, given, relative), strict=True):
            try:
                resolved[i] = wanted[i].of(output, world.goal)
            except ManifoldError as error:
                refuse([i], error)
    keys = [(goal.text if isinstance(goal, Goal) else goal, str(one)) for goal, one in zip(resolved, wanted, strict=True)]
    aims = []
    for key in dict.fromkeys(keys):
        rows = [i for i, one in enumerate(keys) if one == key and i not in lost]
        if not rows:
            continue
        if not isinstance(goal := resolved[rows[0]], Goal):
            aims.append(Aim(world, world, rows, [goal] * len(rows)))
            continue
        assert world.goal is not None
        try:
            own = world if goal.text == world.goal.text else world.replace(goal=goal)
        except ManifoldError as error:
            refuse(rows, error)
            continue
        assert own.goal is not None
        targets: list[int | None] = [own.goal.wanted] * len(rows)
        aims.append(Aim(own, own, rows, targets, key[1], int(isinstance(wanted[rows[0]], Request))))
    if lost:
        named = "; ".join(f"{_place(given, i)}: {why}" for i, why in list(lost.items())[:MOST_NAMED])
        more = f"; and {len(lost) - MOST_NAMED} more" if len(lost) > MOST_NAMED else ""
        warnings.warn(f"left out {len(lost)} of {len(wanted)} inputs: {named}{more}", stacklevel=4)
    return aims


def _place(given: Inputs, i: int) -> str:
    """The input in words."""
    known = given.labels if given.labels is not None else given.rows
    return f"input {i}" if known is None else f"row {known[i]}"


def _outputs(world: World, given: Inputs, rows: Sequence[int]) -> np.ndarray:
    """The model's own outputs (R, M) for inputs; one query each."""
    import torch

    from envs.classifiers.goals import GoalClassifier

    model = world.classifier
    assert isinstance(model, GoalClassifier)
    x, cells = given.x[list(rows)], None if given.cells is None else given.cells[list(rows)]
    with torch.inference_mode():
        home = world.factual_of(x, cells=cells)
        return model.outputs_of(lambda: world.predictions(x, home))
