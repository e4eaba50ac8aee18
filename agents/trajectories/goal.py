"""The goal of a path on a score or on labels, as its record of the world has it; and the world with that goal."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

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
        goal = read_goal(text, ScoreGoal.kind)
        assert isinstance(goal, ScoreGoal)
        return goal.in_units_of(checks.number(config["spread"], "spread", 0, above=True))
    except ManifoldError as error:
        raise TrajectoryError(f"the goal in the record of this path's world is damaged: {error}") from None


def kind_of_end(goal: Goal | None) -> str:
    """What a frame is predicted as: a ``class``, or an ``outcome`` of a goal."""
    return "class" if goal is None else "outcome"


def share_name(goal: Goal | None, name: str) -> str:
    """What a prediction holds of a class or of a goal's outcome: its probability, or, of a score, its share."""
    return f"the share of {name}" if isinstance(goal, ScoreGoal) else f"p({name})"


def in_goal_of(path: Any, world: Any) -> Any:
    """The world with the path's own goal: predictions there are shares of the path's classes. No query."""
    if path.goal is None or world.goal is None or path.goal == world.goal:
        return world
    known = world.__dict__.setdefault("at_goals", {})
    if path.goal.text not in known:
        known[path.goal.text] = world.replace(goal=path.goal, spread=getattr(path.goal, "spread", None))
    return known[path.goal.text]
