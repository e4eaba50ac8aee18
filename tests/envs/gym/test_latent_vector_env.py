"""The vector environment equals single ones in every autoreset mode; seeds, masks, saved states."""

from __future__ import annotations

import io

import gymnasium as gym
import numpy as np
import pytest
from gymnasium.vector import AutoresetMode
from gymnasium.wrappers import TimeLimit

from envs import LatentEnv, LatentVectorEnv, ManifoldError
from envs.gym.episodes import Draws

MODES = [AutoresetMode.NEXT_STEP, AutoresetMode.SAME_STEP, AutoresetMode.DISABLED]
N = 5
LIMIT = 6
REPORTED = "reported to the author of envs/ with a patch"
CLOSE = {"rtol": 1e-5, "atol": 1e-5}


@pytest.fixture(scope="module", params=["toy", "toy leave", "digits"])
def world(request, toy_world, digits):
    """Worlds where random walks arrive now and then, at different times."""
    if request.param == "digits":
        return digits.replace(task=type(digits.task)(tau=0.02), max_step=None, step_length=2.0)
    task = {"task": "leave"} if request.param.endswith("leave") else {}
    return toy_world(tau=0.6, step_length=0.9, max_step=None, **task)


def actions(world, steps, n=N, seed=1):
    return np.random.default_rng(seed).uniform(-1, 1, (steps, n, world.latent_dim)).astype(np.float32)


def singles(world, seed=7):
    envs = [TimeLimit(LatentEnv(world=world), LIMIT) for _ in range(N)]
    return envs, np.stack([env.reset(seed=seed + i)[0] for i, env in enumerate(envs)])


@pytest.mark.parametrize("mode", MODES)
def test_vector_equals_single_environments_over_several_episodes(world, mode):
    vector = LatentVectorEnv(N, world=world, autoreset_mode=mode, max_episode_steps=LIMIT)
    observed, infos = vector.reset(seed=7)
    envs, expected = singles(world)
    np.testing.assert_allclose(observed, expected, **CLOSE)
    assert infos["queries"].tolist() == [0] * N
    over = np.zeros(N, dtype=bool)
    ends = {"terminated": 0, "truncated": 0}
    for action in actions(world, 40):
        observed, reward, terminated, truncated, infos = vector.step(action)
        assert observed.dtype == np.float32
        assert (reward.dtype, terminated.dtype, truncated.dtype) == (np.float32, bool, bool)
        assert vector.observation_space.contains(observed)
        now_over = np.zeros(N, dtype=bool)
        for i, env in enumerate(envs):
            if mode is AutoresetMode.NEXT_STEP and over[i]:
                single, told = env.reset()
                np.testing.assert_allclose(observed[i], single, **CLOSE)
                assert (reward[i], terminated[i], truncated[i], infos["queries"][i]) == (0, False, False, 0)
                assert not any(infos[name][i] for name in infos if name.startswith("_"))
                continue
            single, its_reward, its_end, its_cut, told = env.step(action[i])
            assert reward[i] == pytest.approx(its_reward, abs=1e-5)
            assert terminated[i] == its_end
            # At the limit Gymnasium's TimeLimit also truncates a walk that has just arrived.
            assert (terminated[i] or truncated[i]) == (its_end or its_cut)
            assert set(told) == {name for name in infos if not name.startswith(("_", "final"))}
            for name, value in told.items():
                assert infos[name][i] == pytest.approx(value, abs=1e-5), name
                assert infos["_" + name][i]
            now_over[i] = its_end or its_cut
            ends["terminated"] += its_end
            ends["truncated"] += its_cut and not its_end
            if now_over[i] and mode is AutoresetMode.SAME_STEP:
                assert infos["_final_obs"][i]
                assert infos["_final_info"][i]
                np.testing.assert_allclose(infos["final_obs"][i], single, **CLOSE)
                for name, value in told.items():
                    assert infos["final_info"][name][i] == pytest.approx(value, abs=1e-5), name
                    assert infos["final_info"]["_" + name][i]
                single, _ = env.reset()
            np.testing.assert_allclose(observed[i], single, **CLOSE)
        if mode is AutoresetMode.SAME_STEP:
            assert ("final_obs" in infos) == ("_final_obs" in infos) == bool(now_over.any())
            if now_over.any():
                assert infos["_final_obs"].tolist() == now_over.tolist()
        if mode is AutoresetMode.DISABLED and now_over.any():
            before = observed.copy()
            observed, infos = vector.reset(options={"reset_mask": now_over})
            np.testing.assert_array_equal(observed[~now_over], before[~now_over])
            assert infos["_queries"].tolist() == now_over.tolist()
            for i in np.flatnonzero(now_over):
                np.testing.assert_allclose(observed[i], envs[i].reset()[0], **CLOSE)
        over = now_over
    assert min(ends.values()) > 3, f"the walks were to end in both ways: {ends}"


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("n", [1, 3])
def test_all_walks_may_end_at_once(iris, mode, n):
    vector = LatentVectorEnv(n, world=iris, autoreset_mode=mode, max_episode_steps=2)
    vector.reset(seed=0)
    for t in range(6):
        _, _, _, truncated, infos = vector.step(0 * vector.action_space.sample())
        if mode is AutoresetMode.NEXT_STEP:
            assert truncated.all() == (t % 3 == 1)
            assert infos["queries"].tolist() == [0 if t % 3 == 2 else 1] * n
        else:
            assert truncated.all() == (t % 2 == 1)
        if mode is AutoresetMode.DISABLED and truncated.any():
            vector.reset(options={"reset_mask": truncated})


@pytest.mark.parametrize("mode", MODES)
def test_every_row_that_the_classifier_is_asked_is_told(toy_world, mode):
    world = toy_world(tau=0.6, step_length=0.9, max_step=None)
    vector = LatentVectorEnv(N, world=world, autoreset_mode=mode, max_episode_steps=3)
    asked = world.asked.rows
    assert asked == world.classifier.queries == 2 * len(world.reference.x) + world.round_trip.queries
    vector.reset(seed=0)
    assert world.asked.rows == asked, "cached starts ask nothing"
    for action in actions(world, 20):
        _, _, terminated, truncated, infos = vector.step(action)
        asked += int(infos["queries"].sum())
        assert world.asked.rows == world.classifier.queries == asked
        if mode is AutoresetMode.DISABLED and (over := terminated | truncated).any():
            vector.reset(options={"reset_mask": over})
    _, infos = vector.reset(options={"split": "held_out", "index": np.arange(N)})
    assert infos["queries"].tolist() == [2] * N
    assert world.asked.rows == asked + 2 * N


def test_next_step_ignores_the_action_of_a_walk_that_is_reset(toy_world):
    world = toy_world()
    seen = []
    for last in (1.0, -1.0):
        vector = LatentVectorEnv(2, world=world, max_episode_steps=1)
        vector.reset(seed=0)
        vector.step(np.zeros((2, 3), np.float32))
        seen.append(vector.step(np.full((2, 3), last, np.float32))[0])
    np.testing.assert_array_equal(*seen)


def test_disabled_refuses_to_step_a_walk_that_is_over(toy_world):
    vector = LatentVectorEnv(2, world=toy_world(), autoreset_mode=AutoresetMode.DISABLED, max_episode_steps=1)
    vector.reset(seed=0)
    vector.step(np.zeros((2, 3), np.float32))
    vector.reset(options={"reset_mask": np.array([True, False])})
    with pytest.raises(gym.error.ResetNeeded, match=r"\[1\].*reset_mask"):
        vector.step(np.zeros((2, 3), np.float32))


@pytest.mark.parametrize("mask", [np.zeros(3, bool), np.ones(2, bool), np.ones(3), np.ones((3, 1), bool)])
def test_bad_reset_masks_are_named(toy_world, mask):
    vector = LatentVectorEnv(3, world=toy_world())
    vector.reset(seed=0)
    with pytest.raises(ManifoldError, match="reset_mask must be"):
        vector.reset(options={"reset_mask": mask})


def test_the_first_reset_starts_every_walk(toy_world):
    vector = LatentVectorEnv(3, world=toy_world())
    with pytest.raises(gym.error.ResetNeeded, match="every walk"):
        vector.reset(options={"reset_mask": np.array([True, False, True])})


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize(("limit", "steps"), [(4, 40), (1, 150)])  # the second goes beyond a block of draws
def test_a_saved_state_continues_exactly_and_without_pickle(toy_world, mode, limit, steps):
    world = toy_world(tau=0.6, step_length=0.9, max_step=None)
    first = LatentVectorEnv(N, world=world, autoreset_mode=mode, max_episode_steps=limit)
    first.reset(seed=3)
    plan = actions(world, steps)

    def advance(env, action):
        out = env.step(action)
        over = out[2] | out[3]
        if mode is AutoresetMode.DISABLED and over.any():
            return (*out, env.reset(options={"reset_mask": over})[0])
        return out

    for action in plan[:5]:
        advance(first, action)
    file = io.BytesIO()
    np.savez(file, **first.state_dict())
    kept = first.state_dict()
    wanted = [advance(first, action) for action in plan[5:]]
    file.seek(0)
    with np.load(file, allow_pickle=False) as archive:
        saved = dict(archive)
    for name, value in kept.items():
        np.testing.assert_array_equal(saved[name], value, err_msg=f"{name} was changed by walking on")
    second = LatentVectorEnv(N, world=world, autoreset_mode=mode, max_episode_steps=limit)
    second.load_state_dict(saved)
    for action, want in zip(plan[5:], wanted, strict=True):
        got = advance(second, action)
        for a, b in zip(want[:4], got[:4], strict=True):
            np.testing.assert_array_equal(a, b)
        assert set(want[4]) == set(got[4])
        np.testing.assert_array_equal(want[4].get("final_obs", 0), got[4].get("final_obs", 0))
    for name, value in saved.items():
        np.testing.assert_array_equal(kept[name], value, err_msg=f"walking on wrote to the saved {name}")
    third = LatentVectorEnv(N, world=world, autoreset_mode=mode, max_episode_steps=limit)
    third.load_state_dict(saved)
    seeds = list(range(N))
    np.testing.assert_array_equal(third.reset(seed=seeds)[0], first.reset(seed=seeds)[0])


def test_a_saved_state_of_another_size_is_refused(toy_world):
    world = toy_world()
    two, three = LatentVectorEnv(2, world=world), LatentVectorEnv(3, world=world)
    two.reset(seed=0)
    with pytest.raises(ManifoldError, match="2 walks, this environment 3"):
        three.load_state_dict(two.state_dict())


def test_seeds_as_gymnasium_documents(toy_world):
    vector = LatentVectorEnv(3, world=toy_world(rows=500))
    first, _ = vector.reset(seed=11)
    second, _ = vector.reset()
    assert not np.array_equal(first, second), "without a seed the draws go on"
    np.testing.assert_array_equal(vector.reset(seed=11)[0], first)
    np.testing.assert_array_equal(vector.reset()[0], second)
    np.testing.assert_array_equal(vector.reset(seed=[11, 12, 13])[0], first)
    np.testing.assert_array_equal(vector.reset(seed=[13, 12, 11])[0], first[::-1])
    fresh = [LatentVectorEnv(3, world=toy_world(rows=500)).reset()[0] for _ in range(2)]
    assert not np.array_equal(*fresh), "an unseeded environment is not the same every time"
    with pytest.raises(ManifoldError, match="2 seeds for 3"):
        vector.reset(seed=[1, 2])
    with pytest.raises(gym.error.Error, match="eed"):
        vector.reset(seed=-1)


def test_no_seed_for_one_walk_lets_its_draws_go_on(toy_world):
    vector = LatentVectorEnv(2, world=toy_world(rows=500))
    vector.reset(seed=5)
    second, _ = vector.reset()
    vector.reset(seed=5)
    mixed, _ = vector.reset(seed=[5, None])
    np.testing.assert_array_equal(mixed[1], second[1])


def test_a_seed_with_a_mask_leaves_the_other_walks_draws_alone(toy_world):
    vector = LatentVectorEnv(2, world=toy_world(rows=500))
    vector.reset(seed=5)
    second, _ = vector.reset()
    vector.reset(seed=5)
    vector.reset(seed=99, options={"reset_mask": np.array([True, False])})
    np.testing.assert_array_equal(vector.reset()[0][1], second[1])


def test_unseeded_draws_do_not_touch_the_global_generators(toy_world):
    import random

    import torch

    vector = LatentVectorEnv(3, world=toy_world())
    before = (random.getstate(), np.random.get_state()[1].tolist(), torch.get_rng_state().tolist())  # noqa: NPY002
    vector.reset(seed=0)
    for _ in range(30):
        vector.step(np.ones((3, 3), np.float32))
    assert before == (random.getstate(), np.random.get_state()[1].tolist(), torch.get_rng_state().tolist())  # noqa: NPY002


def test_draws_never_repeat_and_do_not_depend_on_the_other_walks():
    draws = Draws([np.random.default_rng(k) for k in range(3)])
    alone = Draws([np.random.default_rng(1)])
    mixed = []
    for t in range(200):
        rows = np.array([1]) if t % 3 else np.array([0, 1, 2])
        mixed.append(draws(rows)[0 if t % 3 else 1])
    np.testing.assert_array_equal(mixed, [alone(np.array([0]))[0] for _ in range(200)])
    assert len(np.unique(mixed)) == 400


def test_step_before_reset(toy_world):
    world = toy_world()
    for env in (LatentVectorEnv(2, world=world), LatentEnv(world=world)):
        with pytest.raises(gym.error.ResetNeeded):
            env.step(np.zeros(env.action_space.shape, np.float32))
        with pytest.raises(gym.error.ResetNeeded):
            _ = env.state


@pytest.mark.parametrize("bad", [np.zeros((2, 2)), np.zeros(3), np.zeros((3, 3))])
def test_actions_of_another_shape_are_named(toy_world, bad):
    vector = LatentVectorEnv(2, world=toy_world())
    vector.reset(seed=0)
    with pytest.raises(ManifoldError, match=r"shape \(2, 3\), got"):
        vector.step(bad)
    single = LatentEnv(world=toy_world())
    single.reset(seed=0)
    with pytest.raises(ManifoldError, match=r"shape \(3,\), got"):
        single.step(np.zeros((1, 3)))


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_actions_that_are_not_finite_are_named_and_change_nothing(toy_world, value):
    vector = LatentVectorEnv(2, world=toy_world())
    vector.reset(seed=0)
    before = vector.state_dict()
    action = np.zeros((2, 3))
    action[1, 2] = value
    with pytest.raises(ManifoldError, match="finite; walk 1"):
        vector.step(action)
    for name, kept in vector.state_dict().items():
        np.testing.assert_array_equal(before[name], kept)
    single = LatentEnv(world=toy_world())
    single.reset(seed=0)
    with pytest.raises(ManifoldError, match="finite"):
        single.step(action[1])


def test_extreme_finite_actions_are_shortened(toy_world):
    vector = LatentVectorEnv(2, world=toy_world())
    vector.reset(seed=0)
    observed, reward, *_ = vector.step(np.full((2, 3), 1e30, np.float32))
    assert np.isfinite(observed).all()
    assert np.isfinite(reward).all()


def test_stepping_on_after_the_end_of_a_single_walk_still_works(toy_world):
    env = LatentEnv(world=toy_world(tau=0.01, sharpness=1.0))
    env.reset(seed=0)
    assert env.step(np.zeros(3))[2]
    assert env.step(np.zeros(3))[2]  # Gymnasium leaves this undefined; nothing breaks


def test_what_the_user_does_to_the_returned_arrays_stays_with_the_user(toy_world):
    runs = []
    for vandal in (False, True):
        vector = LatentVectorEnv(3, world=toy_world(), max_episode_steps=3, autoreset_mode=AutoresetMode.SAME_STEP)
        observed, infos = vector.reset(seed=0)
        seen = []
        for action in actions(vector.world, 12, 3):
            observed, reward, terminated, truncated, infos = vector.step(action)
            seen.append(
                np.concatenate([observed.ravel(), reward, terminated, truncated, infos["queries"], infos["is_success"]])
            )
            if vandal:
                for array in (
                    observed,
                    reward,
                    terminated,
                    truncated,
                    *(v for v in infos.values() if isinstance(v, np.ndarray)),
                ):
                    array[:] = 7
        runs.append(seen)
    np.testing.assert_array_equal(*runs)


def test_a_state_that_was_kept_is_not_written_to_by_later_steps(toy_world):
    vector = LatentVectorEnv(3, world=toy_world(), max_episode_steps=4, autoreset_mode=AutoresetMode.SAME_STEP)
    vector.reset(seed=0)
    vector.step(np.zeros((3, 3), np.float32))
    vector.reset(options={"reset_mask": np.array([True, False, False])})
    for action in actions(vector.world, 12, 3):
        kept = vector.state
        copies = [value.clone() for value in kept]
        vector.step(action)
        for name, value, copy in zip(kept._fields, kept, copies, strict=True):
            assert value.equal(copy), name


def test_cached_starts_are_never_written_to(toy_world):
    world = toy_world()
    copies = [value.clone() for value in world.reference]
    vector = LatentVectorEnv(4, world=world, max_episode_steps=3, autoreset_mode=AutoresetMode.SAME_STEP)
    vector.reset(seed=0, options={"index": 0})
    for action in actions(world, 15, 4):
        vector.step(action)
        vector.reset(options={"reset_mask": np.array([True, False, True, False]), "index": 0})
    for value, copy in zip(world.reference, copies, strict=True):
        assert value.equal(copy)


def test_num_envs_must_be_positive(toy_world):
    with pytest.raises(ManifoldError, match="num_envs must be at least 1"):
        LatentVectorEnv(0, world=toy_world())


def test_a_built_world_takes_no_further_keywords(toy_world):
    with pytest.raises(ManifoldError, match="either world= or tau"):
        LatentVectorEnv(2, world=toy_world(), tau=0.5)
