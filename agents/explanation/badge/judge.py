"""The badge of a path: whether its end holds up against what the search did not use, with the reasons."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from agents.errors import UserError
from agents.explanation.badge.result import ALONE, FAILED, HOLDS, UNUSUAL, Badge
from agents.trajectories.goal import in_goal_of

if TYPE_CHECKING:
    from torch import Tensor

    from agents.trajectories.trajectory import Trajectory


def badge(path: Trajectory | Sequence[Trajectory], source: Any = None) -> Any:
    """The badge of a path, from oracles, refits, the typicality of its end, and whether frame 0 keeps the input's class.

    Thresholds are quantiles among real inputs that the oracles were not fitted to, see
    `agents.explanation.badge.oracles`. No query is made.

    Args:
        path: one path or several.
        source: the world or run in which they were walked; None: the paths' own world.

    Returns:
        A `Badge`, or a list of them for several paths.

    Raises:
        UserError: no world is known.

    Example:
        >>> from agents.explain import explain
        >>> from envs import make_world
        >>> badge(explain(make_world(), 0, walker="line")).kind
        'flips this model only'
    """
    single = not isinstance(path, Sequence)
    paths: list[Trajectory] = [path] if single else list(path)  # type: ignore[list-item, arg-type]
    found = []
    for each in paths:
        world = each.world if source is None else getattr(source, "world", source)
        if world is None:
            raise UserError(f"the path {each.name!r} was read from a file: give the world that it was walked in as source=")
        world = in_goal_of(each, world)
        found.append(_badge(each, world))
    return found[0] if single else found


def _badge(path: Trajectory, world: Any) -> Badge:
    import torch

    from agents.explanation.badge.oracles import oracles_of
    from agents.explanation.contributions.compute import explained_class

    names, c = path.class_names, explained_class(path)
    name, source = names[c], names[path.source]
    if not path.success:
        end = names[int(path.predicted[-1])]
        return Badge(FAILED, [f"The walk did not satisfy its task; its end is predicted as {end}."])
    oracles = oracles_of(world)
    with torch.inference_mode():
        last = torch.from_numpy(path.frames(world)[-1:])
        z = torch.from_numpy(path.z[-1:])
        seen = oracles.agreement(last)[0]
        typical = float(world.manifold.typicality(z)[0])
        away = float(oracles.distance(world.manifold.coordinates(z, last), torch.tensor([c]))[0])
        alike, close = _refits_agree(path, world, last, c)
    least = oracles.least_agreement
    agree = int(np.argmax(seen)) == c and float(seen[c]) >= least
    usual, near = typical >= oracles.least_typicality, away <= oracles.most_distance
    faithful = not path.reconstructs or path.keeps_class
    most, passing = names[int(np.argmax(seen))], 100 * (1 - oracles.doubted)
    usually = f"{passing:.0f} % of real inputs get {least:.2f} or more for their {path.kind_of_end}"
    likely = "" if agree else f" and predict {most}; {usually}"
    first = names[int(path.predicted[0])]
    what = f"the end p({name}) =" if path.goal is None else f"the outcome {name} at the end a probability of"
    real = f"input {'of' if path.goal is None else 'with'} the {path.kind_of_end} {name}"
    checks = [
        (agree, f"Other classifiers give {what} {seen[c]:.2f}{likely}."),
        (alike == 1, close),
        (usual, f"The end's typicality is {typical:.2f}; 95 % of real inputs have {oracles.least_typicality:.2f} or more."),
        (
            near,
            f"The nearest real {real} is {away:.2f} away; for 95 % of real inputs it is {oracles.most_distance:.2f} or less.",
        ),
        (faithful, f"Frame 0 is predicted as {first}, {'like the input' if first == source else f'the input as {source}'}."),
    ]
    kind = ALONE if not agree or alike < 0.5 else HOLDS if usual and near and faithful else UNUSUAL
    return Badge(kind, [text for _, text in sorted(checks, key=lambda entry: entry[0]) if text])


def _refits_agree(path: Trajectory, world: Any, end: Tensor, c: int) -> tuple[float, str]:
    """The share of refits that predict class `c` for the end (1, ...), and a sentence about it; 1 and none without refits."""
    from agents.explanation.badge.refits import refits_of
    from agents.trajectories.world import origins_of

    members = refits_of(world)
    if members is None:
        return 1.0, ""
    cells = world.units.exact(end, origins_of(world, [path]))
    count = sum(int(member(world, end, cells)[0]) == c for member in members)
    finding = f"{count} of {len(members)} retrained classifiers predict {path.class_names[c]} for the end"
    if count == len(members):
        return 1.0, f"{finding}."
    remedy = f"set tau above {world.task.tau:g}" if path.goal is None else "set the goal a little further"
    return count / len(members), f"Close to the boundary: {finding}. For an end further beyond it, {remedy}."
