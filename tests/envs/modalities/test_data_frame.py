"""Data frames of other libraries than pandas: read, given back to the classifier as they are, and explained."""

from __future__ import annotations

import datetime

import numpy as np
import polars as pl
import pytest
from sklearn.compose import ColumnTransformer
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder, StandardScaler

from agents import Explainer
from envs import ManifoldError, make_world
from envs.modalities.data_frame import as_pandas, is_frame, read_frame

KINDS = {"polars": pl.DataFrame, "pyarrow": lambda columns: pytest.importorskip("pyarrow").table(columns)}


def people(n=150):
    rng = np.random.default_rng(0)
    columns = {
        "years": rng.integers(18, 80, n).tolist(),
        "city": rng.choice(["Bonn", "Rome", "Oslo"], n).tolist(),
        "income": rng.normal(50, 9, n).tolist(),
        "member": (rng.random(n) > 0.5).tolist(),
    }
    columns["city"][3] = None
    return columns


@pytest.mark.parametrize("kind", KINDS)
def test_cells_and_types_come_back(kind):
    given = KINDS[kind]({**people(), "small": np.arange(150, dtype=np.uint8)})
    cells, frame = read_frame(given)
    assert is_frame(given)
    assert frame.kinds == ["i", "O", "f", "b", "u"]
    again = frame.of(list(cells.T))
    assert type(again) is type(given)
    assert again.equals(given)
    cells[0, 0] = 18.5  # no whole number: the column becomes one of floats
    assert read_frame(frame.of(list(cells.T)))[1].kinds[0] == "f"


@pytest.mark.parametrize("kind", KINDS)
def test_the_classifier_receives_the_users_kind_of_frame(kind):
    columns, seen = people(), []

    def classifier(frame):
        seen.append((type(frame), [str(name) for name in frame.columns] if kind == "polars" else frame.column_names))
        table = as_pandas(frame)
        return 1 / (1 + np.exp(-(table["years"] - 45) / 5 - 2.0 * (table["city"] == "Rome")))

    world = make_world(
        data=KINDS[kind](columns), classifier=classifier, class_names=["no", "yes"], manifold="pca", progress=False
    )
    assert set(map(str, seen)) == {str((type(KINDS[kind](columns)), list(columns)))}
    assert world.round_trip is not None
    assert world.round_trip.largest == 0


def test_a_pipeline_fitted_to_polars_is_explained():
    frame = pl.DataFrame(people()).drop_nulls()
    truth = np.where(frame["years"].to_numpy() > 45, "old", "young")
    encoded = ColumnTransformer([("c", OneHotEncoder(), ["city"]), ("n", StandardScaler(), ["income", "years"])])
    model = make_pipeline(encoded, LogisticRegression()).fit(frame, truth)
    world = make_world(data=frame, classifier=model, manifold="pca", progress=False)
    explainer = Explainer(world, "line")
    paths = explainer.explain(frame[:5])
    assert [path.class_names[path.source] for path in paths] == model.predict(frame[:5]).tolist()
    assert all(path.success for path in paths)
    assert list(explainer.explain_to_frame(frame[:5]).columns[:4]) == frame.columns
    one = explainer.explain(frame.row(0, named=True))
    np.testing.assert_allclose(one.predictions, paths[0].predictions, atol=1e-6)


def test_numbers_of_a_polars_frame_keep_their_types():
    rng = np.random.default_rng(0)
    frame = pl.DataFrame({"a": rng.integers(0, 9, 80), "b": rng.normal(size=80).astype(np.float32), "c": rng.normal(size=80)})
    seen = []

    def classifier(given):
        seen.append(given.schema)
        return (given["a"] / 9).to_numpy()

    make_world(data=frame, classifier=classifier, class_names=["low", "high"], manifold="pca", progress=False)
    assert all(schema == frame.schema for schema in seen)


def test_dates_of_a_polars_frame_are_refused_with_the_column():
    frame = pl.DataFrame({"x": [1.0, 2.0], "day": [datetime.date(2024, 1, 1), datetime.date(2024, 1, 2)]})
    with pytest.raises(ManifoldError, match="'day' holds dates"):
        make_world(data=frame, classifier=lambda rows: rows, class_names=["a", "b"], progress=False)
