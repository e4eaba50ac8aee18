"""The shipped world of Omniglot works offline, starts by inversion, and matches its recipe."""

from __future__ import annotations

import gymnasium as gym
import numpy as np
import pytest
import torch

import envs
from envs import World, make_world
from envs.assets import HERE
from envs.assets.make.omniglot import SETTINGS, shifted
from envs.core.dynamics import enter
from envs.datasets import DATASETS
from envs.datasets.omniglot import DRAWERS, SCRIPTS
from envs.manifolds import GAN

gym.register_envs(envs)


@pytest.fixture(scope="module")
def omniglot() -> World:
    return make_world(data="omniglot_decoded")


def test_it_works_without_any_file_of_omniglot(monkeypatch, omniglot):
    monkeypatch.delenv("MANIFOLD_DATA", raising=False)
    env = gym.make("Manifold/OmniglotGAN-v0")
    observation, _ = env.reset(seed=0, options={"index": 0, "split": "held_out"})
    assert env.observation_space.contains(observation)
    assert isinstance(omniglot.manifold, GAN)
    assert omniglot.latent_dim == SETTINGS["latent_dim"]
    assert list(omniglot.class_names) == list(SCRIPTS.values())
    assert omniglot.reference.x.shape == (186 * (DRAWERS - 1), 28, 28)
    assert omniglot.held_out.x.shape == (186, 28, 28)
    # Every script is seen among the starts, mostly where it is.
    truth = torch.as_tensor(DATASETS["omniglot_decoded"]().truth)
    assert (omniglot.reference.label == truth).float().mean() > 0.75
    assert torch.bincount(omniglot.reference.label, minlength=5).min() > 200


def test_inputs_enter_by_inversion(omniglot):
    x = omniglot.held_out.x[:40]
    state, queries = enter(omniglot, x)
    assert queries.eq(2).all()
    blank = (x - omniglot.reference.x.mean(0)).square().mean()
    assert (state.frame - x).square().mean() < 0.25 * blank
    pixels = torch.randperm(784, generator=torch.Generator().manual_seed(0))
    shuffled = x.flatten(1)[:, pixels].view_as(x)
    errors = [omniglot.manifold.invert(part).error for part in (x, shuffled)]
    assert errors[1].median() > 3 * errors[0].median()


def test_real_characters_keep_their_script(data_dir, omniglot):
    data = DATASETS["omniglot"](data_dir=data_dir)
    names = np.array(data.class_names)[data.truth]
    rows = np.flatnonzero((np.arange(len(data.x)) % DRAWERS == DRAWERS - 1) & np.isin(names, list(SCRIPTS)))
    truth = np.array([list(SCRIPTS).index(name) for name in names[rows]])
    x = torch.from_numpy(data.x[rows])
    seen = omniglot.classifier.predict_proba(x).argmax(1)
    assert (seen.numpy() == truth).mean() > 0.8  # a drawer whom neither network has met
    again = omniglot.manifold.decode(omniglot.manifold.encode(x))
    kept = omniglot.classifier.predict_proba(again).argmax(1) == seen
    assert kept.float().mean() > 0.7


def test_the_assets_stay_small():
    assert sum(file.stat().st_size for file in (HERE / "omniglot").iterdir()) < 2_000_000


def test_pictures_are_moved_by_whole_pixels_and_lose_what_leaves():
    x = torch.zeros(200, 6, 6)
    x[:, 2, 3] = 1
    moved = shifted(x, torch.Generator().manual_seed(0), most=2)
    assert moved.flatten(1).sum(1).eq(1).all()  # never further than the edge from here
    places = {tuple(divmod(int(k), 6)) for k in moved.flatten(1).argmax(1)}
    assert places == {(2 + a, 3 + b) for a in range(-2, 3) for b in range(-2, 3)}
    x = torch.zeros(50, 6, 6)
    x[:, 0, 0] = 1
    assert 0 < shifted(x, torch.Generator().manual_seed(0), most=2).sum() < 50


def test_the_step_limit_leaves_room_to_arrive():
    assert (
        gym.spec("Manifold/OmniglotGAN-v0").max_episode_steps == 60
    )  # of 30 lines the longest took 41 steps, 18 took over 20
