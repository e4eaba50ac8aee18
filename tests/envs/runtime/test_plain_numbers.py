"""Numbers of numpy, pandas and torch are accepted wherever Python's are, and are saved as Python's."""

from __future__ import annotations

import json

import gymnasium as gym
import numpy as np
import pandas
import pytest
import torch

from envs import ManifoldError, make_world
from envs.runtime.plain import listed, plain

PARTS = {"manifold": "vae", "classifier": "iris"}
SETTINGS = {
    "seed": (1, np.int64(1), np.array(1), torch.tensor(1)),
    "tau": (0.75, np.float32(0.75), np.array(0.75), torch.tensor(0.75)),
    "step": (0.25, np.float64(0.25), np.array(0.25), torch.tensor(0.25)),
    "max_episode_steps": (9, np.int16(9), np.array(9), torch.tensor(9)),
    "latent_dim": (2, np.int32(2), np.array(2), torch.tensor(2)),
    "guidance": (True, np.bool_(True), np.array(True), torch.tensor(True)),
    "reward": ({"success": 2.0}, {"success": np.float32(2)}, {"success": np.array(2.0)}, {"success": torch.tensor(2.0)}),
    "fit": ({"epochs": 1, "hidden": [4, 4]},
            *({"epochs": np.int64(1), "hidden": kind([4, 4])} for kind in (np.array, pandas.Series, torch.tensor))),
    "class_names": (["a", "b", "c"], np.array(["a", "b", "c"]), pandas.Index(["a", "b", "c"]), pandas.Series(["a", "b", "c"])),
}  # fmt: skip


@pytest.mark.parametrize("which", [1, 2, 3])
def test_a_world_from_foreign_numbers_is_the_world_from_pythons(which):
    want = make_world(**{**PARTS, **{name: values[0] for name, values in SETTINGS.items()}})
    world = make_world(**{**PARTS, **{name: values[which] for name, values in SETTINGS.items()}})
    assert world.reference.z.equal(want.reference.z)
    assert world.task == want.task
    assert json.dumps(world.config.to_json()) == json.dumps(want.config.to_json())
    assert world.replace(tau=SETTINGS["tau"][which], step=np.float32(0.5)).config.step == 0.5


def test_what_is_no_number_is_still_refused():
    for wrong in (np.array([0.5, 0.6]), np.str_("high"), np.bool_(True)):
        with pytest.raises(ManifoldError, match=r"tau is .*a number above 0"):
            make_world(tau=wrong)


@pytest.mark.parametrize("seed", [np.int64(3), np.array(3), torch.tensor(3)])
def test_environments_take_seeds_of_any_kind(seed):
    env, vector = gym.make("Manifold/Custom-v0"), gym.make_vec("Manifold/Custom-v0", num_envs=2)
    np.testing.assert_array_equal(env.reset(seed=seed)[0], env.reset(seed=3)[0])
    np.testing.assert_array_equal(vector.reset(seed=seed)[0], vector.reset(seed=3)[0])


def test_objects_that_are_no_numbers_stay_what_they_are():
    frame, array = pandas.DataFrame({"a": [1]}), np.arange(3)
    for value in (frame, array, np.float64, "text", [frame], [[np.int64(1)]], None):
        assert plain(value) is value
    assert listed(array) == [0, 1, 2]
    assert plain([np.int64(1), 2.0]) == [1, 2.0]
    assert type(plain((np.int64(1),))[0]) is int
