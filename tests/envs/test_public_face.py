"""The public names of envs, and what it costs to add a manifold, a move, a task or an initial latent: one object, by name or live."""

from __future__ import annotations

import tomllib
from pathlib import Path

import numpy as np
import pytest
import torch

import envs
from envs import MANIFOLDS, MOVES, TASKS, ManifoldError, UnknownNameError, WorldConfig, make_world
from envs.core import dynamics
from tests.envs import toys

ROOT = Path(__file__).resolve().parents[2]
NAME = "tests.envs.toys"


def walked(world):
    state, _ = dynamics.enter(world, world.held_out.x[:3])
    for _ in range(2):
        state, info = dynamics.step(world, state, torch.full((3, world.latent_dim), 0.3))
    assert torch.isfinite(info.reward).all()
    return state


def test_every_public_name_is_there_and_has_a_docstring():
    assert sorted(set(envs.__all__)) == sorted(envs.__all__)
    for name in envs.__all__:
        assert getattr(envs, name) is not None
    for name in ("LatentEnv", "LatentVectorEnv", "World", "WorldConfig", "Manifold", "Move", "Task"):
        assert ">>> " in (getattr(envs, name).__doc__ or ""), name
    assert set(envs.__all__) <= set(dir(envs))


def test_the_version_is_that_of_the_project():
    assert envs.__version__ == tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["version"]


def test_every_error_is_a_manifold_error():
    for error in (envs.UnknownNameError, envs.UntrustedNameError):
        assert issubclass(error, envs.ManifoldError)


def test_a_world_presents_itself_in_four_lines(iris):
    lines = repr(iris).split("\n")
    assert len(lines) == 4
    assert lines[0] == "World of table data (4,): 105 reference rows, 45 held out"


@pytest.mark.parametrize("manifold", [toys.MeanManifold, f"{NAME}:MeanManifold"])
def test_a_manifold_of_ones_own_is_a_class_that_is_fitted(manifold):
    world = make_world(manifold=manifold)
    assert type(world.manifold) is toys.MeanManifold
    walked(world)
    assert ("manifold" in world.config.live) is (manifold is toys.MeanManifold)
    with pytest.raises(UnknownNameError, match="setting of the toy_mean fit"):
        make_world(manifold=manifold, fit={"hidden": 3})


@pytest.mark.parametrize("move", [toys.drift, toys.DRIFT, f"{NAME}:DRIFT", f"{NAME}:drift"])
def test_a_move_of_ones_own_is_a_function(iris, move):
    world = iris.replace(move=move)
    walked(world)
    assert world.settings["move"] == (move if move == f"{NAME}:drift" else "drift")
    assert world.replace(gamma=0.9).step_length == world.step_length
    if isinstance(move, str):
        assert make_world(WorldConfig.from_json(world.config.to_json())).step_length == world.step_length


@pytest.mark.parametrize("task", [toys.Doubt, toys.Doubt(), f"{NAME}:Doubt"])
def test_a_task_of_ones_own_is_a_class(iris, task):
    world = iris.replace(task=task)
    assert world.task == toys.Doubt()
    assert world.settings["task"] == "doubt"
    walked(world)


@pytest.mark.parametrize("latent", [toys.nearest, f"{NAME}:nearest"])
def test_an_initial_latent_of_ones_own_is_a_function(iris, latent):
    np.testing.assert_array_equal(walked(iris.replace(initial_latent=latent)).z, walked(iris).z)


def test_what_is_no_move_task_or_initial_latent_is_refused(iris):
    for settings, match in (
        ({"move": f"{NAME}:NAME"}, "cannot load"),
        ({"move": 3}, "move is a text"),
        ({"move": "math:pi"}, "move is a function of"),
        ({"initial_latent": "math:pi"}, "initial_latent is a function of"),
        ({"task": "math:pi"}, "task is a name or a task"),
    ):
        with pytest.raises(ManifoldError, match=match):
            iris.replace(**settings)


def test_every_table_names_its_entries_by_their_own_names():
    assert all(move.name == name for name, move in MOVES.items())
    assert all(task.name == name for name, task in TASKS.items())
    assert all(manifold.kind == name for name, manifold in MANIFOLDS.items())
