"""The control tasks as environments: Gymnasium's and SB3's checks, one batch == many singles, saving, bad input."""

from __future__ import annotations

import sys
import warnings

import gymnasium as gym
import numpy as np
import pytest
from gymnasium.utils.env_checker import check_env
from gymnasium.vector import AutoresetMode
from stable_baselines3.common.env_checker import check_env as sb3_check_env

import envs
from envs.control.vector_env import ControlVectorEnv
from envs.errors import ManifoldError, UnknownNameError
from envs.registration import CONTROL, HALF_CHEETAH

gym.register_envs(envs)

IDS = sorted(CONTROL)


def policy(step, batch):
    """Bursts of full force, or of one action, another phase for each system: reaches ends and rewards."""
    signs = np.sign(np.sin(0.11 * step + np.arange(batch.num_envs)))
    return (signs > 0).astype(np.int64) if batch.action_space.shape == signs.shape else signs[:, None].astype(np.float32)


@pytest.mark.parametrize("env_id", IDS)
def test_the_checkers_have_nothing_to_say(env_id):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        check_env(gym.make(env_id).unwrapped)
        sb3_check_env(gym.make(env_id))


@pytest.mark.parametrize("env_id", IDS)
def test_a_batch_is_as_many_singles(env_id):
    n = 4
    batch = gym.make_vec(env_id, num_envs=n)
    singles = gym.make_vec(env_id, num_envs=n, vectorization_mode="sync")
    observed, expected = batch.reset(seed=7)[0], singles.reset(seed=7)[0]
    np.testing.assert_array_equal(observed, expected)
    ends = 0
    for step in range(600):
        ours, theirs = batch.step(policy(step, batch)), singles.step(policy(step, batch))
        for a, b in zip(ours[:4], theirs[:4], strict=True):
            np.testing.assert_array_equal(a, b)
        moved = ours[4]["_is_success"]
        if moved.any():
            np.testing.assert_array_equal(ours[4]["is_success"][moved], theirs[4]["is_success"][moved])
        ends += int((ours[2] | ours[3]).sum())
    assert ends >= n


@pytest.mark.parametrize("env_id", IDS)
def test_same_step_hands_over_the_last_observation(env_id):
    batch = gym.make_vec(env_id, num_envs=3, autoreset_mode=AutoresetMode.SAME_STEP, max_episode_steps=5)
    other = gym.make_vec(env_id, num_envs=3, autoreset_mode="Disabled", max_episode_steps=5)
    batch.reset(seed=0)
    other.reset(seed=0)
    for step in range(5):
        observed, _, _, truncated, infos = batch.step(policy(step, batch))
        last, *_ = other.step(policy(step, other))
    assert truncated.all()
    np.testing.assert_array_equal(infos["final_obs"], last)
    np.testing.assert_array_equal(observed, other.reset(options={"reset_mask": np.ones(3, dtype=bool)})[0])
    assert not np.array_equal(observed, last)


def test_a_saved_batch_goes_on_exactly():
    first = gym.make_vec(IDS[0], num_envs=3, autoreset_mode=AutoresetMode.SAME_STEP)
    first.reset(seed=3)
    for step in range(120):
        first.step(policy(step, first))
    state = first.unwrapped.state_dict()
    second = gym.make_vec(IDS[0], num_envs=3, autoreset_mode=AutoresetMode.SAME_STEP)
    second.unwrapped.load_state_dict(state)
    for step in range(120, 700):
        for a, b in zip(first.step(policy(step, first))[:4], second.step(policy(step, second))[:4], strict=True):
            np.testing.assert_array_equal(a, b)
    with pytest.raises(ManifoldError, match="3 systems, this environment 2"):
        gym.make_vec(IDS[0], num_envs=2).unwrapped.load_state_dict(state)


def test_success_is_having_been_paid_in_this_episode():
    env = gym.make("VIME/SparsePendulum-v0")
    env.reset(seed=0, options={"state": [0.0, 0.0]})
    _, reward, _, _, info = env.step(np.zeros(1, np.float32))
    assert (reward, info["is_success"]) == (1.0, True)
    env.reset(seed=0)
    assert env.step(np.zeros(1, np.float32))[4]["is_success"] is False


def test_a_state_can_be_asked_for():
    batch = gym.make_vec("VIME/SparseMountainCar-v0", num_envs=2)
    observed, _ = batch.reset(options={"state": [[0.44, 0.05], [-0.5, 0.0]]})
    np.testing.assert_allclose(observed, [[0.44, 0.05], [-0.5, 0.0]], atol=1e-6)
    _, reward, terminated, _, _ = batch.step(np.zeros((2, 1)))
    assert reward.tolist() == [1.0, 0.0]
    assert terminated.tolist() == [True, False]


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (lambda e: e.step(np.full((2, 1), np.nan)), ManifoldError, "system 0 was given NaN"),
        (lambda e: e.step(np.zeros((2, 3))), ManifoldError, r"shape \(2, 1\), got \(2, 3\)"),
        (lambda e: e.reset(options={"state": [1.0]}), ManifoldError, "position, velocity"),
        (lambda e: e.reset(options={"stat": [1.0]}), UnknownNameError, "did you mean 'state'"),
        (lambda e: e.reset(seed=[1]), ManifoldError, "1 seeds for 2"),
        (lambda e: e.reset(options={"reset_mask": [False, False]}), ManifoldError, "at least one True"),
        (lambda e: ControlVectorEnv(2, task="mountain", max_episode_steps=5), UnknownNameError, "mountain_car"),
        (lambda e: ControlVectorEnv(0, task="pendulum", max_episode_steps=5), ManifoldError, "at least 1"),
        (lambda e: gym.make("VIME/DeepSea-v0", size=1), ManifoldError, "from 2 to 100, not 1"),
        (lambda e: gym.make("VIME/DeepSea-v0", sise=5), TypeError, "unexpected keyword argument 'sise'; its settings: size"),
        (
            lambda e: gym.make_vec("VIME/SparsePendulum-v0", num_envs=2, size=5),
            TypeError,
            "its settings: none",
        ),
    ],
)
def test_bad_input_is_named(call, error, message):
    batch = ControlVectorEnv(2, task="mountain_car", max_episode_steps=5)
    batch.reset(seed=0)
    with pytest.raises(error, match=message):
        call(batch)


def test_order_is_enforced():
    batch = ControlVectorEnv(2, task="mountain_car", max_episode_steps=1, autoreset_mode="Disabled")
    with pytest.raises(gym.error.ResetNeeded):
        batch.step(np.zeros((2, 1)))
    batch.reset(seed=0)
    batch.step(np.zeros((2, 1)))
    with pytest.raises(gym.error.ResetNeeded, match=r"\[0, 1\] are over"):
        batch.step(np.zeros((2, 1)))


# ---- half-cheetah ---------------------------------------------------------------------------------------------------


def test_the_cheetah_without_mujoco_names_the_extra(monkeypatch):
    monkeypatch.setitem(sys.modules, "gymnasium.envs.mujoco.half_cheetah_v5", None)
    with pytest.raises(ManifoldError, match=r"manifold-traversal\[mujoco\]"):
        gym.make(HALF_CHEETAH)


# Positions and velocities have no bounds; any other warning of the checkers is an error, as for the tasks above.
@pytest.mark.filterwarnings("error::UserWarning", "ignore:.*Box observation space m..imum value is -?infinity:UserWarning")
def test_the_checkers_have_nothing_to_say_of_the_cheetah(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)  # MuJoCo writes its warnings into the present folder
    pytest.importorskip("mujoco", reason="the extra [mujoco] is not installed")
    # Its window needs a screen: without one, GLFW would end the whole process.
    check_env(gym.make(HALF_CHEETAH).unwrapped, skip_render_check=True)
    sb3_check_env(gym.make(HALF_CHEETAH))


def test_the_cheetah_is_paid_for_being_far_ahead_alone(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)  # MuJoCo writes its warnings into the present folder
    pytest.importorskip("mujoco", reason="the extra [mujoco] is not installed")
    env = gym.make(HALF_CHEETAH)
    observed, _ = env.reset(seed=0)
    assert observed.shape == (18,)
    assert env.step(np.ones(6, np.float32))[1] == 0.0
    cheetah = env.unwrapped._cheetah
    place = cheetah.data.qpos.copy()
    place[0] = 5.5
    cheetah.set_state(place, cheetah.data.qvel.copy())
    _, reward, terminated, _, info = env.step(np.zeros(6, np.float32))
    assert (reward, terminated, info["is_success"]) == (1.0, False, True)
    with pytest.raises(ManifoldError, match="finite"):
        env.step(np.full(6, np.nan, np.float32))


@pytest.mark.parametrize("env_id", IDS)
def test_rendering_gives_an_image_of_the_present_state(env_id):
    env = gym.wrappers.RenderCollection(gym.make(env_id, render_mode="rgb_array"))
    env.reset(seed=0)
    for _ in range(9):
        env.step(np.ones(env.action_space.shape, dtype=env.action_space.dtype))
    frames = env.render()
    assert {(frame.shape, frame.dtype.name) for frame in frames} == {((300, 400, 3), "uint8")}
    assert (frames[0] != frames[-1]).any()
    batch = gym.make_vec(env_id, num_envs=2, render_mode="rgb_array")
    batch.reset(seed=0)
    np.testing.assert_array_equal(batch.render()[0], frames[0])


def test_rendering_needs_a_known_mode_and_a_reset():
    with pytest.raises(UnknownNameError, match="render mode 'human'"):
        ControlVectorEnv(1, task="pendulum", max_episode_steps=5, render_mode="human")
    batch = ControlVectorEnv(1, task="pendulum", max_episode_steps=5)
    assert batch.render() is None
    with pytest.raises(gym.error.ResetNeeded):
        ControlVectorEnv(1, task="pendulum", max_episode_steps=5, render_mode="rgb_array").render()
