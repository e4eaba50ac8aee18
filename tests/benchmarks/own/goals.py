"""Other answers than a class: scores, independent labels, ordered classes, groups of classes, and abstention."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np

from tests.benchmarks.own.cases import split

#: outputs of the model for the ends (B, M) and for the inputs (B, M) -> whether each goal is reached (B,)
Holds = Callable[[np.ndarray, np.ndarray], np.ndarray]


class Asked(NamedTuple):
    """A model and one goal of its answers.

    Attributes:
        settings: of `envs.make_world`.
        target: of `agents.explain.explain`.
        outputs: rows as the user has them -> the model's own outputs (B, M).
        holds: whether outputs are at the goal.

    Example:
        >>> above = Asked({}, ">= 2", lambda rows: rows, lambda end, start: end[:, 0] >= 2)
        >>> above.holds(np.array([[1.0], [3.0]]), np.zeros((2, 1))).tolist()
        [False, True]
    """

    settings: dict[str, Any]
    target: Any
    outputs: Callable[[Any], np.ndarray]
    holds: Holds


def _score(target: str, goal: str | None, holds: Holds, seed: int) -> Asked:
    """Boosting on the diabetes table; its score is the progression of the disease, 25 to 346."""
    from sklearn.datasets import load_diabetes
    from sklearn.ensemble import GradientBoostingRegressor

    rows = load_diabetes(as_frame=True, scaled=False)
    x, held_out, y, _ = split(rows.data, rows.target, seed)
    model = GradientBoostingRegressor(n_estimators=60, random_state=seed).fit(x, y)
    settings = {"data": x, "held_out": held_out, "classifier": model, **({} if goal is None else {"goal": goal})}
    return Asked(settings, target, lambda given: model.predict(given)[:, None], holds)


def _labels(target: str, goal: str | None, holds: Holds, seed: int) -> Asked:
    """A forest on 800 made rows of 12 columns with five labels, as of genes with several functions."""
    from sklearn.datasets import make_multilabel_classification
    from sklearn.ensemble import RandomForestClassifier

    rows, labels = make_multilabel_classification(800, 12, n_classes=5, n_labels=2, random_state=seed)
    x, held_out, at, _ = split(rows.astype(float), np.arange(len(rows)), seed)
    model = RandomForestClassifier(60, max_depth=8, random_state=seed).fit(x, labels[at])

    def outputs(given: Any) -> np.ndarray:
        return np.stack([part[:, 1] for part in model.predict_proba(np.asarray(given, dtype=float))], axis=1)

    settings = {"data": x, "held_out": held_out, "classifier": outputs, "outputs": "labels", "class_names": list("abcde")}
    return Asked({**settings, **({} if goal is None else {"goal": goal})}, target, outputs, holds)


def _ordered(seed: int) -> Asked:
    """Three grades of the wine's alcohol by a regression with thresholds on the other columns."""
    from sklearn.datasets import load_wine
    from sklearn.linear_model import Ridge
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    table = load_wine(as_frame=True).data
    x, held_out, y, _ = split(table.drop(columns="alcohol"), table.alcohol, seed)
    model = make_pipeline(StandardScaler(), Ridge()).fit(x, y)
    low, high = np.quantile(y, [1 / 3, 2 / 3])

    def grades(given: Any) -> np.ndarray:
        """Probabilities of the three grades: the score with a logistic error."""
        beyond = 1 / (1 + np.exp(-(model.predict(given)[:, None] - [low, high]) / 0.15))
        return np.stack([1 - beyond[:, 0], beyond[:, 0] - beyond[:, 1], beyond[:, 1]], axis=1)

    names = ["light", "medium", "strong"]
    settings = {"data": x, "held_out": held_out, "classifier": grades, "class_names": names, "class_order": names}
    return Asked(settings, ">= medium", grades, lambda end, start: end.argmax(1) >= 1)


def _digits(seed: int) -> Asked:
    """The shipped network and VAE of the digits, which belong to the split of seed 0; any of two digits will do."""
    from envs import make_world

    own = make_world(data="digits", progress=False).classifier

    def outputs(given: Any) -> np.ndarray:
        import torch

        return own.predict_proba(torch.as_tensor(np.asarray(given), dtype=torch.float32)).numpy()

    return Asked({"data": "digits", "seed": 0}, "any of 1, 7", outputs, lambda end, start: np.isin(end.argmax(1), [1, 7]))


def _abstaining(target: str, seed: int) -> Asked:
    """Logistic regression on breast cancer that abstains where its larger probability is below 0.9."""
    from sklearn.datasets import load_breast_cancer
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    table = load_breast_cancer(as_frame=True)
    x, held_out, y, _ = split(table.data, table.target, seed)
    model = make_pipeline(StandardScaler(), LogisticRegression(C=0.05)).fit(x, y)
    names = ["malignant", "benign", "abstain"]

    def outputs(given: Any) -> np.ndarray:
        """The two probabilities and the bound 0.9, as shares: the largest one is the answer."""
        p = model.predict_proba(given)
        whole = np.column_stack([p, np.full(len(p), 0.9)])
        return np.asarray(whole / whole.sum(1, keepdims=True))

    settings = {"data": x, "held_out": held_out, "classifier": outputs, "class_names": names}
    return Asked(settings, target, outputs, lambda end, start: end.argmax(1) == names.index(target))


def _flipped(end: np.ndarray, start: np.ndarray) -> np.ndarray:
    return (end[:, 0] >= 0.5) != (start[:, 0] >= 0.5)


def _held(end: np.ndarray, start: np.ndarray) -> np.ndarray:
    return _flipped(end, start) & ((end[:, 1:] >= 0.5) == (start[:, 1:] >= 0.5)).all(1)


#: name on the page -> seed -> the case. The world's own goal, for which the agent is trained, is the target where it can be.
CASES: dict[str, Callable[[int], Asked]] = {
    "a score: >= 200": lambda seed: _score(">= 200", ">= 200", lambda end, start: end[:, 0] >= 200, seed),
    "a score: +10 %": lambda seed: _score("+10 %", None, lambda end, start: end[:, 0] >= 1.1 * start[:, 0] - 1e-6, seed),
    "a range: 120..160": lambda seed: _score(
        "120..160", "120..160", lambda end, start: (end[:, 0] >= 120) & (end[:, 0] <= 160), seed
    ),
    "labels: flip a": lambda seed: _labels("flip a", None, _flipped, seed),
    "labels: flip a, hold others": lambda seed: _labels("flip a, hold others", None, _held, seed),
    "labels: a=yes, b=no": lambda seed: _labels(
        "a=yes, b=no", "a=yes, b=no", lambda end, start: (end[:, 0] >= 0.5) & (end[:, 1] < 0.5), seed
    ),
    "ordered classes: >= medium": _ordered,
    "a group: any of 1, 7": _digits,
    "to an abstention": lambda seed: _abstaining("abstain", seed),
    "to benign, where it may abstain": lambda seed: _abstaining("benign", seed),
}
