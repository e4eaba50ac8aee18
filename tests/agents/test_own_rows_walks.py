"""Walks from the user's own rows: they begin at the row itself, and what is shown as changed is what changes the answer."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
from sklearn.compose import make_column_transformer
from sklearn.datasets import load_breast_cancer
from sklearn.ensemble import RandomForestClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder

from agents import replay
from agents.explain import explain
from agents.explanation.figures.table_cells import changed_cells, row_texts
from agents.explanation.inputs import read_file
from agents.trajectories.trajectory import Trajectory, TrajectoryError
from envs import World, make_world
from envs.errors import ManifoldError


def loans(n: int = 300) -> tuple[pd.DataFrame, np.ndarray]:
    """Made-up loans: a ten-digit number, categories with blanks, amounts of very different sizes."""
    random = np.random.default_rng(0)
    frame = pd.DataFrame(
        {
            "number": random.integers(1_000_000_000, 9_000_000_000, n),
            "amount": random.lognormal(8, 0.6, n).round(2),
            "purpose": random.choice([" car", " house", " other"], n),
            "months": random.integers(6, 60, n),
            "owner": random.random(n) > 0.4,
        }
    )
    risk = frame["amount"] / 4000 - frame["owner"] - (frame["purpose"] == " house")
    return frame, np.where(risk > risk.median(), "bad", "good")


@pytest.fixture(scope="module")
def world() -> World:
    frame, y = loans()
    encode = make_column_transformer((OneHotEncoder(handle_unknown="ignore"), ["purpose"]), remainder="passthrough")
    pipeline = make_pipeline(encode, RandomForestClassifier(30, random_state=0)).fit(frame, y)
    about = {"number": {"immutable": True}, "months": {"kind": "number", "only": "up"}}
    return make_world(data=frame, columns=about, classifier=pipeline, tau=0.5, latent_dim=4, fit={"epochs": 60})


def laid_on(world: World, path: Trajectory) -> pd.DataFrame:
    """The true row with the values of the last frame in the cells that are marked."""
    factual = path.factual(world)
    frames = path.frames(world)
    marked = changed_cells(world, frames[-1:], factual)[:, 0]
    units: Any = world.units
    own, last = units.as_frame(factual.cells), units.as_frame(units.exact(torch.from_numpy(frames[-1:]), factual))
    for column in own.columns[marked]:
        own[column] = last[column].to_numpy()
    return own


def test_walks_begin_at_the_row_and_their_changes_flip_it(world: World) -> None:
    frame, _ = loans()
    pipeline = world.classifier.function.__self__  # type: ignore[attr-defined]
    paths = explain(world, frame.iloc[:40], walker="line")
    assert sum(path.success for path in paths) >= 36
    for path, (_, row) in zip(paths, frame.iloc[:40].iterrows(), strict=True):
        factual, frames = path.factual(world), path.frames(world)
        assert not changed_cells(world, frames, factual)[:, 0].any()
        own = world.units.as_frame(factual.cells).iloc[0]  # type: ignore[attr-defined]
        assert own.tolist() == row.tolist()
        true = pipeline.predict_proba(row.to_frame().T.astype(frame.dtypes))[0]
        np.testing.assert_allclose(path.predictions[0], true, atol=1e-6)
        changed = laid_on(world, path)
        assert changed["number"].tolist() == [row["number"]]
        assert changed["months"].iloc[0] >= row["months"]
        np.testing.assert_allclose(pipeline.predict_proba(changed)[0], path.predictions[-1], atol=1e-5)
        assert path.distances is not None
        assert path.distances[0] < 1e-6
        assert not path.reconstructs


def test_one_query_is_saved_where_frame_0_is_the_input(world: World) -> None:
    world.reference.end_predictions  # noqa: B018  # queried once, on first use
    asked = world.classifier.queries
    path = explain(world, loans()[0].iloc[3], walker="slerp", max_steps=1)
    assert world.classifier.queries - asked <= path.queries
    assert path.queries <= 1 + 1 + 2  # the input, one step, and a finer last one


def test_the_same_walk_from_a_frame_a_series_a_dictionary_and_a_file(world: World, tmp_path: Path) -> None:
    frame, _ = loans()
    whole = explain(world, frame.iloc[:2], walker="line")[0]
    file = tmp_path / "rows.csv"
    frame.iloc[:2].to_csv(file, index=False, sep=";", encoding="utf-8-sig")
    others = [
        frame.iloc[:2][frame.columns[::-1]],
        [row.to_dict() for _, row in frame.iloc[:2].iterrows()],
        read_file(world, file),
    ]
    for given in others:
        found = explain(world, given, walker="line")[0]
        assert dataclasses.replace(found, row=whole.row) == whole  # only the frames have an index
    one = explain(world, frame.iloc[0], walker="line")
    np.testing.assert_allclose(one.z, whole.z, atol=1e-5)
    assert np.array_equal(one.source_cells, whole.source_cells)
    with pytest.raises(ManifoldError, match=r"lack the columns \['owner'\] and have the columns \['owned'\]"):
        explain(world, frame.iloc[0].rename({"owner": "owned"}), walker="line")


def test_a_path_keeps_the_cells_and_reproduces_from_its_file(world: World, tmp_path: Path) -> None:
    frame, _ = loans()
    path = explain(world, frame.iloc[5], walker="line")
    again = Trajectory.load(path.save(tmp_path / "path"))
    assert again == path
    assert again.source_cells is not None
    assert again.source_cells.dtype == np.float64
    assert again.source_cells[0] == frame["number"].iloc[5]
    np.testing.assert_array_equal(again.frames(world), path.frames(world))
    assert replay.compare(again, world).reproduced
    names, texts = row_texts(world, [path.source_input, *path.frames(world)], path.factual(world))
    assert texts[names.index("number"), 0] == str(frame["number"].iloc[5])
    from dataclasses import replace

    with pytest.raises(TrajectoryError, match="frames did not start at the input"):
        replace(path, source_cells=None).frames(world)


def test_rows_of_numbers_are_not_cut_to_float32() -> None:
    data = load_breast_cancer(as_frame=True)
    rows = data.data.assign(day=20240101.0 + np.arange(len(data.data)))
    forest = RandomForestClassifier(20, random_state=0).fit(rows, data.target)
    world = make_world(data=rows, classifier=forest, tau=0.5, manifold="pca", latent_dim=4)
    paths = explain(world, rows.iloc[:30], walker="line")
    assert [path.source_cells[-1] for path in paths] == rows["day"].iloc[:30].tolist()
    for path in paths:
        if path.success:
            np.testing.assert_allclose(forest.predict_proba(laid_on(world, path))[0], path.predictions[-1], atol=1e-5)
    assert sum(path.success for path in paths) >= 27
