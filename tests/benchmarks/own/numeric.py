"""Tables of numbers: classifiers of every kind, labels of every kind, and shapes of data that are hard."""

from __future__ import annotations

import importlib
from typing import Any

import numpy as np

from tests.benchmarks.own.cases import Case, Cases, Entry, fitted, of_function, split


def _table(name: str) -> tuple[Any, np.ndarray, np.ndarray]:
    """Frame, classes and class names of a data set of scikit-learn."""
    from sklearn import datasets

    found = getattr(datasets, f"load_{name}")(as_frame=True)
    return found.data, found.target.to_numpy(), np.asarray(found.target_names)


def _array(name: str) -> tuple[np.ndarray, np.ndarray]:
    frame, classes, _ = _table(name)
    return frame.to_numpy(), classes


def forest(seed: int, **settings: Any) -> Any:
    from sklearn.ensemble import RandomForestClassifier

    return RandomForestClassifier(50, random_state=seed, **settings)


def _logistic() -> Any:
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    return make_pipeline(StandardScaler(), LogisticRegression(max_iter=2000))


def _svc(**settings: Any) -> Any:
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler
    from sklearn.svm import SVC

    return make_pipeline(StandardScaler(), SVC(**settings))


def _calibrated(seed: int) -> Any:
    """A support vector classifier with probabilities."""
    from sklearn.calibration import CalibratedClassifierCV

    return CalibratedClassifierCV(_svc(random_state=seed), ensemble=False)


def _boosting(seed: int) -> Any:
    from sklearn.ensemble import HistGradientBoostingClassifier

    return HistGradientBoostingClassifier(random_state=seed)


def _neighbours() -> Any:
    from sklearn.neighbors import KNeighborsClassifier
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    return make_pipeline(StandardScaler(), KNeighborsClassifier(7))


def _foreign(package: str, kind: str, **settings: Any) -> Any:
    return getattr(importlib.import_module(package), kind)(**settings)


def _of_foreign(package: str, kind: str, **settings: Any) -> Entry:
    """Breast cancer with an estimator of another package, skipped without it."""
    return Entry(lambda seed: fitted(_foreign(package, kind, **settings), *_array("breast_cancer"), seed), None, package)


def made(seed: int, **settings: Any) -> tuple[np.ndarray, np.ndarray]:
    """Rows and classes of scikit-learn's `make_classification`."""
    from sklearn.datasets import make_classification

    x, y = make_classification(random_state=seed, **settings)
    return x, y


def _named_classes(seed: int) -> Case:
    frame, classes, names = _table("wine")
    return fitted(forest(seed), frame, names[classes], seed)


def _bool_classes(seed: int) -> Case:
    frame, classes, _ = _table("iris")
    return fitted(_logistic(), frame, classes == 1, seed)


def _float_classes(seed: int) -> Case:
    rows, classes = _array("iris")
    return fitted(forest(seed), rows, classes.astype(float), seed)


def _other_order(seed: int) -> Case:
    """The frame's columns are in another order than those that the forest was fitted to."""
    frame, classes, _ = _table("breast_cancer")
    x, held_out, y, _ = split(frame, classes, seed)
    order = list(np.random.default_rng(seed).permutation(list(frame.columns)))
    model = forest(seed).fit(x[order], y)
    return Case(
        {"data": x, "held_out": held_out, "classifier": model}, held_out, lambda rows: model.predict_proba(rows[order])
    )


def _log_normal(seed: int) -> Case:
    rows, classes = made(seed, n_samples=1500, n_features=8, n_informative=6, n_redundant=0)
    return fitted(forest(seed), np.exp(1.5 * rows), classes, seed)


def _float32(seed: int) -> Case:
    rows, classes = _array("breast_cancer")
    return fitted(forest(seed), rows.astype(np.float32), classes, seed)


def _whole_numbers(seed: int) -> Case:
    rows, classes = made(seed, n_samples=1500, n_features=10, n_informative=6)
    return fitted(forest(seed), np.round(rows * 10).astype(np.int64), classes, seed)


def _rounded(seed: int) -> Case:
    """Probabilities of three digits: rows sum to 0.999 or 1.001."""
    rows, classes = _array("wine")
    model = forest(seed).fit(rows, classes)
    return of_function(lambda given: np.round(model.predict_proba(given), 3), rows, classes, seed, class_names=["a", "b", "c"])


def _one_column(seed: int) -> Case:
    rows, classes = _array("breast_cancer")
    model = _logistic().fit(rows, classes)
    return of_function(lambda given: model.predict_proba(given)[:, 1:], rows, classes, seed, class_names=["bad", "good"])


class KerasLike:
    """A model whose `predict` returns probabilities, and which has no `classes_`."""

    def __init__(self, model: Any) -> None:
        self.model = model

    def predict(self, rows: Any) -> np.ndarray:
        """Probabilities (B, K)."""
        return np.asarray(self.model.predict_proba(rows), dtype=np.float32)


def _keras_like(seed: int) -> Case:
    rows, classes = _array("wine")
    x, held_out, y, _ = split(rows, classes, seed)
    model = KerasLike(_logistic().fit(x, y))
    return Case(
        {"data": x, "held_out": held_out, "classifier": model, "class_names": ["a", "b", "c"]}, held_out, model.predict
    )


def _onnx(seed: int) -> Case:
    """A forest as an ONNX session, in a function."""
    import onnxruntime
    from skl2onnx import to_onnx

    rows, classes = _array("breast_cancer")
    model = _logistic().fit(rows, classes)
    graph = to_onnx(model, rows[:1].astype(np.float32), options={id(model): {"zipmap": False}})
    session = onnxruntime.InferenceSession(graph.SerializeToString(), providers=["CPUExecutionProvider"])

    def asked(given: Any) -> np.ndarray:
        return np.asarray(session.run(None, {"X": np.asarray(given, dtype=np.float32)})[1])

    return of_function(asked, rows, classes, seed, class_names=["bad", "good"])


NO_FILES = {"allow_writing_files": False}

CASES: Cases = {
    "breast cancer, forest": Entry(lambda seed: fitted(forest(seed), *_array("breast_cancer"), seed)),
    "breast cancer, boosting": Entry(lambda seed: fitted(_boosting(seed), *_array("breast_cancer"), seed)),
    "breast cancer, SVC with probabilities": Entry(lambda seed: fitted(_calibrated(seed), *_array("breast_cancer"), seed)),
    "breast cancer, SVC, labels alone": Entry(lambda seed: fitted(_svc(), *_array("breast_cancer"), seed)),
    "breast cancer, k-NN": Entry(lambda seed: fitted(_neighbours(), *_array("breast_cancer"), seed)),
    "breast cancer, logistic regression": Entry(lambda seed: fitted(_logistic(), *_array("breast_cancer"), seed)),
    "breast cancer, frame in another order": Entry(_other_order),
    "breast cancer, float32": Entry(_float32),
    "breast cancer, one column of probabilities": Entry(_one_column),
    "breast cancer, xgboost": _of_foreign("xgboost", "XGBClassifier", n_estimators=60),
    "breast cancer, lightgbm": _of_foreign("lightgbm", "LGBMClassifier", verbose=-1),
    "breast cancer, catboost": _of_foreign("catboost", "CatBoostClassifier", iterations=60, verbose=0, **NO_FILES),
    "breast cancer, ONNX as a function": Entry(_onnx, None, "skl2onnx"),
    "wine, forest, text classes": Entry(_named_classes),
    "wine, SVC, labels alone": Entry(lambda seed: fitted(_svc(), *_array("wine"), seed)),
    "wine, probabilities of three digits": Entry(_rounded),
    "wine, predict as in Keras": Entry(_keras_like),
    "iris, forest": Entry(lambda seed: fitted(forest(seed), *_array("iris"), seed)),
    "iris, bool classes": Entry(_bool_classes),
    "iris, float classes": Entry(_float_classes),
    "whole numbers": Entry(_whole_numbers),
    "log-normal columns": Entry(_log_normal),
    "1 % of one class": Entry(
        lambda seed: fitted(
            forest(seed), *made(seed, n_samples=4000, n_features=8, n_informative=5, weights=[0.99], flip_y=0), seed
        )
    ),
    "20 classes": Entry(
        lambda seed: fitted(
            forest(seed),
            *made(seed, n_samples=3000, n_features=16, n_informative=12, n_classes=20, n_clusters_per_class=1), seed,
        )
    ),
    "30 rows": Entry(lambda seed: fitted(_logistic(), *made(seed, n_samples=30, n_features=5), seed)),
    "200 columns": Entry(
        lambda seed: fitted(forest(seed), *made(seed, n_samples=1500, n_features=200, n_informative=12), seed)
    ),
}  # fmt: skip
