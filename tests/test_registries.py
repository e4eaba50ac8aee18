"""Every table of named parts takes a name, ``module:object`` and a live object, and suggests a name for a misspelt one."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import pytest
import torch
from stable_baselines3 import PPO

import envs
from agents.atlas import FIGURES, figure_of
from agents.explanation.atlas.map import draw
from agents.runs.folder import RunFolder
from agents.training.algorithms import ALGORITHMS, algorithm_class, load_hyperparameters, settings_of
from agents.walkers import WALKERS, make_walker
from agents.walkers.line import LineWalker
from envs.assets import ASSETS
from envs.building.basis import find_basis
from envs.core.initial_latent import INITIAL_LATENTS, kept, make_initial_latent
from envs.core.moves import MOVES, arc, make_move
from envs.core.tasks import TASKS, Flip, make_task
from envs.datasets import DATASETS, Data
from envs.errors import UntrustedNameError
from envs.manifolds import FITS, PCA
from envs.manifolds.basis import BASES, principal
from tests.anywhere import OwnPPO, forest, rows
from vime.bonuses import BONUSES, bonus_class
from vime.bonuses.rnd import RND


class Registry(NamedTuple):
    """A table, what resolves its names, and three ways to say the same thing."""

    table: Any
    resolve: Callable[[Any], Any]
    name: str
    own: str
    live: Any
    typo: str


def world(**settings: Any) -> envs.World:
    return envs.make_world(**{"data": "iris", "manifold": "pca", "progress": False, **settings})


REGISTRIES = {
    "manifold": Registry(
        FITS, lambda kind: type(world(manifold=kind).manifold), "pca", "envs.manifolds.pca:PCA", PCA, "pcaa"
    ),
    "classifier": Registry(
        ASSETS,
        lambda given: world(data="iris" if given == "iris" else rows, classifier=given).classes,
        "iris", "tests.anywhere:forest", forest, "irs",
    ),
    "data": Registry(
        DATASETS,
        lambda given: world(data=given, classifier=forest if not isinstance(given, str) or ":" in given else None).classes,
        "iris", "tests.anywhere:rows", rows, "irris",
    ),
    "basis": Registry(
        BASES, lambda given: getattr(found := find_basis(given), "function", found),
        "principal", "envs.manifolds.basis:principal", principal, "principle",
    ),
    "move": Registry(MOVES, make_move, "arc", "envs.core.moves:arc", arc, "ark"),
    "task": Registry(
        TASKS, lambda task: type(make_task(task, None, None, None)), "flip", "envs.core.tasks:Flip", Flip, "flipp"
    ),
    "initial latent": Registry(
        INITIAL_LATENTS, make_initial_latent, "kept", "envs.core.initial_latent:kept", kept, "kep"
    ),
    "walker": Registry(
        WALKERS, lambda walker: type(make_walker(walker)), "line", "agents.walkers.line:LineWalker", LineWalker, "lin"
    ),
    "bonus": Registry(BONUSES, bonus_class, "rnd", "vime.bonuses.rnd:RND", RND, "rdn"),
    "algorithm": Registry(ALGORITHMS, algorithm_class, "ppo", "stable_baselines3:PPO", PPO, "pppo"),
    "figure": Registry(FIGURES, figure_of, "map", "agents.explanation.atlas.map:draw", draw, "mapp"),
}  # fmt: skip


@pytest.mark.parametrize("concept", REGISTRIES)
def test_a_name_a_module_object_and_a_live_object_mean_the_same(concept):
    registry = REGISTRIES[concept]
    assert registry.name in registry.table
    assert registry.resolve(registry.name) == registry.resolve(registry.own) == registry.resolve(registry.live)


@pytest.mark.parametrize("concept", REGISTRIES)
def test_a_misspelt_name_is_refused_with_a_suggestion(concept):
    registry = REGISTRIES[concept]
    with pytest.raises(ValueError, match=f"(?s){registry.typo}.*did you mean '{registry.name}'"):
        registry.resolve(registry.typo)


@pytest.mark.parametrize("concept", REGISTRIES)
def test_a_module_that_does_not_exist_is_refused_by_its_name(concept):
    with pytest.raises(ValueError, match="'no_such_module:thing'"):
        REGISTRIES[concept].resolve("no_such_module:thing")


def test_every_table_of_a_concept_is_tried():
    """Tables that users choose from. Those that no setting names are left out."""
    assert {id(registry.table) for registry in REGISTRIES.values()} == {
        id(table)
        for table in (FITS, BASES, ASSETS, DATASETS, MOVES, TASKS, INITIAL_LATENTS, WALKERS, BONUSES, ALGORITHMS, FIGURES)
    }
    assert isinstance(rows, Data)


def test_an_algorithm_of_ones_own_takes_the_settings_of_its_nearest_base_class():
    own = "tests.anywhere:OwnPPO"
    assert settings_of(own) == settings_of("ppo2v") == "ppo"
    assert load_hyperparameters(own, "Manifold/Digits-v0") == load_hyperparameters("ppo", "Manifold/Digits-v0")
    assert load_hyperparameters("tests.anywhere:FromNothing", "Manifold/Digits-v0")["n_envs"] == 1


@pytest.mark.parametrize("algo", ["tests.anywhere:OwnPPO", OwnPPO])
def test_an_algorithm_of_ones_own_is_trained_resumed_and_read_back(algo, tmp_path, monkeypatch):
    from agents import load_run
    from agents.train import train

    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    settings = {"n_envs": 2, "hyperparams": {"n_steps": 32}, "eval_episodes": 0, "pictures": False, "progress": False}
    run = train(data="iris", algo=algo, n_timesteps=64, log_folder=str(tmp_path), **settings)
    assert isinstance(run.model, OwnPPO)
    assert run.folder.run_config().algo == "tests.anywhere:OwnPPO"
    assert ":" not in run.folder.root.parent.name
    again = load_run(run.folder.root)
    assert isinstance(again.model, OwnPPO)
    ours, theirs = run.model.policy.state_dict(), again.model.policy.state_dict()
    assert all(torch.equal(ours[name], theirs[name]) for name in ours)
    further = train(trained_agent=str(run.folder.root), n_timesteps=128, eval_episodes=0, pictures=False, progress=False)
    assert further.steps == 128


def test_an_algorithm_that_another_account_names_is_not_imported(tmp_path, monkeypatch):
    from agents import load_run
    from agents.train import train

    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    settings = {"n_envs": 2, "hyperparams": {"n_steps": 32}, "eval_episodes": 0, "pictures": False, "progress": False}
    run = train(data="iris", algo=OwnPPO, n_timesteps=64, log_folder=str(tmp_path), **settings)
    folder = RunFolder.open(run.folder.root)
    assert folder.names()["tests.anywhere:OwnPPO"] == "algo"
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "another account"))
    with pytest.raises(UntrustedNameError, match=r"algo 'tests\.anywhere:OwnPPO'"):
        load_run(run.folder.root)
    assert load_run(run.folder.root, trust=["tests.anywhere:OwnPPO"]).steps == 64


def test_a_class_that_no_other_process_can_import_is_refused():
    from agents.train import train

    class Local(PPO):
        pass

    with pytest.raises(ValueError, match=r"algo=.*Local: a saved run finds the class by its name"):
        train(algo=Local)
