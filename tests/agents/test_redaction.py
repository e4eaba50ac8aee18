"""Hidden columns: no value of theirs is in a file, a figure's cells, a report or a data frame."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

import envs
from agents import Trajectory, replay
from agents import explain as script
from agents import report as report_script
from agents.console.cli import run_main
from agents.errors import UserError
from agents.explain import explain
from agents.explanation.report.card import Card
from agents.explanation.report.page import render_report
from agents.redaction import redacted
from envs.errors import ManifoldError

TOWNS = ("Aarhus", "Bergen", "Cork")
INCOME = 98_765  # of the explained row


@pytest.fixture(scope="module")
def csv(tmp_path_factory: pytest.TempPathFactory) -> Path:
    random = np.random.default_rng(0)
    n = 90
    frame = pd.DataFrame({"age": random.integers(18, 80, n), "town": random.choice(TOWNS, n)})
    frame["income"] = random.integers(10_000, 99_999, n)
    frame["rich"] = np.where(frame["age"] + random.normal(0, 5, n) > 50, "yes", "no")
    frame.loc[3, "income"] = INCOME
    file = tmp_path_factory.mktemp("data") / "people.csv"
    frame.to_csv(file, index=False)
    return file


@pytest.fixture(scope="module")
def world(csv: Path) -> envs.World:
    return envs.make_world(data=str(csv), target_column="rich", manifold="pca", latent_dim=3, progress=False, free="age")


@pytest.fixture
def path(world: envs.World) -> Trajectory:
    return redacted([explain(world, 3, split="own", walker="line")], world, ["income", "town"])[0]


def test_a_hidden_column_is_not_said_to_be_unchanged(world: envs.World, path: Trajectory) -> None:
    whole, hidden = (Card(1, each, world).face.context for each in (explain(world, 3, split="own", walker="line"), path))
    assert {"income", "town"} == set(hidden["hidden"])
    assert not {"income", "town"} & {name for name, _ in hidden["kept"]}
    assert {"income", "town"} <= {name for name, _ in whole["kept"]} | {row["name"] for row in whole["rows"]}
    page = render_report([path], world)
    assert "Hidden, changed or not: " in page
    assert "3 others unchanged" not in page


def test_no_figure_of_words_holds_a_hidden_value(world: envs.World, path: Trajectory) -> None:
    whole = explain(world, 3, split="own", walker="line")
    told = [path._repr_html_(), render_report([path], world), str(path.to_pandas(world).to_dict())]
    face = Card(1, path, world).face
    told += [json.dumps([face.context, face.frames, face.brief])]
    told += [path.headline, path.to_json()]
    for text in told:
        assert str(INCOME) not in text.replace(",", "")
    for text in told[2:4]:
        assert not any(town in text for town in TOWNS)
        assert "hidden" in text
    assert str(INCOME) in render_report([whole], world).replace(",", ""), "it is there where it is not hidden"


def test_a_saved_path_lacks_the_values_and_shows_the_others(world: envs.World, path: Trajectory, tmp_path: Path) -> None:
    read = Trajectory.load(path.save(tmp_path / "one.npz"))
    assert read.source_cells is not None
    names = list(world.units.columns)
    assert np.isnan(read.source_cells[[names.index("income"), names.index("town")]]).all()
    assert (read.source_input[[k for _, *places in read.hidden.values() for k in places]] == 0).all()  # type: ignore[union-attr]
    assert read.to_pandas(world)["age"].tolist() == path.to_pandas(world)["age"].tolist()
    assert set(read.to_pandas(world)["town"]) == {"hidden"}
    assert read == Trajectory.load(read.save(tmp_path / "two.npz"))
    assert "hidden" in render_report([read], world)
    with pytest.raises(UserError, match="the values of income, town are hidden in this path"):
        replay.compare(read, world)


def test_the_commands_hide_columns(csv: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    flags = [
        "--data",
        str(csv),
        "--target-column",
        "rich",
        "--manifold",
        "pca",
        "--env-kwargs",
        "latent_dim:3",
        "--index",
        "3",
    ]
    out = tmp_path / "paths"
    made = [*flags, "--walker", "line", "--out", str(out), "--format", "npz", "json", "--redact", "income"]
    assert script.main(made) == 0
    shown = capsys.readouterr().out
    assert str(INCOME) not in shown.replace(",", "")
    assert all(str(INCOME) not in file.read_text() for file in out.glob("*.json"))
    saved = next(out.glob("*.npz"))
    assert run_main(replay.main, [str(saved)]) == 2, "shown, but not walked again"
    assert "the values of income are hidden" in capsys.readouterr().err
    assert report_script.main([str(saved), "--out", str(tmp_path / "r.html"), "--redact", "town"]) == 0
    page = (tmp_path / "r.html").read_text()
    assert not any(town in page for town in TOWNS)
    with pytest.raises(ManifoldError, match="unknown column to hide 'incom': did you mean 'income'"):
        script.main([*flags, "--redact", "incom"])
    with pytest.raises(UserError, match="leave out it or --redact"):
        script.main([*flags, "--lime", "latent", "--out", str(out), "--redact", "income"])


def test_pictures_have_no_columns() -> None:
    world = envs.make_world(data="digits", progress=False)
    with pytest.raises(UserError, match="these data have no columns"):
        redacted([explain(world, 0, walker="line")], world, ["age"])


def test_damaged_places_are_refused(path: Trajectory, tmp_path: Path) -> None:
    from agents.trajectories.file import TrajectoryError, write_parts

    arrays, text = path._parts()
    broken: dict[str, Any] = json.loads(text)
    broken["hidden"] = {"income": [0, "x", 1]}
    with pytest.raises(TrajectoryError, match="hidden"):
        Trajectory.load(write_parts(tmp_path / "bad.npz", arrays, json.dumps(broken)))


def test_a_report_holds_no_row_but_the_explained_ones(csv: Path, world: envs.World) -> None:
    path = explain(world, 3, split="own", walker="line", sparse=False)
    path.contributions()
    page = render_report([path], world).replace(",", "")
    shown = path.to_pandas(world)["income"]
    assert shown.nunique() > 1
    others = pd.read_csv(csv)["income"].drop(index=3)
    others = others[~others.isin(shown)]  # a frame may have the income of another row by chance
    assert not [value for value in others if f">{value}<" in page or f'"{value}"' in page]


def test_columns_that_tell_a_hidden_value_are_hidden_with_it(tmp_path: Path) -> None:
    random = np.random.default_rng(0)
    n = 200
    frame = pd.DataFrame({"score": random.normal(0, 1, n), "school": random.choice(["first", "second", "third"], n)})
    frame["years"] = frame["school"].map({"first": 9, "second": 12, "third": 16})
    which = random.random(n)
    frame["gain"] = np.where(which < 0.3, random.integers(1000, 5000, n), 0)
    frame["loss"] = np.where(which > 0.7, random.integers(1000, 5000, n), 0)

    def classifier(rows: pd.DataFrame) -> np.ndarray:
        high = 1 / (1 + np.exp(-rows["score"].to_numpy(float) - rows["years"].to_numpy(float) / 4 + 3))
        return np.stack([1 - high, high], axis=1)

    world = envs.make_world(
        data=frame, classifier=classifier, class_names=["low", "high"], latent_dim=3, fit={"epochs": 5}, progress=False
    )
    assert world.units.group_of.tolist() == [0, 1, 1, 3, 3]  # type: ignore[attr-defined]
    whole = explain(world, range(10), walker="line", sparse=False)
    for column, others in (("years", ["score", "gain", "loss"]), ("loss", ["score", "school", "years"])):
        for path, hidden in zip(whole, redacted(whole, world, [column]), strict=True):
            read = Trajectory.load(hidden.save(tmp_path / f"{column}-{path.index}.npz")).to_pandas(world)
            assert read[others].equals(path.to_pandas(world)[others]), "the other columns are as they were"
            assert (read[[name for name in frame.columns if name not in others]] == "hidden").all(axis=None)


def test_the_terminal_does_not_list_a_hidden_column_as_unchanged() -> None:
    from agents.explanation.figures.table import row_table

    world = envs.make_world(progress=False)
    path = explain(world, 0, walker="line")
    column = path.contributions().parts[0].name
    caption = str(row_table(redacted([path], world, [column])[0], world).caption)
    assert column not in caption.split("Hidden:")[0]
    assert column in caption.split("Hidden:")[1]
