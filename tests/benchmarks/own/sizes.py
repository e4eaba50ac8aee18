"""Data of unusual size or kind: few and many classes, rows and columns, columns that say nothing, and other sources."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from tempfile import gettempdir
from typing import Any

import numpy as np

from tests.benchmarks.own.cases import Case, Cases, Entry, answers_of, fitted, of_function, split
from tests.benchmarks.own.numeric import forest, made


def _classes(count: int, seed: int) -> Case:
    """A forest for so many classes, with 40 rows each (at least 600 in all)."""
    rows, classes = made(seed, n_samples=max(600, 40 * count), n_features=20, n_informative=14, n_classes=count,
                         n_clusters_per_class=1, class_sep=2.0)  # fmt: skip
    return fitted(forest(seed), rows, classes, seed)


def _rows(count: int, seed: int) -> Case:
    """Boosting; a forest for few rows, which do not fill the leaves of boosting."""
    from sklearn.ensemble import HistGradientBoostingClassifier

    model = HistGradientBoostingClassifier(max_iter=30, random_state=seed) if count > 100 else forest(seed)
    return fitted(model, *made(seed, n_samples=count, n_features=12), seed)


def _columns(count: int, seed: int) -> Case:
    return fitted(forest(seed), *made(seed, n_samples=1500, n_features=count, n_informative=12), seed)


def _minority(seed: int, **settings: Any) -> Case:
    rows, classes = made(seed, n_samples=4000, n_features=8, n_informative=5, weights=[0.99], flip_y=0)
    return fitted(forest(seed), rows, classes, seed, **settings)


def _idle_columns(as_frame: bool, seed: int) -> Case:
    """Three constant columns and two copies of others; as a frame also constant and repeated texts, and whole numbers."""
    rows, classes = made(seed, n_samples=800, n_features=6, n_informative=4)
    same = np.full((len(rows), 1), 7.0)
    whole = np.concatenate([rows, same, 0 * same, -1e6 * same, rows[:, :2]], axis=1)
    if not as_frame:
        return fitted(forest(seed), whole, classes, seed)
    import pandas
    from sklearn.compose import make_column_transformer
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import OneHotEncoder

    frame = pandas.DataFrame(whole, columns=[f"c{j}" for j in range(whole.shape[1])])
    frame["kind"] = np.where(rows[:, 0] > 0, "high", "low")
    frame["copy"], frame["always"], frame["one"] = frame["kind"], "yes", 1
    encode = make_column_transformer((OneHotEncoder(), ["kind", "copy", "always"]), remainder="passthrough")
    return fitted(make_pipeline(encode, forest(seed)), frame, classes, seed)


def _people(seed: int) -> tuple[Any, np.ndarray]:
    """A frame with a number, a whole number and a category of pandas, and its classes."""
    import pandas

    rng = np.random.default_rng(seed)
    cities = pandas.Categorical(rng.choice(["Bonn", "Rome", "Oslo", "Lima"], 900))
    frame = pandas.DataFrame({"years": rng.integers(18, 80, 900), "city": cities, "income": rng.normal(50, 9, 900)})
    score = frame.years / 20 + frame.income / 15 + 1.5 * (frame.city == "Rome") + rng.normal(0, 0.3, 900)
    return frame, (score > score.median()).astype(int).to_numpy()


def _native_categories(package: str, kind: str, seed: int, **settings: Any) -> Case:
    import importlib

    return fitted(getattr(importlib.import_module(package), kind)(**settings), *_people(seed), seed)


def _onnx_file(seed: int) -> Case:
    """A forest as an ONNX file, by its name."""
    import onnxruntime
    from skl2onnx import to_onnx

    x, held_out, y, _ = split(*made(seed, n_samples=800, n_features=8), seed)
    model = forest(seed).fit(x.astype(np.float32), y)
    path = Path(gettempdir()) / f"own_sizes_{seed}.onnx"
    options = {id(model): {"zipmap": False}}
    path.write_bytes(to_onnx(model, x[:1].astype(np.float32), options=options, target_opset=17).SerializeToString())
    session = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
    return Case(
        {"data": x.astype(np.float32), "held_out": held_out.astype(np.float32), "classifier": str(path)},
        held_out.astype(np.float32), lambda rows: session.run(None, {"X": np.asarray(rows, dtype=np.float32)})[1],
    )  # fmt: skip


def _polars(seed: int) -> Case:
    """A frame of polars and a pipeline that was fitted to it."""
    import polars
    from sklearn.compose import make_column_transformer
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import OneHotEncoder, StandardScaler

    frame, classes = _people(seed)
    frame = frame.assign(city=frame.city.astype(str))
    x, held_out, y, _ = split(frame, classes, seed)
    x, held_out = (polars.DataFrame({name: part[name].tolist() for name in part}) for part in (x, held_out))
    encode = make_column_transformer((OneHotEncoder(), ["city"]), (StandardScaler(), ["years", "income"]))
    model = make_pipeline(encode, LogisticRegression()).fit(x, y)
    return Case({"data": x, "held_out": held_out, "classifier": model}, held_out, answers_of(model))


def _noisy(seed: int) -> Case:
    """A logistic function with noise on its logit, averaged over ten queries."""
    rows, classes = made(seed, n_samples=600, n_features=5)
    rng, weights = np.random.default_rng(seed), np.random.default_rng(seed + 1).normal(size=5)

    def noisy(given: np.ndarray) -> np.ndarray:
        return 1 / (1 + np.exp(-(given @ weights + 0.5 * rng.normal(size=len(given)))))

    case = of_function(noisy, rows, classes, seed, class_names=["no", "yes"], query={"repeat": 10})
    return case._replace(answers=of_function(lambda given: 1 / (1 + np.exp(-given @ weights)), rows, classes, seed).answers)


CASES: Cases = {
    **{f"{count} classes": Entry(partial(_classes, count)) for count in (2, 5, 20, 50, 100)},
    "1 % of one class": Entry(_minority),
    "1 % of one class, 8 latent dimensions": Entry(partial(_minority, latent_dim=8)),
    **{f"{count:,} rows": Entry(partial(_rows, count)) for count in (30, 1000, 10_000, 50_000, 200_000)},
    **{f"{count} columns": Entry(partial(_columns, count)) for count in (50, 200, 500)},
    "constant and duplicate columns": Entry(partial(_idle_columns, False)),
    "constant and duplicate columns, frame": Entry(partial(_idle_columns, True)),
    "categories of pandas, lightgbm": Entry(
        partial(_native_categories, "lightgbm", "LGBMClassifier", verbose=-1, n_jobs=1), None, "lightgbm"
    ),
    "categories of pandas, xgboost": Entry(
        partial(_native_categories, "xgboost", "XGBClassifier", enable_categorical=True, n_estimators=40, n_jobs=1),
        None, "xgboost",
    ),
    "an ONNX file": Entry(_onnx_file, None, "skl2onnx"),
    "a frame of polars": Entry(_polars, None, "polars"),
    "a noisy classifier": Entry(_noisy),
}  # fmt: skip
