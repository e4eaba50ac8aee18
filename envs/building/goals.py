"""The goal of a world whose model has a score or labels: from its config, or by default from the reference rows."""

from __future__ import annotations

import numpy as np

from envs.classifiers.goals import GoalClassifier
from envs.config import WorldConfig
from envs.core.reference_data import ReferenceData
from envs.errors import ManifoldError
from envs.goals import Goal, LabelGoal, ScoreGoal, read_goal


def with_goal(config: WorldConfig, classifier: GoalClassifier, reference: ReferenceData) -> WorldConfig:
    """The config with its goal filled in: by default the median of the reference rows' scores, and their standard deviation
    as the unit of the progress; for labels the first one.

    Raises:
        ManifoldError: the goal does not fit the model, or all reference rows have the same score.
    """
    own = _own(reference)
    if isinstance(classifier.goal, LabelGoal):
        return config if config.goal is not None else config.replace(goal=f"{classifier.goal.labels[0]}=yes")
    score = own[:, 0]
    spread = float(score.std())
    if not score.min() < score.max():
        raise ManifoldError(f"the model predicts the score {score[0]:g} for every reference row: there is nothing to walk to")
    usual = float(f"{np.median(score):.4g}")
    if not score.min() < usual <= score.max():
        usual = float(score[score > score.min()].min())  # some row is below it, some is not
    goal = config.goal if config.goal is not None else ScoreGoal(low=usual)
    return config.replace(goal=goal, spread=spread if config.spread is None else config.spread)


def classifier_for(config: WorldConfig, classifier: GoalClassifier) -> GoalClassifier:
    """The classifier, wrapped with the goal of a config that has one."""
    labels = classifier.goal.labels if isinstance(classifier.goal, LabelGoal) else ()
    goal = read_goal(config.goal, classifier.goal.kind, labels)
    return classifier.viewed(goal if config.spread is None else goal.in_units_of(config.spread))


def no_outputs(goal: str) -> str:
    """Why a world of classes has no goal."""
    return (
        f"goal={goal!r} is for models with outputs='score' or 'labels'; for classes, pass it as the target of an explanation"
    )


def refusal_of(goal: Goal, reference: ReferenceData) -> str:
    """Why there is no walk to a goal that all reference rows reach, or none."""
    own = _own(reference)
    rows = "every reference row is" if bool(goal.reached(own).any()) else "no reference row is"
    if not goal.scored:
        return f"{rows} at the goal {goal.text!r}: choose one that some rows reach and others do not"
    return f"{rows} at the goal {goal.text!r}: their scores lie from {own.min():.6g} to {own.max():.6g}; choose one between"


def _own(reference: ReferenceData) -> np.ndarray:
    assert reference.outputs is not None
    return reference.outputs["own"]
