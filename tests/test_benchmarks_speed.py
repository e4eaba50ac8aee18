"""What the benchmarks compare against does what it says."""

from __future__ import annotations

import numpy as np
from gymnasium.vector import AutoresetMode

from envs import LatentVectorEnv, make_world
from envs.gym.episodes import BLOCK
from tests.benchmarks import performance
from tests.benchmarks.harness.experiment import recorded
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


def test_the_page_of_where_cost_grows_shows_what_was_measured_and_says_what_was_not():
    grid = {f"{axis} {value}": {"batch": 1.0, "alone": 2.0} for axis, values in performance.GRID.items() for value in values}
    record = {
        **{part: {} for part in performance.PARTS},
        "walks": {"16": 0.2, "256": 0.4},
        "grid": grid,
        "commands": {"walks": "COMMAND"},
    }
    text = performance.page(record)
    assert "| 256 | 0.40 |" in text
    assert "| pixels 784 | 1.00 | 2.00 |" in text
    assert text.count("Not measured.") == 5
    assert performance.picture(record).startswith(b"\x89PNG")


def test_synthetic_rows_are_of_all_classes():
    assert performance.rows_of(100_010).shape == (100_010, 32)
    assert set(performance.classifier_of(32, 3)(performance.rows_of(1000)).argmax(1)) == {0, 1, 2}


def test_a_recorded_command_does_not_hold_the_place_of_other_code():
    assert recorded(["--against", "/some/where", "--rounds", "3"]) == ["--against", "DIR", "--rounds", "3"]
