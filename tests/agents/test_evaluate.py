"""Measuring walkers side by side: the same tasks for each, figures as JSON and as a table."""

from __future__ import annotations

import io
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from rich.console import Console

import envs
from agents import evaluate as script
from agents.console.cli import run_main
from agents.evaluate import draw_targets, evaluate, plain, table, tables
from agents.explanation.metrics import oracle as judge
from agents.explanation.metrics.evaluate import MEASURES
from agents.walkers import make_walker


@pytest.fixture(scope="module", autouse=True)
def hasty_judges() -> Any:
    """What judges say is tested elsewhere: here they are fitted in a moment."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(judge, "AE_STEPS", 5)
        patch.setattr(judge, "ORACLE_STEPS", 5)
        yield


@pytest.fixture(scope="module")
def score() -> Any:
    from sklearn.linear_model import LinearRegression

    x = np.random.default_rng(0).normal(size=(80, 3)).astype(np.float32)
    return envs.make_world(data=x, classifier=LinearRegression().fit(x, x @ [1.0, 2.0, -1.0]), manifold="pca", progress=False)


def test_walkers_meet_the_same_tasks(digits: Any) -> None:
    found = evaluate(digits, ["line", "random", make_walker("line", refine=0)], inputs=range(30))
    assert list(found) == ["line", "random", "line 2"]
    for measures in found.values():
        assert set(MEASURES) - {"edit_input", "changed_columns"} < set(measures)  # of texts, and of tables
        assert measures["validity"].n == 30
        assert measures["step_bound_share"].value == 1.0
    assert found["line"]["validity"].value == 1.0
    assert found["line"]["queries"].value > found["line 2"]["queries"].value
    assert found["line"]["l2_input"].value < found["line 2"]["l2_input"].value
    assert found["line"]["training_queries"] == 2 * len(digits.reference.x)
    assert found["random"]["failed"]
    again = evaluate(digits, ["line", "random"], inputs=range(30))["line"]
    changing = {"cpu_ms", "alone_p50_ms", "alone_p95_ms", "break_even"}
    assert {k: v for k, v in again.items() if k not in changing} == {
        k: v for k, v in found["line"].items() if k not in changing
    }
    assert again["break_even"] == {"random": found["line"]["break_even"]["random"]}


def test_what_measuring_asks_is_told_apart(digits: Any) -> None:
    few = evaluate(digits, ["line"], inputs=range(6), closely=2, alone=3)["line"]
    none = evaluate(digits, ["line"], inputs=range(6), closely=0, alone=0, oracles=False)["line"]
    assert few["queries"] == none["queries"]
    assert few["analysis_queries"] > 0
    assert none["analysis_queries"] == 0
    assert few["completeness_gap"].n == few["lime_r2"].n == 2
    assert few["alone_p50_ms"].n == 3
    assert few["oracle"].n == few["im1"].n == 6
    assert none["oracle"].n == none["alone_p95_ms"].n == none["completeness_gap"].n == 0


def test_judges_are_kept_for_the_next_time(digits: Any, tmp_path: Path) -> None:
    judge._kept.clear()
    first = evaluate(digits, ["line"], inputs=range(4), closely=0, alone=0, cache=tmp_path)["line"]
    [file] = tmp_path.glob("judges-*.safetensors")
    written = file.stat().st_mtime_ns
    judge._kept.clear()
    again = evaluate(digits, ["line"], inputs=range(4), closely=0, alone=0, cache=tmp_path)["line"]
    assert again["im1"] == first["im1"]
    assert file.stat().st_mtime_ns == written
    judge._kept.clear()
    file.write_bytes(b"half a file")  # damaged: fitted again and mended
    assert evaluate(digits, ["line"], inputs=range(4), closely=0, alone=0, cache=tmp_path)["line"]["im1"] == first["im1"]
    assert file.stat().st_size > 1000


def test_a_rows_target_hangs_on_no_other_row(digits: Any) -> None:
    everyone = draw_targets(digits, range(540), 3)
    assert draw_targets(digits, [7, 400], 3) == [everyone[7], everyone[400]]
    assert draw_targets(digits, range(540), 4) != everyone
    source = digits.classifier.predict_proba(digits.held_out.x).argmax(1)
    assert not (source == source.new_tensor(everyone)).any()


def test_nearest_targets_are_nearer_than_random_ones(digits: Any) -> None:
    random, nearest = (
        evaluate(digits, ["line"], targets=rule, inputs=range(40))["line"]["l2_input"].value for rule in ("random", "nearest")
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
    shown = [name for name in MEASURES if name in found["random"] and found["random"][name].n]
    assert "l2_input" not in shown  # over the valid items, of which there are none
    assert table(found).row_count == len(shown) + 4


def test_of_a_goal_on_a_score_the_table_speaks_of_outcomes(score: Any) -> None:
    found = evaluate(score, ["line"], inputs=range(3), oracles=False, closely=1, alone=0)
    console = Console(width=80, file=io.StringIO(), highlight=False)
    console.print(table(found, score.goal))
    said = console.file.getvalue()  # type: ignore[attr-defined]
    assert "outcome switches" in said
    for words in ("class", "p >=", "p(", "COUT", "LIME"):
        assert words not in said
    assert not [line for line in said.splitlines() if line.rstrip().endswith(" -")]


def test_many_walkers_make_several_tables_with_every_interval(digits: Any) -> None:
    names = ["line", "random", "slerp", "matched"]
    found = evaluate(digits, names, inputs=range(6), max_steps=6, closely=0, alone=0, oracles=False)
    parts = tables(found)
    assert [len(part.columns) for part in parts] == [3, 3]  # the measure and two walkers each
    assert [str(column.header) for part in parts for column in part.columns[1:]] == names
    console = Console(width=80, file=io.StringIO(), highlight=False)
    for part in parts:
        console.print(part)
    said = console.file.getvalue()  # type: ignore[attr-defined]
    assert "…" not in said
    queries = found["line"]["queries"]
    assert f"{queries.value:.3f} [{queries.low:.3f}, {queries.high:.3f}]" in said


def test_the_script(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = tmp_path / "figures.json"
    asked = ["--env", "Manifold/Digits-v0", "--walker", "line", "random", "--inputs", "20", "--no-progress"]
    assert run_main(script.main, [*asked, "--out", str(file), "--log-folder", str(tmp_path)]) == 0
    said = capsys.readouterr().out
    assert "20 held-out inputs, random targets, stop at p >= 0.9" in said
    assert "random: not explained" in said
    assert "line made fewer queries in all than random" in said
    figures = json.loads(file.read_text())
    assert set(figures["walkers"]) == {"line", "random"}
    assert figures["walkers"]["line"]["queries"]["n"] == 20


@pytest.mark.parametrize(
    ("asked", "words"),
    [
        (["--walker", "lines"], "unknown walker 'lines'"),
        (["--inputs", "0"], "--inputs 0"),
        (["--out", "no/such/folder/x.json"], "there is no folder"),
        (["--walker", "policy"], "'policy' is a trained agent"),
    ],
)
def test_the_scripts_errors_are_one_line(asked: list[str], words: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert run_main(script.main, ["--env", "Manifold/Custom-v0", *asked]) == 2
    said = capsys.readouterr().err.strip()
    assert words in said
    assert "\n" not in said
