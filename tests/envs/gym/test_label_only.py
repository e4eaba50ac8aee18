"""In label-only worlds no probability is observed, stored or rewarded."""

from __future__ import annotations

import warnings
from typing import Any

import gymnasium as gym
import numpy as np
import pytest
import torch
from gymnasium.vector import AutoresetMode

import envs
from envs import LatentEnv, LatentVectorEnv, make_world
from envs.core import dynamics

gym.register_envs(envs)


def numbers(thing: Any) -> list[float]:
    """Every number in a nest of dicts, arrays, tensors and texts."""
    if isinstance(thing, dict):
        return [x for value in thing.values() for x in numbers(value)]
    if isinstance(thing, list | tuple):
        return [x for value in thing for x in numbers(value)]
    if isinstance(thing, str):
        return []
    return np.asarray(thing, dtype=np.float64).ravel().tolist()


def is_one_hot(prediction: Any) -> bool:
    prediction = np.asarray(prediction)
    return bool(np.isin(prediction, (0.0, 1.0)).all() and (prediction.sum(-1) == 1).all())


class Spy:
    """A classifier that remembers every probability it ever gave."""

    def __init__(self, inner: Any) -> None:
        self.inner = inner
        self.given: list[np.ndarray] = []

    def __call__(self, x: np.ndarray) -> np.ndarray:
        self.given.append(self.inner(x))
        return self.given[-1]


@pytest.fixture
def spied(toy_world):
    spy = Spy(toy_world().asked)
    spy.inner.sharpness = 3.0
    return toy_world(classifier=spy, task="reach_label", step_length=0.6, max_step=None), spy


def test_the_registered_id_shows_labels_alone():
    env = gym.make("Manifold/DigitsLabelOnly-v0")
    world = env.unwrapped.world
    assert world.label_only
    assert is_one_hot(world.reference.prediction)
    d, k = world.latent_dim, world.classes
    for episode in range(5):
        observed, info = env.reset(seed=episode, options={"split": ("reference", "held_out")[episode % 2]})
        over = False
        while not over:
            assert is_one_hot(observed[2 * d : 2 * d + k] + 1)
            assert is_one_hot(observed[2 * d + k :])
            state = env.unwrapped.state
            assert is_one_hot(state.prediction)
            assert state.potential.tolist() == [0.0]
            assert "target_probability" not in info
            observed, reward, terminated, truncated, info = env.step(env.action_space.sample())
            assert reward in (0.0, 1.0)
            over = terminated or truncated


@pytest.mark.parametrize("mode", [AutoresetMode.SAME_STEP, AutoresetMode.NEXT_STEP])
def test_no_probability_that_the_classifier_gave_can_be_found_anywhere(spied, mode):
    world, spy = spied
    vector = LatentVectorEnv(6, world=world, autoreset_mode=mode, max_episode_steps=5)
    single = LatentEnv(world=world, render_mode="ansi")
    vector.action_space.seed(0)
    single.action_space.seed(0)
    seen = [vector.reset(seed=0), single.reset(seed=0), list(world.reference)]
    for _ in range(12):
        seen += [vector.step(vector.action_space.sample()), vector.state_dict(), tuple(vector.state)]
        seen += [single.step(single.action_space.sample()), tuple(single.state)]
        assert "(p " not in single.render()
    state, _ = dynamics.enter(world, world.held_out.x[:5])
    state, info = dynamics.step(world, state, torch.ones(5, 3))
    seen += [tuple(state), tuple(info), dynamics.observe(world, state)]
    asked = world.classifier.predict_proba(world.held_out.x)
    assert is_one_hot(asked)
    p = np.concatenate(spy.given)
    secrets = np.concatenate([p.ravel(), np.log(np.maximum(p, 1e-4)).ravel() / -np.log(1e-4), np.log(p).ravel()])
    secrets = secrets[(np.abs(secrets) > 1e-3) & (np.abs(np.abs(secrets) - 1) > 1e-3)].astype(np.float32)
    assert len(secrets) > 500
    shown = np.unique(np.array(numbers(seen), dtype=np.float32))
    assert len(shown) > 500
    # Thousands of float32 numbers on both sides: one pair may be equal by chance. A leak of one number a step is 3 in 100.
    assert np.isin(secrets, shown).mean() < 0.002
    places = {name for thing in seen if isinstance(thing, tuple) and isinstance(thing[-1], dict) for name in thing[-1]}
    assert not any("prob" in name for name in places), places


def test_the_same_check_finds_the_probabilities_of_a_world_that_shows_them(toy_world):
    """The control: where probabilities are shown, looking as above finds them."""
    spy = Spy(toy_world().asked)
    spy.inner.sharpness = 3.0
    env = LatentEnv(world=toy_world(classifier=spy))
    env.reset(seed=0)
    seen = [env.step(np.ones(3)), tuple(env.state)]
    p = np.concatenate(spy.given).ravel().astype(np.float32)
    assert np.isin(p[(p > 1e-3) & (p < 0.999)], np.array(numbers(seen), dtype=np.float32)).any()


def test_nothing_changes_while_the_label_stays(toy_world):
    """Two classifiers of one argmax, one sure and one unsure: the walks cannot be told apart."""
    walks = []
    for sharpness in (1.0, 50.0):
        world = toy_world(task="reach_label", sharpness=sharpness, step_length=0.6)
        vector = LatentVectorEnv(6, world=world, autoreset_mode=AutoresetMode.SAME_STEP, max_episode_steps=5)
        walk = [vector.reset(seed=0)]
        generator = np.random.default_rng(0)
        walk += [vector.step(generator.uniform(-1, 1, (6, 3)).astype(np.float32)) for _ in range(20)]
        walks.append(np.array(numbers([walk, vector.state_dict(), world.class_distance, world.step_length])))
    np.testing.assert_array_equal(*walks)


def test_the_control_that_shows_probabilities_does_change(toy_world):
    walks = []
    for sharpness in (1.0, 50.0):
        env = LatentEnv(world=toy_world(sharpness=sharpness, step_length=0.6))
        walks.append(env.reset(seed=0)[0])
    assert not np.array_equal(*walks)


class PredictAlone:
    """Knows words, not probabilities."""

    classes_ = np.array(["dark", "light"])

    def predict(self, x: np.ndarray) -> np.ndarray:
        return self.classes_[(x.mean(1) > 0.5).astype(int)]


def test_a_classifier_with_predict_alone_becomes_label_only(toy_world):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        world = toy_world(classifier=PredictAlone(), class_names=None, task="reach")
    assert world.label_only
    assert world.class_names == ["dark", "light"]
    assert is_one_hot(world.reference.prediction)
    env = LatentEnv(world=world)
    env.reset(seed=0)
    assert "target_probability" not in env.step(np.zeros(3))[4]
    assert world.reference.label.equal((world.reference.x.flatten(1).mean(1) > 0.5).long())


def test_label_only_of_one_world_leaves_another_worlds_classifier_alone(toy_world):
    """One live `Classifier` in two worlds: neither goes blind, and neither shows what the other hides."""
    open_world = toy_world()
    hidden = toy_world(classifier=open_world.classifier, task="reach_label")
    assert hidden.label_only
    assert not open_world.label_only
    assert is_one_hot(hidden.reference.prediction)
    assert not is_one_hot(open_world.reference.prediction)
    env = LatentEnv(world=open_world)
    env.reset(seed=0)
    assert "target_probability" in env.step(np.zeros(3))[4]


@pytest.mark.parametrize("task", ["reach", "leave", "prototype", "reach_label"])
def test_every_task_works_on_labels_alone(task):
    world = make_world(label_only=True, task=task)
    env = LatentEnv(world=world)
    observed, _ = env.reset(seed=0)
    assert env.observation_space.contains(observed)
    state = env.state
    label_potentials = [0.0, -world.task.weights.progress]
    for _ in range(5):
        observed, _, _, _, info = env.step(env.action_space.sample())
        assert is_one_hot(env.state.prediction)
        if task in ("reach", "leave"):
            assert np.isclose(env.state.potential.item(), label_potentials).any()
        assert "target_probability" not in info
    assert is_one_hot(state.prediction)


def test_a_label_only_world_hands_out_no_network(digits):
    """White-box walkers ask for `torch_module`: its logits would be probabilities by another name."""
    world = make_world(data="digits", label_only=True)
    assert digits.classifier.torch_module is not None
    assert world.classifier.torch_module is None
