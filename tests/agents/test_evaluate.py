"""Measuring walkers side by side: the same tasks for each, figures as JSON and as a table."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

import envs
from agents import evaluate as script
from agents.cli import run_main
from agents.evaluate import draw_targets, evaluate, plain, table
from agents.explanation.metrics import MEASURES
from agents.walkers import make_walker


@pytest.fixture(scope="module")
def digits() -> Any:
    return envs.make_world(data="digits")


def test_walkers_meet_the_same_tasks(digits: Any) -> None:
    found = evaluate(digits, ["line", "random", make_walker("line", refine=0)], inputs=range(30))
    assert list(found) == ["line", "random", "line 2"]
    for measures in found.values():
        assert set(MEASURES) < set(measures)
        assert measures["validity"].n == 30
        assert measures["step_bound_share"].value == 1.0
    assert found["line"]["validity"].value == 1.0
    assert found["line"]["queries"].value > found["line 2"]["queries"].value
    assert found["line"]["l2_input"].value < found["line 2"]["l2_input"].value
    assert found["line"]["training_queries"] == 2 * len(digits.starts.x)
    assert found["random"]["failed"]
    again = evaluate(digits, ["line"], inputs=range(30))["line"]
    assert {k: v for k, v in again.items() if k != "cpu_ms"} == {
        k: v for k, v in found["line"].items() if k != "cpu_ms"
    }


def test_a_rows_target_hangs_on_no_other_row(digits: Any) -> None:
    everyone = draw_targets(digits, range(540), 3)
    assert draw_targets(digits, [7, 400], 3) == [everyone[7], everyone[400]]
    assert draw_targets(digits, range(540), 4) != everyone
    source = digits.classifier.predict_proba(digits.held_out.x).argmax(1)
    assert not (source == source.new_tensor(everyone)).any()


def test_nearest_targets_are_nearer_than_random_ones(digits: Any) -> None:
    random, nearest = (
        evaluate(digits, ["line"], targets=rule, inputs=range(40))["line"]["l2_input"].value
        for rule in ("random", "nearest")
    )
    assert nearest < random


def test_tasks_and_worlds_of_every_kind_can_be_measured() -> None:
    labels = {"data": "digits", "task": "reach_label", "label_only": True}
    for kwargs in ({"task": "leave"}, {"task": "prototype"}, labels):
        found = evaluate(envs.make_world(**kwargs), ["line"], inputs=range(10))["line"]
        assert found["validity"].n == 10
        if kwargs.get("label_only"):
            assert found["p_end"].n == 0


def test_figures_go_through_json(digits: Any) -> None:
    found = evaluate(digits, ["random"], inputs=range(4), max_steps=1)
    assert found["random"]["validity"].value == 0.0
    text = json.dumps(plain(found), allow_nan=False)
    assert json.loads(text)["random"]["l2_input"] == {"value": None, "low": None, "high": None, "n": 0}
    assert table(found).row_count == len(MEASURES) + 2


def test_the_script(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = tmp_path / "figures.json"
    asked = ["--env", "Manifold/Digits-v0", "--walker", "line", "random", "--inputs", "20", "--no-progress"]
    assert run_main(script.main, [*asked, "--json", str(file)]) == 0
    said = capsys.readouterr().out
    assert "20 held-out inputs, random targets, stop at p >= 0.9" in said
    assert "random: not explained" in said
    figures = json.loads(file.read_text())
    assert set(figures["walkers"]) == {"line", "random"}
    assert figures["walkers"]["line"]["queries"]["n"] == 20


@pytest.mark.parametrize(
    ("asked", "words"),
    [
        (["--walker", "lines"], "unknown walker 'lines'"),
        (["--inputs", "0"], "--inputs 0"),
        (["--json", "no/such/folder/x.json"], "there is no folder"),
        (["--walker", "policy"], "'policy' is a trained agent"),
    ],
)
def test_the_scripts_errors_are_one_line(asked: list[str], words: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert run_main(script.main, ["--env", "Manifold/Custom-v0", *asked]) == 2
    said = capsys.readouterr().err.strip()
    assert words in said
    assert "\n" not in said
