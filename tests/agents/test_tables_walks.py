"""A CSV from end to end: trained on, explained, replayed and reported, with what is held held on every frame."""

from __future__ import annotations

import io
import re
from pathlib import Path

import numpy as np
import pytest
import torch

import envs
from agents import explain as explain_script
from agents import replay, report, train
from agents.console.cli import UserError
from agents.explain import explain
from agents.explanation.figures.table import row_table
from agents.explanation.output import step_table
from agents.runs.run import load_run
from agents.runs.world_record import build_world
from agents.trajectories.trajectory import Trajectory
from agents.walkers.planning.surrogate import QueriedRows, Surrogate
from envs.core.world import World
from envs.datasets import TableUnits
from envs.errors import ManifoldError

COLUMNS = "columns:\n  sex: {immutable: true}\n  age: {kind: number, only: up}\n"


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """People whose class hangs on age, hours and work; and a description of two columns."""
    place, random = tmp_path_factory.mktemp("a table"), np.random.default_rng(0)
    lines = ["age,hours,work,sex,class"]
    for _ in range(200):
        age, hours, work = random.integers(18, 80), random.integers(10, 60), random.choice(["clerk", "farmer", "?"])
        rich = age / 80 + hours / 60 + (work == "clerk") > 1.5
        lines.append(f"{age},{hours},{work},{random.choice(['f', 'm'])},{'rich' if rich else 'poor'}")
    (place / "people.csv").write_text("\n".join(lines) + "\n")
    (place / "columns.yml").write_text(COLUMNS)
    return place


@pytest.fixture(scope="module")
def world(folder: Path) -> World:
    return envs.make_world(
        data=str(folder / "people.csv"), columns=str(folder / "columns.yml"), target_column="class", manifold="pca",
        latent_dim=4,
    )  # fmt: skip


@pytest.mark.parametrize("walker", ["line", "spheres", "greedy", "random", "gradient", "pullback_gradient"])
def test_no_walker_changes_what_is_held(world: World, walker: str) -> None:
    units = world.units
    assert isinstance(units, TableUnits)
    for path in explain(world, list(range(20)), walker=walker, max_steps=30):
        rows = units.rows(torch.from_numpy(np.concatenate([path.source_input[None], path.frames(world)])))
        assert len(set(rows[:, 3])) == 1
        assert (rows[:, 0] >= rows[0, 0]).all()
        assert path.predictions is not None
        again = world.classifier.predict_proba(torch.from_numpy(path.frames(world)))
        np.testing.assert_allclose(again.numpy(), path.predictions, atol=1e-4)
        assert replay.compare(path, world).reproduced


def test_trained_from_the_command_line_explained_replayed_and_reported(
    folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(folder)
    asked = ["--data", "people.csv", "--target-column", "class", "--env-kwargs", "manifold:pca", "latent_dim:4"]
    runs = ["-f", str(tmp_path)]
    train.main([*asked, *runs, "-n", "256", "--n-envs", "8", "--hyperparams", "n_steps:16", "--eval-episodes", "0",
                "--no-pictures"])  # fmt: skip
    told = capsys.readouterr().err
    assert "the columns were guessed" in told
    assert "work: {kind: category, categories: [clerk, farmer]}" in told
    (folder / "guess.yml").write_text(told[told.index("target:") :])
    train.main([*asked, *runs, "--columns", "guess.yml", "-n", "256", "--n-envs", "8", "--hyperparams", "n_steps:16",
                "--eval-episodes", "0", "--no-pictures"])  # fmt: skip
    assert "guessed" not in capsys.readouterr().err
    run = load_run("latest", root=tmp_path)
    assert run.folder.config["world"]["config"]["data"] == "people.csv"
    assert run.folder.config["world"]["config"]["columns"] == "guess.yml"
    assert explain_script.main(["latest", *runs, "--index", "3", "--walker", "line"]) == 0
    shown = capsys.readouterr().out
    assert "frame 0" in shown
    assert "As in the input:" in shown
    assert replay.main(["latest", *runs]) == 0
    assert report.main(["latest", *runs]) == 0
    page = (run.folder.root / "report.html").read_text()
    assert '<th scope="row">work</th>' in page
    capsys.readouterr()


def test_rows_of_a_csv_are_explained(world: World, folder: Path, tmp_path: Path) -> None:
    from agents.explanation.inputs import read_file

    (tmp_path / "two.csv").write_text("work,age,sex,hours,note\nclerk,30,f,20,a\n?,50,m,15,b\n")
    paths = explain(world, read_file(world, tmp_path / "two.csv"), walker="line")
    assert [world.render(p.source_input)["age"] for p in paths] == [30, 50]
    assert world.render(paths[1].source_input)["work"] == "missing"
    (tmp_path / "bad.csv").write_text("work,age,sex,hours\nbaker,30,f,20\n")
    with pytest.raises(ManifoldError, match=r"bad.csv, line 2, column 'work': 'baker' is none of its categories"):
        read_file(world, tmp_path / "bad.csv")
    (tmp_path / "less.csv").write_text("work,age\nclerk,30\n")
    with pytest.raises(ManifoldError, match=r"lacks the columns \['hours', 'sex'\]"):
        read_file(world, tmp_path / "less.csv")


def test_one_row_as_a_dictionary_or_a_list_is_one_path(world: World) -> None:
    row = {"age": 30, "hours": 20, "work": "farmer", "sex": "f"}
    path = explain(world, row, walker="line")
    assert isinstance(path, Trajectory)
    assert explain(world, list(row.values()), walker="line") == path


def test_the_table_of_rows_marks_what_changed_and_names_what_stayed(world: World) -> None:
    from rich.console import Console

    path = max(explain(world, list(range(10)), walker="line"), key=lambda p: p.steps)
    console = Console(width=200, record=True, file=io.StringIO())
    console.print(row_table(path, world, 200))
    text = console.export_text()
    first, last = (world.render(path.frames(world)[t]) for t in (0, -1))
    for name in first:
        line = next((line for line in text.splitlines() if re.match(rf"{name}\s", line)), None)
        if first[name] != last[name] and isinstance(first[name], str):
            assert line is not None
            assert line.rstrip().endswith(f"• {last[name]}")
    assert re.search(r"As in the input:[^.]*sex", text)
    narrow = row_table(path, world, 40)
    assert len(narrow.columns) < len(row_table(path, world, 200).columns)


def test_a_planned_last_step_stands_in_the_step_table_and_survives_the_disk(world: World, tmp_path: Path) -> None:
    from dataclasses import replace

    path = replace(max(explain(world, list(range(10)), walker="line"), key=lambda p: p.steps), planned=True)
    again = Trajectory.load(path.save(tmp_path / "p"))
    assert again.planned
    assert str(list(step_table(again).columns[0].cells)[-1]) == f"{path.steps} (planned)"


def test_the_stand_in_learns_on_frames_that_hold_their_input(world: World) -> None:
    asked = QueriedRows(every=1)
    z, factual = world.reference.z[:50].clone(), world.reference.factual.chosen(torch.arange(50, 100))
    asked.see(z, world.predictions(world.decode(z, factual), factual), factual)
    again = QueriedRows(every=1)
    again.load_state_dict(asked.state_dict())
    rows = again.rows()
    assert rows is not None
    assert rows[2] is not None
    assert torch.equal(rows[2].x, factual.x)
    assert torch.equal(rows[2].base, factual.base)
    Surrogate.fit(world, again)


def test_a_path_through_a_table_that_is_gone_says_so(world: World, folder: Path, tmp_path: Path) -> None:
    path = explain(world, 0, walker="line")
    environment = {**path.environment, "config": {**path.environment["config"], "data": str(tmp_path / "gone.csv")}}
    with pytest.raises((ManifoldError, UserError), match="no data file"):
        build_world(environment)
