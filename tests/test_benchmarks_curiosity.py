"""What the benchmarks of curiosity rest on: the statistics, the witness, cells that are kept, the protocol."""

from __future__ import annotations

import argparse
import json
import os
import time
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
from tests.benchmarks import vime_cells
from tests.benchmarks.vime_cells import Cell, kept, source_digest
from tests.benchmarks.vime_plan import RESULTS, Runner, protocol
from tests.benchmarks.vime_statistics import iqm, median, told
from tests.benchmarks.vime_witness import Witness, angle_and_spin, position_and_velocity

CELL = Cell("VIME/SparsePendulum-v0", "ppo", "none", 100, 3, {"n_envs": 2})


# ---- statistics -----------------------------------------------------------------------------------------------------


def test_the_interquartile_mean_by_hand():
    found = iqm([[100.0, 1.0, 2.0, 3.0, 4.0, 5.0, 6.0, -100.0]])
    assert found["value"] == pytest.approx((2 + 3 + 4 + 5) / 4)
    assert found["low"] < found["value"] < found["high"]
    assert found["n"] == 8
    assert iqm([[0.5] * 10]) == {"value": 0.5, "low": 0.5, "high": 0.5, "n": 10}
    assert iqm([[]])["value"] is None
    assert told(iqm([[]])) == "-"
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


# ---- cells ----------------------------------------------------------------------------------------------------------


def test_a_finished_cell_is_kept(tmp_path):
    asked = []

    def measure(cell):
        asked.append(cell)
        return {"seed": cell.seed}

    assert kept(CELL, None, tmp_path) is None
    first = kept(CELL, measure, tmp_path)
    assert kept(CELL, measure, tmp_path) == first
    assert first["seed"] == 3
    assert len(asked) == 1
    kept(replace(CELL, eta=0.5), measure, tmp_path)
    assert len(asked) == 2


def test_a_cell_of_other_code_is_measured_again(tmp_path, monkeypatch):
    kept(CELL, lambda cell: {"code": "old"}, tmp_path)
    monkeypatch.setattr(vime_cells, "source_digest", lambda cell: "other")
    assert kept(CELL, None, tmp_path) is None
    assert kept(CELL, lambda cell: {"code": "new"}, tmp_path)["code"] == "new"


def test_a_plain_cell_does_not_hang_on_the_bonuses():
    assert source_digest(CELL) != source_digest(replace(CELL, arm="vime"))
    assert source_digest(CELL) != source_digest(replace(CELL, env="VIME/SparseMountainCar-v0"))


def test_eta_is_the_best_of_the_grid_on_the_tuning_seeds(tmp_path):
    options = argparse.Namespace(untuned=False, merge=False, seeds=None, jobs=1, cache=tmp_path)
    runner = Runner(options, lambda cell: {"score": 1.0 if cell.eta == 0.1 else 0.0})
    plan = {"eta_grid": [0.01, 0.1, 1.0], "default_eta": 0.01}
    make = lambda eta, seed: replace(CELL, eta=eta, seed=seed)  # noqa: E731
    eta, reached = runner.best_eta(plan, make, lambda figures: (figures["score"],), "test")
    assert eta == 0.1
    assert reached == {"0.01": [0.0], "0.1": [1.0], "1": [0.0]}
    options.untuned = True
    assert runner.best_eta(plan, make, lambda figures: (figures["score"],), "test") == (0.01, {})


def told_seed(cell):
    """What a cell is measured by where it goes to another process: a function of the module."""
    return {"seed": cell.seed, "by": os.getpid()}


def test_cells_measured_side_by_side_are_those_measured_one_by_one(tmp_path):
    wanted = [(arm, seeds) for arm, seeds in (("first", (1, 2, 3)), ("second", (3, 4)))]
    found = {}
    for jobs in (1, 2):
        options = argparse.Namespace(merge=False, seeds=None, jobs=jobs, cache=tmp_path / str(jobs))
        runner = Runner(options, told_seed)
        found[jobs] = runner.rows(lambda arm, seeds: runner([replace(CELL, seed=s) for s in seeds], arm), wanted)  # noqa: B023
        assert len(list((tmp_path / str(jobs)).iterdir())) == 4, "seed 3 is asked for twice and measured once"
    assert [[figures["seed"] for figures in row] for row in found[2]] == [[1, 2, 3], [3, 4]]
    assert [[figures["seed"] for figures in row] for row in found[1]] == [[1, 2, 3], [3, 4]]
    assert all(figures["by"] != os.getpid() for row in found[2] for figures in row)


def test_a_cell_that_fails_in_another_process_ends_the_benchmark(tmp_path):
    runner = Runner(argparse.Namespace(merge=False, seeds=None, jobs=2, cache=tmp_path), fails)
    with pytest.raises(ZeroDivisionError):
        runner.rows(lambda arm, seeds: runner([replace(CELL, seed=s) for s in seeds], arm), [("a", range(60))])
    assert len(list(tmp_path.iterdir())) < 50, "those that wait are not measured first"


def fails(cell):
    """A measurement that goes wrong for the first seed, and takes a while for the others."""
    time.sleep(0.1 if cell.seed else 0)
    return {"value": 1 / cell.seed}


def test_tuning_and_final_seeds_are_apart():
    plan = protocol()
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
    plan = protocol()["control"]
    for env, task in plan["tasks"].items():
        shipped = load_hyperparameters(algo, env)
        measured = {**plan[algo], "n_timesteps": task["steps"]}
        assert {name: shipped[name] for name in measured} == measured
        assert set(shipped) - set(measured) <= {"cg_max_steps"}


def test_tasks_on_the_manifold_ship_with_the_settings_that_were_measured():
    plan = protocol()["manifold"]
    for env, task in plan["tasks"].items():
        measured = {**plan["ppo"], "n_timesteps": task["steps"]}
        assert load_hyperparameters("ppo", env) == measured


@pytest.mark.parametrize("part", ["control", "manifold"])
def test_bonuses_ship_with_the_settings_that_were_measured(part):
    page = json.loads((RESULTS / f"vime_{part}.json").read_text())
    world: Any = object() if part == "manifold" else None
    for env in protocol()[part]["tasks"]:
        rows = page[env]["ppo"] if part == "control" else page[env]
        for arm in set(rows) - {"none"}:
            shipped, measured = curiosity_settings(arm, None, {}, world, env), dict(rows[arm]["options"])
            if world is not None:  # the runs were made before there was a choice
                measured["first_changes"] = False
            if env == "Manifold/DigitsExplore-v0":  # nothing succeeds there: a schedule by success is none
                assert measured.pop("success_decay") == 0.1
            assert shipped.eta == rows[arm]["eta"], (env, arm)
            assert shipped.options == {name: value for name, value in measured.items() if value is not None}, (env, arm)
