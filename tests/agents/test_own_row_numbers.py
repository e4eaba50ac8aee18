"""Explanations take and show the row numbers of the user's own file or data frame."""

from __future__ import annotations

import io
import json
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from sklearn.linear_model import LogisticRegression

import envs
from agents import Explainer, Trajectory
from agents import evaluate as evaluate_script
from agents import explain as script
from agents.explain import explain
from envs.errors import ManifoldError


@pytest.fixture(scope="module")
def csv(tmp_path_factory: pytest.TempPathFactory) -> Path:
    random = np.random.default_rng(0)
    n = 80
    frame = pd.DataFrame({"age": random.integers(18, 80, n), "work": random.choice(["a", "b"], n)})
    frame["rich"] = np.where(frame["age"] + random.normal(0, 5, n) > 50, "yes", "no")
    file = tmp_path_factory.mktemp("data") / "people.csv"
    frame.to_csv(file, index=False)
    return file


@pytest.fixture(scope="module")
def world(csv: Path) -> envs.World:
    return envs.make_world(data=str(csv), target_column="rich", manifold="pca", latent_dim=2, progress=False)


@pytest.mark.parametrize("kind", [list, np.array, pd.Index, pd.Series, range])
def test_rows_of_the_file_in_any_container(csv: Path, world: envs.World, kind: Any) -> None:
    rows = range(3, 6) if kind is range else kind([3, 0, 79])
    paths = explain(world, rows=rows, split="own", walker="line")
    raw = pd.read_csv(csv)
    assert [path.row for path in paths] == [int(row) for row in rows]
    for path in paths:
        assert path.to_pandas().iloc[0]["age"] == raw["age"].iloc[path.row]
    assert explain(world, 3, split="own", walker="line").row == 3


def test_the_labels_of_a_frame_are_kept_though_rows_are_left_out(world: envs.World) -> None:
    frame = pd.DataFrame({"age": [30, 60, 70], "work": ["a", "new", "b"]}, index=["ann", "bob", "eve"])
    with pytest.warns(UserWarning, match="left out"):
        paths = explain(world, frame, walker="line")
    assert [path.row for path in paths] == ["ann", "eve"]
    found = Explainer(world, walker="line").paths_to_pandas(paths)
    assert list(found.index) == ["ann", "eve"]
    series = frame.loc["eve"]
    assert explain(world, series, walker="line").row == "eve"


def test_errors_name_rows_by_their_labels(world: envs.World) -> None:
    frame = pd.DataFrame({"age": [20, 75], "work": ["a", "b"]}, index=["ann", "bob"])
    with pytest.raises(ManifoldError, match="'yes' is what the classifier already says of row bob"):
        explain(world, frame, target="yes", walker="line")


def test_a_path_keeps_its_row_in_its_file_and_its_name(world: envs.World, tmp_path: Path) -> None:
    path = explain(world, rows=[3], split="own", walker="line")[0]
    assert path.name.startswith("line-0003-")
    assert Trajectory.load(path.save(tmp_path / "one.npz")).row == 3
    assert json.loads(path.to_json())["row"] == 3


def test_the_command_counts_in_the_file(csv: Path, capsys: pytest.CaptureFixture[str]) -> None:
    flags = ["--data", str(csv), "--target-column", "rich", "--manifold", "pca", "--walker", "line", "--no-progress"]
    flags += ["--free", "age"]
    assert script.main([*flags, "--index", "3"]) == 0
    said = capsys.readouterr().out
    assert "[row 3 (line 5 of the file)]" in said
    assert str(pd.read_csv(csv)["age"].iloc[3]) in said
    assert script.main([*flags, "--index", "3", "--split", "held_out", "--json"]) == 0
    told = json.loads(capsys.readouterr().out)["paths"][0]
    assert told["index"] == 3
    assert told["row"] != 3
    with pytest.raises(ManifoldError, match="row 80 is not in the file: it has the rows 0 to 79"):
        script.main([*flags, "--index", "80"])


def test_rows_of_an_input_file_are_numbered_though_rows_are_left_out(
    csv: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    pd.DataFrame({"age": [30, 60, 40], "work": ["a", "new", "b"]}).to_csv(tmp_path / "later.csv", index=False)
    flags = ["--data", str(csv), "--target-column", "rich", "--manifold", "pca", "--walker", "line", "--json"]
    with pytest.warns(UserWarning, match="line 3"):
        assert script.main([*flags, "--input", str(tmp_path / "later.csv")]) == 0
    assert [path["row"] for path in json.loads(capsys.readouterr().out)["paths"]] == [0, 2]


def test_rows_without_labels_say_so() -> None:
    with pytest.raises(ManifoldError, match=r"split 'own' is for rows of a \.csv file or a data frame"):
        explain(envs.make_world(data="iris", progress=False), 3, split="own", walker="line")


def test_a_first_answer_says_what_was_fitted_and_what_a_training_costs(csv: Path, capsys: pytest.CaptureFixture[str]) -> None:
    flags = ["--data", str(csv), "--target-column", "rich", "--walker", "line", "--index", "3", "--free", "age", "--no-sparse"]
    assert script.main(flags) == 0
    said = capsys.readouterr().out
    assert "latent space: TableVAE" in said
    assert "classifier: none was given, so a small network was fitted: right for" in said
    assert "a training would take about" in said
    assert f"train --data {csv} --free age --target-column rich" in said
    tables = said.split("queries: ")[1].split("A path changes")[0].splitlines()[1:]  # sentences are left to the terminal
    assert len(tables) > 4
    assert max(map(len, tables)) <= 80


def test_evaluate_takes_the_same_flags_and_names_the_rows_of_the_file(
    csv: Path, world: envs.World, capsys: pytest.CaptureFixture[str]
) -> None:
    flags = ["--data", str(csv), "--target-column", "rich", "--manifold", "pca", "--env-kwargs", "latent_dim:2"]
    quick = ["--walker", "random", "--max-steps", "1", "--no-oracles", "--closely", "0", "--alone", "0", "--no-progress"]
    assert evaluate_script.main([*flags, *quick, "--json"]) == 0
    told = json.loads(capsys.readouterr().out)["walkers"]["random"]
    assert world.row_labels is not None
    assert told["failed_rows"] == [world.row_labels.held_out[row] for row in told["failed"]] != []
    assert evaluate_script.main([*flags, *quick]) == 0
    assert f"random: not explained: rows {told['failed_rows'][0]}" in capsys.readouterr().out


def test_titles_of_short_values_are_whole_at_80_columns() -> None:
    from rich.console import Console

    from agents.explanation.figures.table import row_table

    random = np.random.default_rng(0)
    frame = pd.DataFrame(random.integers(0, 9, (120, 3)), columns=["a", "b", "c"])
    model = LogisticRegression().fit(frame, frame.sum(axis=1) > 12)
    path = explain(envs.make_world(data=frame, classifier=model, manifold="pca", latent_dim=2), rows=[0], walker="line")[0]
    console = Console(width=80, record=True, file=io.StringIO())
    console.print(row_table(path, path.world, 80))
    said = console.export_text()
    assert "input" in said
    assert f"frame {path.steps}" in said
    assert "…" not in said
    assert max(map(len, said.splitlines())) <= 80
