"""Ids in which exploration is the problem: one far pair, coverage without reward, labels alone over a long distance."""

from __future__ import annotations

import gymnasium as gym
import numpy as np
import pytest
import torch
from gymnasium.vector import AutoresetMode

import envs
from envs import LatentEnv, LatentVectorEnv, ManifoldError
from envs.building.world import make_world_named
from envs.gym.coverage import Coverage

gym.register_envs(envs)


# ---- one pair -------------------------------------------------------------------------------------------------------


def test_far_pairs_by_hand(toy_world):
    """Each start with its farthest class: the largest over classes of the least distance to a code of that class."""
    world = toy_world(rows=40)
    index, target, distance = world.reference.far_pairs
    agree = world.reference.prediction.argmax(1) == world.reference.label
    assert sorted(index.tolist()) == sorted(torch.arange(40)[agree].tolist())
    assert (distance.diff() <= 0).all()
    for i, k, far in zip(index.tolist(), target.tolist(), distance.tolist(), strict=True):
        gaps = {}
        for j in range(40):
            if agree[j]:
                gap = float((world.reference.z[i] - world.reference.z[j]).norm())
                label = int(world.reference.label[j])
                gaps[label] = min(gap, gaps.get(label, np.inf))
        assert far == pytest.approx(max(gaps.values()), abs=1e-4)
        assert gaps[k] == pytest.approx(far, abs=1e-4)
        assert k != int(world.reference.label[i])


def test_every_walk_of_a_pair_begins_alike():
    env = LatentVectorEnv(5, data="digits", task="one_pair", pair=7, label_only=True)
    index, target, _ = env.world.reference.far_pairs
    for seed in (0, 1):
        env.reset(seed=seed)
        assert (env.state.target == target[7]).all()
        assert (env.state.source == env.world.reference.label[index[7]]).all()
        torch.testing.assert_close(env.state.z, env.world.reference.z[index[7]].expand(5, -1))
    hardest = LatentEnv(data="digits", task="one_pair", label_only=True)
    hardest.reset(seed=0)
    assert int(hardest.state.target[0]) == int(target[0])


def test_a_pair_is_part_of_the_spec_and_can_be_configured():
    env = gym.make("Manifold/DigitsOnePair-v0", pair=3)
    assert env.unwrapped.world.task.pair == 3
    assert gym.make(gym.envs.registration.EnvSpec.from_json(env.spec.to_json())).unwrapped.world.task.pair == 3
    assert env.unwrapped.world.replace(pair=4).task.pair == 4
    assert env.unwrapped.world.replace(pair=4).config.pair == 4


def test_wrong_pairs_are_named(toy_world):
    with pytest.raises(ManifoldError, match="pair= belongs to task='one_pair'"):
        toy_world(pair=1)
    world = make_world_named("Manifold/DigitsOnePair-v0", {"pair": 100_000})
    with pytest.raises(ManifoldError, match=r"pair=100000: this world has pairs from 0, the hardest, to \d+"):
        LatentVectorEnv(2, world=world).reset(seed=0)
    with pytest.raises(ManifoldError, match="pair is 'far'; a whole number of at least 0"):
        make_world_named("Manifold/DigitsOnePair-v0", {"pair": "far"})


def test_arriving_at_the_far_label_pays_one():
    env = gym.make("Manifold/DigitsOnePair-v0", pair=1000)
    env.reset(seed=0)
    world, state = env.unwrapped.world, env.unwrapped.state
    codes = world.reference.z[world.reference.prediction.argmax(1) == state.target[0]]
    goal = codes[(codes - state.z).norm(dim=1).argmin()]
    rewards, over = [], False
    while not over:
        way = goal - env.unwrapped.state.z[0]
        _, reward, terminated, truncated, _ = env.step((way / max(world.step_length, float(way.norm()))).numpy())
        rewards.append(reward)
        over = terminated or truncated
    assert terminated
    assert rewards == [0.0] * (len(rewards) - 1) + [1.0]


# ---- coverage -------------------------------------------------------------------------------------------------------


def test_coverage_by_hand(toy_world):
    world = toy_world(d=2)
    coverage = Coverage(world)
    low, high = coverage.edges
    between = (low + high) / 2
    codes = torch.from_numpy(np.stack([low - 1, low - 2, between, high + 1, [low[0] - 1, high[1] + 1]]).astype(np.float32))
    predictions = torch.eye(3)[[0, 0, 1, 0, 1]]
    coverage.see(codes, predictions)
    assert coverage.figures == {"cells_covered": 4, "regions_covered": 2}
    coverage.see(codes, predictions)
    assert coverage.figures["cells_covered"] == 4


def test_the_starts_fill_the_cells_evenly(digits):
    edges = Coverage(digits).edges
    below = (digits.reference.z.numpy() <= edges[0]).mean(0)
    between = ((digits.reference.z.numpy() > edges[0]) & (digits.reference.z.numpy() <= edges[1])).mean(0)
    np.testing.assert_allclose(below, 1 / 3, atol=0.01)
    np.testing.assert_allclose(between, 1 / 3, atol=0.01)


def test_exploring_is_never_paid_and_never_ends():
    env = gym.make_vec("Manifold/DigitsExplore-v0", num_envs=8, autoreset_mode=AutoresetMode.SAME_STEP)
    env.reset(seed=0)
    first = env.unwrapped.state.z.clone()
    assert (first == first[0]).all()
    random, seen = np.random.default_rng(0), []
    for step in range(100):
        _, reward, terminated, truncated, infos = env.step(random.normal(size=(8, 8)))
        assert not reward.any()
        assert not terminated.any()
        assert truncated.all() == (step == 79)
        assert not infos["is_success"].any()
        assert (infos["cells_covered"] == infos["cells_covered"][0]).all()
        seen.append(int(infos["cells_covered"][0]))
    assert seen == sorted(seen)
    assert seen[-1] > seen[0]
    assert 1 <= infos["regions_covered"][0] <= 10


def test_coverage_is_saved_and_goes_on():
    first, second = (LatentVectorEnv(4, data="digits", task="explore") for _ in range(2))
    random = np.random.default_rng(0)
    first.reset(seed=0)
    for _ in range(30):
        first.step(random.normal(size=(4, 8)))
    second.load_state_dict(first.state_dict())
    action = random.normal(size=(4, 8))
    assert first.step(action)[4]["cells_covered"][0] == second.step(action)[4]["cells_covered"][0] > 1


def test_single_walks_tell_their_coverage_too():
    env = gym.make("Manifold/DigitsExplore-v0")
    env.reset(seed=0)
    info = env.step(np.zeros(8, np.float32))[4]
    assert (info["cells_covered"], info["regions_covered"]) == (1, 1)
    assert "cells_covered" not in _info(gym.make("Manifold/Digits-v0"))


def _info(env):
    env.reset(seed=0)
    return env.step(np.zeros(8, np.float32))[4]


# ---- labels alone, a long way ---------------------------------------------------------------------------------------


def test_the_long_way_has_small_steps_and_labels_alone():
    env = gym.make("Manifold/DigitsLabelOnlyLong-v0")
    world = env.unwrapped.world
    assert world.label_only
    assert world.step == 0.05
    assert env.spec.max_episode_steps == world.max_episode_steps == 80
    random = np.random.default_rng(0)
    batch = LatentVectorEnv(256, world=world, autoreset_mode=AutoresetMode.DISABLED)
    batch.reset(seed=0)
    _, _, _, _, infos = batch.step(random.normal(size=(256, 8)).clip(-1, 1) * 10)
    assert float(np.median(infos["step_length"])) == pytest.approx(0.05 * world.class_distance, rel=0.2)


# ---- slips and walls ------------------------------------------------------------------------------------------------


def test_a_share_of_the_actions_slips_and_keeps_its_length(digits):
    env = LatentVectorEnv(2000, world=digits.replace(slip=0.3, step=0.01), autoreset_mode=AutoresetMode.SAME_STEP)
    env.reset(seed=0)
    before, action = env.state.z.clone(), np.zeros((2000, 8), np.float32)
    action[:, 0] = 0.5
    env.step(action)
    moved = (env.state.z - before).numpy() / env.world.step_length
    slipped = np.abs(moved - action).max(1) > 1e-3
    assert slipped.mean() == pytest.approx(0.3, abs=0.04)
    np.testing.assert_allclose(np.linalg.norm(moved, axis=1), 0.5, atol=1e-3)
    assert abs(moved[slipped].mean(0)).max() < 0.05  # no direction is preferred


def test_slips_are_defined_by_the_seed_alike_in_batches_and_after_saving(digits):
    world = digits.replace(slip=0.5)
    batch, again = (LatentVectorEnv(3, world=world, autoreset_mode=AutoresetMode.SAME_STEP) for _ in range(2))
    singles = [LatentEnv(world=world) for _ in range(3)]
    observed = [batch.reset(seed=4)[0], np.stack([env.reset(seed=4 + i)[0] for i, env in enumerate(singles)])]
    np.testing.assert_allclose(*observed, atol=1e-5)
    actions = np.random.default_rng(0).normal(size=(6, 3, 8)).astype(np.float32)
    for action in actions[:3]:
        theirs = np.stack([env.step(action[i])[0] for i, env in enumerate(singles)])
        np.testing.assert_allclose(batch.step(action)[0], theirs, atol=1e-5)
    again.load_state_dict(batch.state_dict())
    for action in actions[3:]:
        np.testing.assert_array_equal(batch.step(action)[0], again.step(action)[0])


def test_the_wall_is_passed_by_its_door_alone(toy_world):
    world = toy_world(d=3).replace(move="walled", step=0.05)
    manifold, length = world.manifold, 1.0
    wall, door = float(manifold.code_mean[0]), float(manifold.code_mean[1] + manifold.code_scale[1])
    z = torch.tensor([[wall - 0.1, door - 0.1, 0.0], [wall - 0.1, door + 0.1, 0.0], [wall - 0.1, door - 0.1, 0.0]])
    action = torch.tensor([[0.3, 0.0, 0.0], [0.3, 0.0, 0.0], [-0.3, 0.0, 0.0]])
    moved = world.move(manifold, z, action, length)
    torch.testing.assert_close(moved, z + torch.tensor([[0.0], [1.0], [1.0]]) * action)
    with pytest.raises(ManifoldError, match="at least two latent dimensions"):
        toy_world(d=1).replace(move="walled")


# ---- goals ----------------------------------------------------------------------------------------------------------


def test_goals_follow_gymnasiums_contract(recwarn):
    from gymnasium.utils.env_checker import check_env

    env = gym.make("Manifold/DigitsGoal-v0")
    check_env(env.unwrapped, skip_render_check=True)
    own = str(int(env.unwrapped.world.reference.label[5]))
    with pytest.raises(ManifoldError, match=r"of class .* already"):
        env.unwrapped.reset(seed=1, options={"index": 5, "target": own})
    options = {"index": 5, "target": "7" if own != "7" else "8"}
    observation, _ = env.reset(seed=1, options=options)
    plain = LatentEnv(data="digits", task="reach_label", label_only=True)
    whole, _ = plain.reset(seed=1, options=options)
    np.testing.assert_array_equal(observation["observation"], whole[:-10])
    np.testing.assert_array_equal(observation["desired_goal"], whole[-10:])
    over, steps = False, 0
    while not over:
        observation, reward, terminated, truncated, info = env.step(env.action_space.sample())
        assert reward == env.unwrapped.compute_reward(observation["achieved_goal"], observation["desired_goal"], info)
        assert terminated == (reward == 0.0) == info["is_success"]
        over, steps = terminated or truncated, steps + 1
    assert steps <= 20


def test_goal_rewards_come_in_batches_and_wrong_tasks_are_refused():
    env = gym.make("Manifold/DigitsGoal-v0").unwrapped
    goals = np.eye(10, dtype=np.float32)[[1, 2, 3]]
    np.testing.assert_array_equal(env.compute_reward(goals, goals[[0, 2, 1]], [{}] * 3), [0.0, -1.0, -1.0])
    for wrong in ({"task": "explore", "label_only": False}, {"guidance": True}, {"task": "one_pair"}):
        with pytest.raises(ManifoldError, match="does not allow"):
            gym.make("Manifold/DigitsGoal-v0", **wrong)


def test_hindsight_learns_from_walks_that_missed_their_goal():
    from stable_baselines3 import SAC, HerReplayBuffer

    env = gym.make("Manifold/DigitsGoal-v0")
    model = SAC("MultiInputPolicy", env, replay_buffer_class=HerReplayBuffer, learning_starts=350, seed=0)
    model.learn(400)
    buffer = model.replay_buffer
    stored = buffer.rewards[: buffer.pos] == 0.0
    sampled = buffer.sample(512).rewards.numpy() == 0.0
    assert sampled.mean() > 2 * stored.mean()  # relabelled goals were reached
