"""Hyperparameters in the format of RL Baselines3 Zoo: they parse, and SB3 trains with the same dictionary."""

from __future__ import annotations

import gymnasium as gym
import pytest
import stable_baselines3
import yaml
from stable_baselines3.common.env_util import make_vec_env
from torch import nn

import envs
from agents.training.zoo import main, zoo_file
from envs.registration import CONTROL, CUSTOM, SPECS

gym.register_envs(envs)


@pytest.mark.parametrize("algo", ["ppo", "a2c", "sac", "td3", "tqc", "trpo"])
def test_every_id_has_a_group_in_the_zoos_format(algo, capsys):
    assert main([algo]) == 0
    groups = yaml.safe_load(capsys.readouterr().out)
    assert set(groups) == {*SPECS, *CONTROL} - {CUSTOM}
    for settings in groups.values():
        assert {"policy", "n_envs", "n_timesteps"} <= set(settings)
        assert isinstance(settings.get("policy_kwargs", ""), str)
        assert "warm_start" not in settings


@pytest.mark.parametrize("env_id", ["Manifold/Digits-v0", "Manifold/DigitsOnePair-v0", "VIME/DeepSea-v0"])
def test_sb3_trains_as_the_zoo_would(env_id):
    """The zoo's own steps: it makes the environments, evaluates policy_kwargs, and gives the rest to the algorithm."""
    settings = yaml.safe_load(zoo_file("ppo"))[env_id]
    del settings["n_timesteps"], settings["n_envs"]
    env = make_vec_env(env_id, 2, env_kwargs=settings.pop("env_kwargs", {}))
    settings["policy_kwargs"] = eval(settings["policy_kwargs"], {"nn": nn, "dict": dict})  # noqa: S307
    if isinstance(settings["learning_rate"], str):
        kind, value = settings["learning_rate"].split("_")
        assert kind == "lin"
        settings["learning_rate"] = float(value)
    model = stable_baselines3.PPO(env=env, seed=0, **{**settings, "n_steps": 32, "batch_size": 32})
    model.learn(64)
    assert model.num_timesteps == 64
