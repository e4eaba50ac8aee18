"""The goal of a path on a score or on labels, as its record of the world has it; and the world with that goal."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from agents.errors import UserError
from agents.trajectories.file import TrajectoryError
from envs.errors import ManifoldError
from envs.goals import Goal, LabelGoal, ScoreGoal, read_goal
from envs.reading import checks


def goal_of(environment: Mapping[str, Any], class_names: Sequence[str]) -> Goal | None:
    """The goal in the record of a world; None for a classifier of classes.

    Raises:
        TrajectoryError: the record is damaged.
    """
    config = environment.get("config", {})
    if not isinstance(config, Mapping) or config.get("goal") is None:
        return None
    try:
        text = checks.text(config["goal"], "goal")
        if config.get("spread") is None:
            return read_goal(text, LabelGoal.kind, checks.texts(config.get("class_names"), "class_names"))
        return read_goal(text, ScoreGoal.kind).in_units_of(checks.number(config["spread"], "spread", 0, above=True))
    except ManifoldError as error:
        raise TrajectoryError(f"the goal in the record of this path's world is damaged: {error}") from None


def kind_of_end(goal: Goal | None) -> str:
    """What a frame is predicted as: a ``class``, or an ``outcome`` of a goal."""
    return "class" if goal is None else "outcome"


def share_name(goal: Goal | None, name: str) -> str:
    """What a prediction holds of a class or of a goal's outcome: its probability, or, of a score, its share."""
    return f"p({name})" if goal is None else goal.share_name(name)


def in_goal_of(path: Any, world: Any) -> Any:
    """The world with the path's own goal: predictions there are shares of the path's classes. No query."""
    if path.goal is None or world.goal is None or path.goal == world.goal:
        return world
    known = world.__dict__.setdefault("at_goals", {})
    if path.goal.text not in known:
        known[path.goal.text] = world.replace(goal=path.goal, spread=getattr(path.goal, "spread", None))
    return known[path.goal.text]


def recorded_input(path: Any, world: Any) -> tuple[Any, Any, Any, Any]:
    """What a path is walked again with.

    Args:
        path: the path.
        world: where it was walked, whatever its goal.

    Returns:
        The world with the path's goal; the input x (1, \\*data_shape); of a table its cells (1, C) and the places (1, D) that
        the walk keeps, else None.

    Raises:
        TrajectoryError: the world has another manifold or other classes.
        UserError: the path was saved without the values of hidden columns.
    """
    import torch

    path.check_world(world)
    world = in_goal_of(path, world)
    if path.lacks_values:
        raise UserError(
            f"the values of {', '.join(path.hidden or ())} are hidden in this path, so that it cannot be walked again and the "
            "classifier cannot be queried with them: the recorded steps are all that can be shown"
        )
    # Ids of words outside the vocabulary are given as they are met: a text is entered by its words.
    x = torch.from_numpy(path.source_input)[None] if path.texts is None else world.units.inward(path.texts[0])
    home = path.factual(world) if world.units.anchored else None
    return world, x, None if home is None else home.cells, None if home is None else home.held
