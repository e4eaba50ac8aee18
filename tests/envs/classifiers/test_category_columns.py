"""Classifiers with native categories receive columns of pandas' category type, with all of their categories."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from sklearn.ensemble import HistGradientBoostingClassifier

from agents.explain import explain
from envs import make_world

MODELS = {
    "lightgbm": lambda lightgbm: lightgbm.LGBMClassifier(n_estimators=20, verbose=-1, n_jobs=1),
    "xgboost": lambda xgboost: xgboost.XGBClassifier(n_estimators=20, enable_categorical=True, n_jobs=1),
    "catboost": lambda catboost: catboost.CatBoostClassifier(
        iterations=20, verbose=0, cat_features=["city"], allow_writing_files=False, thread_count=1
    ),
    "sklearn": lambda _: HistGradientBoostingClassifier(categorical_features="from_dtype", max_iter=20),
}


@pytest.mark.parametrize("package", MODELS)
def test_walks_of_a_frame_with_categories(package):
    make = MODELS[package]
    library = pytest.importorskip(package)
    rng = np.random.default_rng(0)
    cities = pd.Categorical(rng.choice(["Bonn", "Rome", "Oslo"], 300), categories=["Rome", "Oslo", "Bonn", "Lima"])
    frame = pd.DataFrame({"years": rng.integers(18, 80, 300), "city": cities, "income": rng.normal(50, 9, 300)})
    if package != "catboost":  # it refuses missing categories
        frame.loc[:9, "city"] = np.nan
    truth = ((frame.years + 20 * (frame.city == "Rome")) > 50).astype(int)
    model = make(library).fit(frame, truth)
    world = make_world(data=frame, classifier=model, manifold="pca", progress=False)
    assert world.round_trip is not None
    assert world.round_trip.largest == 0
    paths = explain(world, frame.iloc[:20], walker="line", skip_present=True)
    ends = [path for path in paths if path.success]
    assert ends
    given = world.units.as_frame(world.held_out.cells[:20])
    assert given["city"].dtype == frame["city"].dtype
