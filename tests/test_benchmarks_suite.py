"""The exploration suite: its statistics by hand, its cells, its tables, and the comparison of explorations."""

from __future__ import annotations

import argparse

import numpy as np
import pytest
from scipy.stats import mannwhitneyu

from agents.training.environments import is_latent
from tests.benchmarks import ladder, suite
from tests.benchmarks.curiosity import suite_figures
from tests.benchmarks.harness.runs import Runner
from tests.benchmarks.harness.statistics import difference_of_medians, fisher, loss, probability_of_improvement, profile
from vime.errors import VimeError

# ---- statistics -----------------------------------------------------------------------------------------------------


def test_the_probability_of_improvement_is_mann_whitneys():
    draw = np.random.default_rng(0)
    ours, theirs = draw.normal(0.5, 1, 30), draw.normal(0, 1, 20)
    found = probability_of_improvement([ours], [theirs])
    assert found["value"] == pytest.approx(mannwhitneyu(ours, theirs).statistic / (30 * 20))
    assert found["low"] < found["value"] < found["high"]
    assert probability_of_improvement([[1.0, 1.0]], [[1.0]])["value"] == 0.5
    assert probability_of_improvement([[2.0], [0.0]], [[1.0], [1.0]])["value"] == 0.5  # tasks count alike
    assert probability_of_improvement([[]], [[1.0]])["value"] is None


def test_a_profile_falls_from_one():
    found = profile([[0.0, 0.5], [1.0, 1.0]], np.array([0.0, 0.4, 0.6, 1.0]))
    assert found["value"] == [1.0, 0.75, 0.5, 0.5]
    assert all(low <= value <= high for low, value, high in zip(found["low"], found["value"], found["high"], strict=True))


def test_the_loss_is_a_share_of_the_mean():
    assert loss([30, 50], [80, 80])["value"] == pytest.approx(0.5)
    assert loss([30, 50], [80, 80])["low"] == pytest.approx(0.375)
    assert loss([30, 50], [80, 80])["high"] == pytest.approx(0.625)


def test_fishers_test_knows_few_runs():
    assert fisher(2, 10, 0, 10) == pytest.approx(0.474, abs=1e-3)
    assert fisher(8, 10, 0, 10) == pytest.approx(0.0007, abs=1e-4)


def test_steps_to_solve_are_the_end_of_the_first_part_with_enough_successes():
    assert suite_figures.steps_to_solve({"curve": [0.0] * 4 + [0.6] + [0.0] * 15}, 1000) == 250
    assert suite_figures.steps_to_solve({"curve": [0.4] * 20}, 1000) == 1000
    found = difference_of_medians([1.0, 2.0, 3.0], [2.0, 3.0, 4.0])
    assert (found["value"], found["low"], found["high"]) == (-1.0, -1.0, -1.0)  # the same tasks are drawn for both


def test_every_aim_is_judged_or_said_not_to_be_measured():
    run = {"score": 0.9, "curve": [0.0] * 9 + [1.0] * 11, "first_reward": 10, "cpu_seconds": 8.0}
    late = {**run, "score": 0.1, "curve": [0.0] * 20}
    cells = {"OnePair": {"vime_linearized": {"runs": [run] * 30}, "rnd": {"runs": [late] * 30}}}
    text = suite_figures.aims(cells)
    assert "29 of 30 pairs solved | 30 of 30 | reached" in text
    assert "than rnd, apart from 0 | -40,960 [-40,960, -40,960] | reached" in text
    assert "1.25 times RND's | 0.50 times | reached" in text
    assert "MountainCar: 10 of 10 solved | not measured" in text
    assert "than l2, apart from 0 | not measured" in text
    kept = {"runs": [{"cells": 900}, {"cells": 900}]}
    heard = {bonus: {"runs": [{"cells": 600}, {"cells": 600}]} for bonus in ("vime_linearized", "l2", "rnd")}
    text = suite_figures.aims({"Distractors": heard, "Silent": dict.fromkeys(heard, kept)})
    assert "10 % of the cells lost | 0.33 [0.33, 0.33] lost | missed" in text


# ---- cells ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("cell", suite.CELLS)
def test_every_cell_can_be_trained_and_keeps_tuning_apart(cell):
    final = [suite.training_of(cell, "rnd", 0.1, i) for i in range(10)]
    tuning = [suite.training_of(cell, "rnd", 0.1, i, tuning=True) for i in range(len(suite.PLAN["tuning_seeds"]))]
    assert not {one.seed for one in final} & {one.seed for one in tuning}
    assert not {one.env_kwargs.get("pair") for one in final} & {one.env_kwargs.get("pair") for one in tuning} - {None}
    assert len({one.name for one in final}) == 10
    assert suite.CELLS[cell].get("tuned_as", cell) in suite.CELLS
    assert is_latent(final[0].env) or "full" not in suite.CELLS[cell]


def short(monkeypatch, tmp_path, cell, steps, **own):
    monkeypatch.setitem(suite.CELLS, cell, {**suite.CELLS[cell], "steps": steps})
    monkeypatch.setattr(suite, "IMAGES", tmp_path)
    monkeypatch.setattr(suite, "RESULTS", tmp_path)
    runner = Runner(tmp_path / "kept")
    given = {
        "bonus": ["none", "tests.anywhere:OwnBonus"],
        "ids": [cell],
        "seeds": 2,
        "out": None,
        "before": {},
        "runner": runner,
    }
    return argparse.Namespace(**{**given, "tune": False, "strength": False, **own})


@pytest.mark.parametrize(("cell", "steps"), [("DeepSea-14", 4096), ("Explore", 2048), ("ZeroShot", 2048)])
def test_a_comparison_has_scores_curves_and_a_page(monkeypatch, tmp_path, cell, steps):
    options = short(monkeypatch, tmp_path, cell, steps, bonus=["none", "rnd"])
    record = list(suite.measure(options))[-1]
    for arm in ("none", "rnd"):
        runs = record["cells"][cell][arm]["runs"]
        assert len(runs) == 2
        assert all(0 <= run["score"] <= 1 and len(run["curve"]) == suite.POINTS for run in runs)
    text = suite.page({**record, "command": "python"})
    assert f"## {cell}" in text
    shipped = {"DeepSea-14": "0.3*", "Explore": "1*", "ZeroShot": "0.1*"}  # not tuned
    assert shipped[cell] in text
    assert (tmp_path / "suite.png").is_file()


def test_eta_is_chosen_on_tuning_seeds_and_used(monkeypatch, tmp_path):
    options = short(monkeypatch, tmp_path, "DeepSea-14", 2048, bonus=["rnd"], tune=True, etas=[0.1, 1.0], seeds=1)
    record = list(suite.measure(options))[-1]
    assert set(record["cells"]["DeepSea-14"]["rnd"]) == {"0.1", "1"}
    assert "**" in suite.page({**record, "command": "python"})
    assert suite.best({"0.1": {"score": [0.0, 1.0], "first": [9, 9]}, "1": {"score": [0.5, 0.5], "first": [5, 5]}}) == "1"


def test_a_bonus_that_does_not_exist_is_refused_before_anything_is_trained(monkeypatch, tmp_path):
    with pytest.raises(VimeError, match="rnf"):
        list(suite.measure(short(monkeypatch, tmp_path, "DeepSea-14", 2048, bonus=["rnf"])))


# ---- ladder ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("rung", ["label only", "Deep Sea 10", "iris, rank 50"])
def test_a_rung_has_three_shares(rung):
    found = ladder.figures_of(rung, 32, 0)
    assert 0 <= found["isotropic"] <= 1
    assert 0 <= found["persistent"] <= 1
    assert (found["straight"] is None) == (rung == "Deep Sea 10")
