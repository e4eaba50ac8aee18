"""Warm start: a policy that first imitates the guidance; the teacher, what is learned from it, and which worlds use it."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch

from agents.console.cli import UserError
from agents.explain import explain
from agents.train import train
from agents.training import warm_start
from agents.training.algorithms import load_hyperparameters, make_model
from agents.training.environments import laid_over, make_vec_env, trained_walk
from agents.training.warm_start import SPREAD, follow_the_teacher, guidance_action, straight_action, walks_of_the_teacher
from agents.walkers.policy import PolicyWalker
from envs import UnknownNameError, make_world
from envs.core import dynamics


@pytest.fixture(scope="module")
def world():
    return trained_walk(make_world(data="sentences"))


def untrained(world):
    settings = load_hyperparameters("ppo", "", {"n_envs": 4})
    return make_model("ppo", make_vec_env("", {}, world, 4), settings, 0, "cpu")


@pytest.fixture(scope="module")
def taught(world):
    model = untrained(world)
    return model, follow_the_teacher(model, world, 0)


def test_the_teacher_takes_full_actions_and_asks_nothing(world):
    index = torch.arange(50)
    state = dynamics.start(world, index, 1 - world.reference.label[index])
    before = world.classifier.queries
    action = guidance_action(world, state)
    assert world.classifier.queries == before
    torch.testing.assert_close(action.norm(dim=1), torch.ones(50))
    nearer = world.class_neighbours(state.z + 0.1 * action, state.target).distance
    assert (nearer < world.class_neighbours(state.z, state.target).distance).float().mean() > 0.9


def test_the_teachers_walks_are_steps_of_the_environment_and_counted(world):
    before = world.classifier.queries
    seen, actions = walks_of_the_teacher(world, 0, walks=20)
    assert seen.shape == (len(actions), world.obs_dim)
    assert world.classifier.queries - before == len(seen)
    predictions = seen[:, 2 * world.latent_dim : 2 * world.latent_dim + world.classes]
    target_one_hot = seen[:, 2 * world.latent_dim + world.classes :][:, : world.classes].argmax(1)
    reached = predictions.gather(1, target_one_hot[:, None])[:, 0] > math.log(0.9) / math.log(1e4) + 1e-4
    assert not reached.any()  # a walk that is there takes no more steps


def test_a_taught_policy_walks_like_its_teacher(world, taught):
    model, told = taught
    assert told["error"] < 0.1  # of actions of length 1
    assert model.policy.log_std[0].item() == pytest.approx(math.log(SPREAD / 4))  # 16 dimensions
    rows = range(60)
    before, after = (explain(world, rows, walker=PolicyWalker(m, None)) for m in (untrained(world), model))
    assert sum(path.success for path in before) < 30
    assert sum(path.success for path in after) > 55


@pytest.mark.slow
def test_the_same_seed_teaches_the_same(world, taught):
    again = untrained(world)
    follow_the_teacher(again, world, 0)
    for one, other in zip(taught[0].policy.parameters(), again.policy.parameters(), strict=True):
        assert one.equal(other)


QUICK = {"eval_episodes": 0, "pictures": False, "n_timesteps": 64, "n_envs": 8, "hyperparams": {"n_steps": 8}}


@pytest.mark.slow
def test_trainings_on_text_begin_there_unless_told_otherwise(world, tmp_path):
    run = train(world=world, log_folder=str(tmp_path), **QUICK)
    assert run.folder.config["hyperparameters"]["warm_start"] == "guidance"
    assert run.folder.config["warm_start"]["rows"] > 0
    assert run.queries >= run.folder.config["warm_start"]["rows"] + 64
    own = {**QUICK, "hyperparams": {"n_steps": 8, "warm_start": None, "learning_rate": 1e-3}}
    other = train(world=world, log_folder=str(tmp_path), **own)
    assert "warm_start" not in other.folder.config
    assert other.folder.config["hyperparameters"]["learning_rate"] == 1e-3


@pytest.mark.slow
def test_other_worlds_are_left_alone_and_a_wrong_place_is_named(tmp_path):
    digits = make_world(data="digits")
    run = train(world=digits, log_folder=str(tmp_path), **QUICK)
    assert "warm_start" not in run.folder.config["hyperparameters"]
    with pytest.raises(UserError, match="on-policy algorithms in a latent space with guidance"):
        train(world=digits, algo="sac", log_folder=str(tmp_path), n_timesteps=10, hyperparams={"warm_start": "guidance"})


def test_the_straight_teacher_heads_for_the_nearest_code_of_the_class_and_asks_nothing():
    world = make_world(data="digits", manifold="digits_umap")
    index = torch.arange(30)
    state = dynamics.start(world, index, (world.reference.label[index] + 1) % 10)
    before = world.classifier.queries
    action = straight_action(world, state)
    assert world.classifier.queries == before
    sure = world.reference.prediction.amax(1) >= world.task.tau
    for z, target, taken in zip(state.z, state.target, action, strict=True):
        codes = world.reference.z[sure & (world.reference.label == target) & (world.reference.prediction.argmax(1) == target)]
        away = codes[(codes - z).norm(dim=1).argmin()] - z
        torch.testing.assert_close(taken, away / away.norm(), atol=2e-2, rtol=0)


@pytest.mark.slow
def test_trainings_on_a_map_begin_straight_and_have_the_steps_to_arrive_unless_told_otherwise(tmp_path):
    world = make_world(data="digits", manifold="digits_umap")
    run = train(world=world, log_folder=str(tmp_path), **QUICK)
    told = run.folder.config
    assert told["hyperparameters"]["warm_start"] == "straight"
    assert run.world.max_episode_steps > 40
    paths = explain(run, range(100), walker=PolicyWalker(run.model, None))
    assert sum(path.success for path in paths) > 90  # whatever little it learned by reward
    own = {**QUICK, "hyperparams": {"n_steps": 8, "warm_start": None, "learning_rate": 1e-3}}
    other = train(world=world.replace(max_episode_steps=30), log_folder=str(tmp_path), **own)
    assert "warm_start" not in other.folder.config
    assert other.folder.config["hyperparameters"]["learning_rate"] == 1e-3
    assert other.world.max_episode_steps == 30


def rare():
    """A table of which some rows in a hundred are of one class; the decoded code of such a row need not be."""
    rows = np.random.default_rng(0).normal(size=(600, 5))
    seldom = lambda x: np.eye(2)[(x[:, :3].sum(1) > 3.2).astype(int)]  # noqa: E731
    return make_world(data=rows, classifier=seldom, class_names=["often", "seldom"], manifold="pca", latent_dim=3)


def test_the_line_teaches_walks_that_arrive_and_every_query_is_counted():
    world = trained_walk(rare())
    before = world.classifier.queries
    seen, actions = walks_of_the_teacher(world, 0, walks=40, teacher="line")
    asked = world.classifier.queries - before
    assert len(seen) == len(actions) > 40
    assert asked >= len(seen)
    torch.testing.assert_close(actions.norm(dim=1).amax(), torch.tensor(1.0))
    again = walks_of_the_teacher(world, 0, walks=40, teacher="line")
    assert seen.equal(again[0])
    assert actions.equal(again[1])


def test_a_teacher_who_finds_nothing_leaves_the_policy_alone(monkeypatch):
    world = trained_walk(rare())
    monkeypatch.setitem(warm_start.TEACHERS, "line", warm_start.Teacher(lambda world, state: iter(()), 200))
    model = untrained(world)
    before = [part.clone() for part in model.policy.parameters()]
    assert follow_the_teacher(model, world, 0, "line") == {"rows": 0, "error": 0.0}
    for one, other in zip(before, model.policy.parameters(), strict=True):
        assert one.equal(other)


def test_trainings_on_tables_begin_with_the_line_if_they_are_long_enough():
    world = trained_walk(rare())
    assert laid_over("ppo", world, None)["warm_start"] == "line"
    assert laid_over("ppo", world, 30_000)["warm_start"] == "line"
    assert laid_over("ppo", world, 2048) == {}
    assert laid_over("sac", world, None) == {}
    labels = trained_walk(make_world(data="iris", label_only=True, manifold="pca", latent_dim=2))
    assert laid_over("ppo", labels, None)["warm_start"] == "line"  # which needs no probability
    assert laid_over("ppo", labels.replace(task="explore"), None) == {}


def test_a_teacher_who_needs_guidance_has_it(world):
    assert laid_over("ppo", world, 64)["warm_start"] == "guidance"
    assert laid_over("ppo", world.replace(guidance=False), 64) == {}


@pytest.mark.slow
def test_an_agent_that_begins_with_the_line_finds_a_rare_class(tmp_path):
    run = train(world=rare(), log_folder=str(tmp_path), n_timesteps=16_384, pictures=False)
    assert run.evaluation["success_rate"] > 0.8
    assert run.folder.config["warm_start"]["rows"] > 0


def test_an_unknown_teacher_is_named_with_those_that_there_are(tmp_path):
    with pytest.raises(UnknownNameError, match="guidance"):
        train(world=make_world(data="digits"), log_folder=str(tmp_path), n_timesteps=10, hyperparams={"warm_start": "compas"})
