"""What the benchmarks compare against does what it says."""

from __future__ import annotations

import numpy as np
from gymnasium.vector import AutoresetMode

from envs import LatentVectorEnv, make_world
from envs.gym.episodes import BLOCK
from tests.benchmarks.speed.fused import FusedWalks


def test_the_step_fused_by_hand_walks_as_the_environment_does():
    world = make_world(data="digits", move="euclidean")
    env = LatentVectorEnv(16, world=world, autoreset_mode=AutoresetMode.SAME_STEP)
    env.reset(seed=3)
    drawn = env.state_dict()["draws/block"]
    assert drawn.shape == (16, BLOCK, 2)
    walks = FusedWalks(world, drawn)
    rng, ended = np.random.default_rng(0), 0
    for _ in range(50):
        action = rng.normal(size=(16, world.latent_dim)).astype(np.float32)
        observation, reward, terminated, truncated, _ = env.step(action)
        theirs, rewarded, over = walks.step(action)
        np.testing.assert_allclose(theirs, observation, atol=1e-4)
        np.testing.assert_allclose(rewarded, reward, atol=1e-4)
        np.testing.assert_array_equal(over, terminated | truncated)
        ended += over.sum()
    assert ended > 16
