"""What a case of `tests.benchmarks.own_data` is: the user's rows, the user's classifier, and how the user asks it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import numpy as np

SHARE = 0.3  # of the rows are held out


class Case(NamedTuple):
    """One user's data and model.

    Attributes:
        settings: of `envs.make_world`, live objects.
        rows: the held-out rows as the user has them, which are explained; of a file, a function of the world, which split it.
        answers: rows as the user has them -> probabilities (B, K), or one-hot labels; it queries the classifier directly,
            without this library. None: the classifier is fitted by this library.

    Example:
        >>> Case({"data": np.eye(2)}, np.eye(2), None).settings["data"].shape
        (2, 2)
    """

    settings: dict[str, Any]
    rows: Any
    answers: Callable[[Any], np.ndarray] | None


class Entry(NamedTuple):
    """A line of the table of cases.

    Attributes:
        make: seed -> the case.
        must_refuse: a part of the message with which the case must be refused; None: it must be explained.
        needs: the package without which it is skipped.

    Example:
        >>> Entry(lambda seed: Case({}, None, None)).must_refuse is None
        True
    """

    make: Callable[[int], Case]
    must_refuse: str | None = None
    needs: str | None = None


Cases = Mapping[str, Entry]


def split(rows: Any, classes: Any, seed: int) -> tuple[Any, Any, np.ndarray, np.ndarray]:
    """Reference rows, held-out rows and the classes of both; stratified where every class has two rows."""
    from sklearn.model_selection import train_test_split

    classes = np.asarray(classes)
    counts = np.unique(classes, return_counts=True)[1]
    even = classes if counts.min() > 1 and len(classes) * SHARE >= len(counts) else None
    return tuple(train_test_split(rows, classes, test_size=SHARE, stratify=even, random_state=seed))


def fitted(estimator: Any, rows: Any, classes: Any, seed: int, **settings: Any) -> Case:
    """The case of an estimator that is fitted to the reference rows, with its own `predict_proba` or `predict`."""
    x, held_out, y, _ = split(rows, classes, seed)
    model = estimator.fit(x, y)
    return Case({"data": x, "held_out": held_out, "classifier": model, **settings}, held_out, answers_of(model))


def answers_of(model: Any) -> Callable[[Any], np.ndarray]:
    """Rows -> what the estimator says of them: probabilities, or one-hot labels where it has none."""
    if hasattr(model, "predict_proba"):
        return lambda rows: np.asarray(model.predict_proba(rows), dtype=np.float64)
    classes = [str(name) for name in model.classes_]
    return lambda rows: np.eye(len(classes))[[classes.index(str(label)) for label in np.ravel(model.predict(rows))]]


def of_function(function: Callable[[Any], Any], rows: Any, classes: Any, seed: int, **settings: Any) -> Case:
    """The case of a function that returns (B, K) probabilities, or (B,) or (B, 1) of the second class."""
    x, held_out, _, _ = split(rows, classes, seed)

    def answers(given: Any) -> np.ndarray:
        found = np.asarray(function(given), dtype=np.float64)
        if found.ndim == 2 and found.shape[1] > 1:
            return found / found.sum(1, keepdims=True)
        return np.stack([1 - found.ravel(), found.ravel()], axis=1)

    return Case({"data": x, "held_out": held_out, "classifier": function, **settings}, held_out, answers)
