"""From parts and a config to a `World`: goal, move, initial latent and the calibrated step; and worlds with other settings."""

from __future__ import annotations

import dataclasses
import math
from typing import Any

from envs.assets import ASSETS
from envs.building.basis import check_basis
from envs.building.density import find_density
from envs.building.goals import classifier_for, no_outputs, refusal_of, with_goal
from envs.classifiers import Classifier
from envs.classifiers.goals import GoalClassifier
from envs.config import DEFAULTS, SETTINGS, WorldConfig
from envs.core.initial_latent import make_initial_latent
from envs.core.moves import make_move
from envs.core.reference_data import Examples, ReferenceData
from envs.core.round_trip import RoundTrip
from envs.core.row_labels import RowLabels
from envs.core.step_size import calibrated_step
from envs.core.tasks import Flip, Task, make_task
from envs.core.world import STEP, World
from envs.datasets import DATASETS, Units
from envs.errors import ManifoldError, UnknownNameError
from envs.goals import Goal
from envs.manifolds import Manifold
from envs.registration import CUSTOM, SPECS

#: Parts that `World.replace` takes beside settings -> the field of the config that they belong to.
PARTS = {
    "manifold": "manifold",
    "classifier": "classifier",
    "reference": "data",
    "units": "data",
    "held_out": "held_out",
    "config": None,
    "step_length": None,
    "round_trip": None,
    "row_labels": None,
}


def task_of(config: WorldConfig, label_only: bool, goal: Goal | None = None) -> Task:
    """The task of a config; see `WorldConfig` for the default. With a goal on outputs, walks end where it is reached.

    Raises:
        UnknownNameError, ManifoldError: no such task, or a setting that it does not take.
    """
    name = config.task
    if goal is not None and config.tau is not None:
        raise ManifoldError(
            f"tau={config.tau} is for classes; this world's walks end at the goal {goal.text!r}: leave tau out"
        )
    if name is None:
        shipped = isinstance(config.data, str) and config.data in DATASETS and config.data != SPECS[CUSTOM]["data"]
        own = config.classifier is not None and not (isinstance(config.classifier, str) and config.classifier in ASSETS)
        name = Task.name if goal is None and ((shipped and not own) or label_only or config.tau is not None) else Flip.name
    task = make_task(name, config.tau, config.pair, config.reward)
    if goal is not None and task.takes_tau and not task.scores_coverage:
        raise ManifoldError(f"the task {task.name!r} ends at a probability, and this world has a {goal.kind}: use task='flip'")
    return task


def check_names(config: WorldConfig) -> None:
    """Refuse a task, move or initial latent that does not exist.

    Raises:
        UnknownNameError, ManifoldError: no such name, or a setting that the task does not take.
    """
    task_of(config, config.label_only)
    make_move(config.move)
    check_basis(config)
    find_density(config)
    if config.initial_latent is not None:
        make_initial_latent(config.initial_latent)


def assemble(
    manifold: Manifold,
    classifier: Classifier,
    units: Units,
    reference: ReferenceData,
    held_out: Examples,
    config: WorldConfig,
    *,
    step_length: float | None = None,
    round_trip: RoundTrip | None = None,
    row_labels: RowLabels | None = None,
) -> World:
    """The world of these parts and the settings of a config.

    Args:
        manifold, classifier, units, reference, held_out: see `World`.
        config: its task, move, step, initial latent and limits.
        step_length: of a full action; None: calibrated.
        round_trip, row_labels: see `World`.

    Raises:
        UnknownNameError, ManifoldError: parts or settings that do not fit together.
    """
    goal = getattr(classifier, "goal", None)
    task, move = task_of(config, classifier.label_only, goal), make_move(config.move)
    if task.needs_label_only and not classifier.label_only:
        raise ManifoldError(f"the task {task.name!r} is for classifiers that return only labels; pass label_only=True")
    present = reference.label.unique()
    if len(present) < 2 and goal is not None:
        raise ManifoldError(refusal_of(goal, reference))
    if len(present) < 2:
        name = classifier.class_names[int(present[0])]
        raise ManifoldError(f"the classifier predicts {name!r} for every reference row: there is no other class to walk to")
    latent = make_initial_latent(config.initial_latent or task.initial_latent_in(units))
    known = manifold, classifier, units, reference, held_out
    world = World(*known, config, task, move, latent, math.nan, replaced, round_trip, row_labels)
    world.step_length = calibrated_step(world) if step_length is None else step_length
    if not world.step_length > 0:
        raise ManifoldError(f"step_length must be positive, not {world.step_length}")
    return world


def replaced(world: World, **changes: Any) -> World:
    """A world with other settings or parts, see `World.replace`.

    Raises:
        UnknownNameError, ManifoldError: no such setting, a value that it cannot have, or a setting of the world's parts.
    """
    parts = {name: changes.pop(name) for name in list(changes) if name in PARTS}
    for name in changes:
        if name in DEFAULTS and name not in SETTINGS:
            raise ManifoldError(
                f"{name} belongs to what a world is built from, and replace() keeps that; "
                f"build another: make_world(world.config.replace({name}=...))"
            )
        if name not in SETTINGS:
            raise UnknownNameError("setting", name, SETTINGS)
    if parts.keys() & {"reference", "held_out"}:
        parts.setdefault("row_labels", None)  # these are other rows
    fields = {owner: parts[name] for name, owner in PARTS.items() if owner is not None and name in parts}
    config = parts.get("config", world.config).replace(**changes).replace(**fields)
    kept = {name: parts.get(name, getattr(world, name)) for name in PARTS}
    if parts.keys() & {"manifold", "classifier", "units"}:
        bound = {name: kept[name] for name in ("manifold", "classifier")}
        kept["reference"] = dataclasses.replace(kept["reference"], **bound, anchored=kept["units"].anchored)
    if isinstance(kept["classifier"], GoalClassifier):
        requested, present = ((one.goal, one.spread) for one in (config, world.config))
        if requested != present and "classifier" not in parts:
            known = kept["classifier"]
            kept["classifier"] = classifier_for(with_goal(config, known, kept["reference"]), known)
            kept["reference"] = kept["reference"].viewed(kept["classifier"])
        config = config.replace(goal=kept["classifier"].goal, spread=getattr(kept["classifier"].goal, "spread", None))
    elif config.goal is not None:
        raise ManifoldError(no_outputs(config.goal))
    same = (make_move(config.move), config.step or STEP) == (world.move, world.step)
    kept["step_length"] = parts.get("step_length", world.step_length if same else None)
    return assemble(**{**kept, "config": config})
