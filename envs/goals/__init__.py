"""Goals on other outputs than one class: a score, several labels, groups of classes."""

from envs.goals.classes import AnyOf, read_group
from envs.goals.goal import Goal, Request
from envs.goals.labels import FlipLabel, LabelGoal
from envs.goals.reading import KINDS, read_goal, read_request
from envs.goals.score import Change, ScoreGoal

__all__ = [
    "KINDS",
    "AnyOf",
    "Change",
    "FlipLabel",
    "Goal",
    "LabelGoal",
    "Request",
    "ScoreGoal",
    "read_goal",
    "read_group",
    "read_request",
]
