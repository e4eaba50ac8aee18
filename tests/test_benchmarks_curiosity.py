"""Foundations of the curiosity benchmarks: statistics, the witness, kept trainings, the protocol."""

from __future__ import annotations

import argparse
import inspect
import json
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from gymnasium.vector import AutoresetMode
from stable_baselines3.common.vec_env import VecMonitor

from agents.training.algorithms import load_hyperparameters
from agents.training.environments import curiosity_settings
from agents.training.vec_env import LatentVecEnv
from envs.control.vector_env import ControlVectorEnv
from tests.benchmarks import vime_ablation
from tests.benchmarks.curiosity.protocol import PROTOCOL, Trainings
from tests.benchmarks.curiosity.training import Training
from tests.benchmarks.curiosity.witness import Witness, angle_and_spin, position_and_velocity
from tests.benchmarks.harness.experiment import RESULTS
from tests.benchmarks.harness.runs import Runner, kept
from tests.benchmarks.harness.statistics import iqm, median
from tests.benchmarks.harness.tables import within

TRAINING = Training("VIME/SparsePendulum-v0", "ppo", "none", 100, 3, {"n_envs": 2})


# ---- statistics -----------------------------------------------------------------------------------------------------


def test_the_interquartile_mean_by_hand():
    found = iqm([[100.0, 1.0, 2.0, 3.0, 4.0, 5.0, 6.0, -100.0]])
    assert found["value"] == pytest.approx((2 + 3 + 4 + 5) / 4)
    assert found["low"] < found["value"] < found["high"]
    assert found["n"] == 8
    assert iqm([[0.5] * 10]) == {"value": 0.5, "low": 0.5, "high": 0.5, "n": 10}
    assert iqm([[]])["value"] is None
    assert within(iqm([[]])) == "-"
    assert median([]) is None


def test_runs_are_drawn_within_their_task():
    """Two tasks without spread: pooled resampling would mix them in other shares, the stratified one cannot."""
    found = iqm([[0.0] * 4, [1.0] * 4])
    assert found["low"] == found["high"] == found["value"] == 0.5


def test_the_interval_covers_the_true_value():
    random = np.random.default_rng(0)
    inside = 0
    for _ in range(100):
        found = iqm([random.normal(size=20).tolist()])
        inside += found["low"] <= 0 <= found["high"]
    assert 85 <= inside <= 99


# ---- witness --------------------------------------------------------------------------------------------------------


def test_cells_of_the_grids():
    corners = np.array([[-1.2, -0.07], [0.6, 0.07], [-0.3 + 1e-6, 1e-6]])
    assert position_and_velocity(corners).tolist() == [0, 399, 10 * 20 + 10]
    upright, hanging = np.array([[1.0, 0.0, 0.0], [-1.0, 1e-9, 0.0]])
    assert angle_and_spin(np.stack([upright, hanging])).tolist() == [10 * 20 + 10, 19 * 20 + 10]


def test_the_witness_counts_and_changes_nothing():
    def make():
        batch = ControlVectorEnv(3, task="pendulum", max_episode_steps=4, autoreset_mode=AutoresetMode.SAME_STEP)
        return VecMonitor(LatentVecEnv(batch))

    plain, watched = make(), Witness(make(), angle_and_spin)
    plain.seed(1)
    watched.seed(1)
    np.testing.assert_array_equal(plain.reset(), watched.reset())
    for _ in range(8):
        for a, b in zip(plain.step(np.ones((3, 1)))[:3], watched.step(np.ones((3, 1)))[:3], strict=True):
            np.testing.assert_array_equal(a, b)
    assert watched.steps == 24
    assert watched.first_reward is None
    assert [step for step, _, _ in watched.episodes] == [12] * 3 + [24] * 3
    assert watched.curve(24, points=2) == [0.0, 0.0]
    assert watched.visited
    watched.venv.env_method("reset", options={"state": [0.0, 0.0]})
    watched.step(np.zeros((3, 1)))
    assert watched.first_reward == 27


# ---- trainings ------------------------------------------------------------------------------------------------------


def test_a_finished_training_is_kept_with_its_cost(tmp_path):
    asked = []

    def figures(training):
        asked.append(training)
        return {"seed": training.seed}

    def found(training, **how):
        return kept(training.run(figures), tmp_path, **how)

    assert found(TRAINING, only=True) is None
    first = found(TRAINING)
    assert found(TRAINING) == first
    assert first["seed"] == 3
    assert {"cpu_seconds", "torch"} < set(first)
    assert len(asked) == 1
    found(replace(TRAINING, eta=0.5))
    assert len(asked) == 2
    assert sorted(file.name.rsplit("-", 1)[0] for file in tmp_path.iterdir()) == [
        "SparsePendulum-ppo-none-0.5-seed3",
        "SparsePendulum-ppo-none-seed3",
    ]


def test_a_training_of_other_code_is_run_again(tmp_path, monkeypatch):
    kept(TRAINING.run(lambda training: {"code": "old"}), tmp_path)
    monkeypatch.setattr(Training, "sources", property(lambda self: ("pyproject.toml",)))
    assert kept(TRAINING.run(lambda training: {}), tmp_path, only=True) is None
    assert kept(TRAINING.run(lambda training: {"code": "new"}), tmp_path)["code"] == "new"


def test_a_plain_training_does_not_depend_on_the_bonuses():
    assert not any("vime/" in pattern for pattern in TRAINING.sources)
    assert any("vime/" in pattern for pattern in replace(TRAINING, arm="vime").sources)
    assert TRAINING.sources != replace(TRAINING, env="VIME/SparseMountainCar-v0").sources


def test_eta_is_the_best_of_the_grid_on_the_tuning_seeds(tmp_path):
    options = argparse.Namespace(untuned=False, seeds=None, runner=Runner(tmp_path))
    trainings = Trainings(options, lambda training: {"score": 1.0 if training.eta == 0.1 else 0.0})
    plan = {"eta_grid": [0.01, 0.1, 1.0], "default_eta": 0.01}
    make = lambda eta, seed: replace(TRAINING, eta=eta, seed=seed)  # noqa: E731
    eta, reached = trainings.best_eta(plan, make, lambda figures: (figures["score"],), "test")
    assert eta == 0.1
    assert reached == {"0.01": [0.0], "0.1": [1.0], "1": [0.0]}
    options.untuned = True
    assert trainings.best_eta(plan, make, lambda figures: (figures["score"],), "test") == (0.01, {})


def test_only_the_first_seeds_of_a_row_are_trained_if_so_wanted(tmp_path):
    trainings = Trainings(argparse.Namespace(seeds=2, runner=Runner(tmp_path)), lambda training: {"seed": training.seed})
    found = trainings([replace(TRAINING, seed=seed) for seed in (5, 6, 7)], "test")
    assert [figures["seed"] for figures in found] == [5, 6]


def test_tuning_and_final_seeds_are_apart():
    plan = PROTOCOL
    tuning = set(plan["tuning_seeds"])
    assert len(tuning) == 3
    assert not tuning & set(plan["control"]["final_seeds"])
    final, chosen = plan["manifold"]["tasks"]["Manifold/DigitsOnePair-v0"], plan["manifold"]["tuning"]
    ranks, seeds = (
        {start + i * step for i in range(final["pairs"])}
        for start, step in ((final["first"], final["every"]), (final["first_seed"], 1))
    )
    assert len(ranks) >= 30
    assert not ranks & {chosen["first"] + i * chosen["every"] for i in range(chosen["pairs"])}
    assert not seeds & {chosen["first_seed"] + i for i in range(chosen["pairs"])}
    for task in plan["manifold"]["tasks"].values():
        own = range(task.get("first_seed", 0), task.get("first_seed", 0) + task.get("pairs", 0))
        assert not tuning & set(task.get("final_seeds", own))


@pytest.mark.parametrize("algo", ["ppo", "trpo", "sac"])
def test_control_tasks_ship_with_the_settings_that_were_measured(algo):
    plan = PROTOCOL["control"]
    for env, task in plan["tasks"].items():
        shipped = load_hyperparameters(algo, env)
        measured = {**plan[algo], "n_timesteps": task["steps"]}
        assert {name: shipped[name] for name in measured} == measured
        assert set(shipped) - set(measured) <= {"cg_max_steps"}


def test_tasks_on_the_manifold_ship_with_the_settings_that_were_measured():
    plan = PROTOCOL["manifold"]
    for env, task in plan["tasks"].items():
        measured = {**plan["ppo"], "n_timesteps": task["steps"]}
        assert load_hyperparameters("ppo", env) == measured


SUITE = {"Manifold/DigitsOnePair-v0": "OnePair", "Manifold/DigitsExplore-v0": "Explore", "VIME/DeepSea-v0": "DeepSea-14"}
"""Ids whose settings the suite chose, but for BALD's."""


@pytest.mark.parametrize("part", ["control", "manifold"])
def test_bonuses_ship_with_the_settings_that_were_measured(part):
    page = json.loads((RESULTS / f"vime_{part}.json").read_text())
    world: Any = object() if part == "manifold" else None
    for env in PROTOCOL[part]["tasks"]:
        rows = page[env]["ppo"] if part == "control" else page[env]
        for arm in ({"bald"} if env in SUITE else set(rows) - {"none"}) & set(rows):
            shipped, measured = curiosity_settings(arm, None, {}, world, env), dict(rows[arm]["options"])
            if world is not None:  # the runs were made before there was a choice
                measured["first_changes"] = False
            if arm == "vime":  # the default of that time
                measured["estimator"] = "second_order"
            if env == "Manifold/DigitsExplore-v0":  # nothing succeeds there: a schedule by success is none
                assert measured.pop("success_decay") == 0.1
            assert shipped.eta == rows[arm]["eta"], (env, arm)
            assert shipped.options == {name: value for name, value in measured.items() if value is not None}, (env, arm)


@pytest.mark.parametrize("env", SUITE)
def test_bonuses_ship_with_the_settings_that_the_suite_chose(env):
    world: Any = None if env.startswith("VIME/") else object()
    for arm, bonus in {"vime_linearized": "vime", "rnd": "rnd", "l2": "l2"}.items():
        shipped = curiosity_settings(bonus, None, {}, world, env)
        row = json.loads((RESULTS / "suite.json").read_text())["cells"][SUITE[env]][arm]
        assert shipped.eta == row["eta"], arm
        assert {"estimator": "linearized", "learning_rate": 1e-2} | shipped.options == (
            {"estimator": "linearized", "learning_rate": 1e-2} | row["options"]
        ), arm


def test_every_row_of_the_ablation_changes_options_that_exist():
    from vime import VIME, Bonus, BonusMixer
    from vime.bonuses import bonus_class

    shared = {*inspect.signature(BonusMixer).parameters, "prediction_target"}
    for name, change in vime_ablation.ROWS.items():
        arm = change.get("arm", "vime")
        kind = VIME if arm == "none" else bonus_class(arm)
        known = {part for owner in (kind, Bonus) for part in inspect.signature(owner).parameters} | shared
        assert not set(change) - {"arm", "algo"} - known, name
