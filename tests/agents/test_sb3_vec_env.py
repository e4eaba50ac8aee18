"""The VecEnv adapter: SB3's conventions over one batch."""

from __future__ import annotations

from typing import Any

import gymnasium
import numpy as np
import pytest
from gymnasium.vector import AutoresetMode
from stable_baselines3 import PPO
from stable_baselines3.common.evaluation import evaluate_policy
from stable_baselines3.common.monitor import Monitor
from stable_baselines3.common.vec_env import VecMonitor

import envs
from agents.console.cli import UserError
from agents.training.vec_env import LatentVecEnv
from envs.core.world import World


@pytest.fixture(scope="module")
def world() -> World:
    return envs.make_world(data="digits")


def batch(world: World, n: int = 4, **kwargs: Any) -> LatentVecEnv:
    return LatentVecEnv(envs.LatentVectorEnv(n, world=world, autoreset_mode=AutoresetMode.SAME_STEP, **kwargs))


def actions(env: LatentVecEnv, random: np.random.Generator) -> np.ndarray:
    return random.uniform(-1, 1, (env.num_envs, *env.action_space.shape)).astype(np.float32)


def test_steps_equal_those_of_the_vector_environment(world: World) -> None:
    env, random = batch(world), np.random.default_rng(0)
    twin = envs.LatentVectorEnv(4, world=world, autoreset_mode=AutoresetMode.SAME_STEP)
    env.seed(5)
    np.testing.assert_array_equal(env.reset(), twin.reset(seed=5)[0])
    ended = 0
    for _ in range(45):
        action = actions(env, random)
        obs, rewards, dones, infos = env.step(action)
        expected, reward, terminated, truncated, batch_infos = twin.step(action)
        np.testing.assert_array_equal(obs, expected)
        np.testing.assert_array_equal(rewards, reward)
        np.testing.assert_array_equal(dones, terminated | truncated)
        assert rewards.dtype == np.float32
        assert dones.dtype == bool
        for i in range(4):
            if not dones[i]:
                assert infos[i] == {}
                np.testing.assert_array_equal(env.final_observations[i], obs[i])
                continue
            ended += 1
            np.testing.assert_array_equal(infos[i]["terminal_observation"], batch_infos["final_obs"][i])
            np.testing.assert_array_equal(env.final_observations[i], batch_infos["final_obs"][i])
            assert infos[i]["TimeLimit.truncated"] is bool(truncated[i] and not terminated[i])
            assert infos[i]["is_success"] is bool(terminated[i])
            assert infos[i]["queries"] == 1
    assert ended >= 8


def test_seed_and_options_hold_for_one_reset(world: World) -> None:
    env = batch(world)
    env.seed(1)
    first = env.reset()
    second = env.reset()
    env.seed(1)
    np.testing.assert_array_equal(env.reset(), first)
    assert not np.array_equal(first, second)
    env.set_options({"index": 7, "target": np.array([0, 1, 2, 3])})
    env.reset()
    assert env.get_attr("state")[0].target.tolist() == [0, 1, 2, 3]
    assert len(env.reset_infos) == 4
    env.reset()
    assert env.get_attr("state")[0].factual.unique(dim=0).shape[0] > 1
    env.set_options([{"index": 1}, {"index": 2}, {}, {}])
    with pytest.raises(UserError, match="one dict"):
        env.reset()


def test_attributes_and_methods_belong_to_the_batch(world: World) -> None:
    env = batch(world)
    assert env.get_attr("world") == [world] * 4
    assert env.get_attr("world", indices=[1, 2]) == [world] * 2
    assert env.env_is_wrapped(Monitor) == [False] * 4
    assert not env.has_attr("no_such_thing")
    env.set_attr("note", "kept")
    assert env.get_attr("note", indices=0) == ["kept"]
    with pytest.raises(UserError, match="indices"):
        env.set_attr("note", "lost", indices=[0])
    env.reset()
    assert len(env.env_method("state_dict")) == 4


def test_render_tiles_the_walks(world: World) -> None:
    env = batch(world, 4, render_mode="rgb_array")
    env.reset()
    images = env.get_images()
    assert len(images) == 4
    picture = env.render()
    assert picture is not None
    assert picture.shape == (2 * images[0].shape[0], 2 * images[0].shape[1], 3)


def test_state_dict_continues_exactly(world: World) -> None:
    env, random = batch(world), np.random.default_rng(2)
    env.seed(3)
    env.reset()
    for _ in range(7):
        env.step(actions(env, random))
    state = env.state_dict()
    taken = [actions(env, random) for _ in range(40)]
    expected = [env.step(action) for action in taken]
    other = batch(world)
    other.load_state_dict(state)
    for action, (obs, rewards, dones, _) in zip(taken, expected, strict=True):
        again = other.step(action)
        np.testing.assert_array_equal(again[0], obs)
        np.testing.assert_array_equal(again[1], rewards)
        np.testing.assert_array_equal(again[2], dones)


def test_wrong_autoreset_mode_is_refused(world: World) -> None:
    with pytest.raises(UserError, match="SAME_STEP"):
        LatentVecEnv(envs.LatentVectorEnv(2, world=world))


def test_other_gymnasium_environments_walk_too() -> None:
    venv = gymnasium.make_vec(
        "Pendulum-v1", 3, vectorization_mode="sync", vector_kwargs={"autoreset_mode": AutoresetMode.SAME_STEP}
    )
    env = LatentVecEnv(venv)
    env.seed(0)
    env.reset()
    for _ in range(200):
        _, _, dones, infos = env.step(np.zeros((3, 1), dtype=np.float32))
    assert dones.all()
    assert all(info["TimeLimit.truncated"] for info in infos)
    assert infos[0]["terminal_observation"].shape == (3,)
    with pytest.raises(UserError, match="state_dict"):
        env.state_dict()


def test_sb3_trains_and_evaluates_through_it(world: World) -> None:
    env = VecMonitor(batch(world, 8))
    model = PPO("MlpPolicy", env, n_steps=8, batch_size=64, seed=0, device="cpu").learn(256)
    assert len(model.ep_info_buffer) > 0
    assert len(model.ep_success_buffer) == len(model.ep_info_buffer)
    returns, lengths = evaluate_policy(model, env, n_eval_episodes=8, return_episode_rewards=True, warn=True)
    assert len(returns) == len(lengths) == 8
    assert max(lengths) <= world.max_episode_steps


@pytest.mark.parametrize("env_id", sorted(envs.SPECS))
def test_sb3_check_env_passes_for_every_id(env_id: str) -> None:
    import warnings

    from stable_baselines3.common.env_checker import check_env

    env = gymnasium.make(env_id).unwrapped
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        check_env(env)
