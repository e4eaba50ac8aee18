"""Cases that must be refused, each with a part of the message: nothing here may be explained."""

from __future__ import annotations

from typing import Any

import numpy as np

from tests.benchmarks.own.cases import Case, Cases, Entry, split


def _frame() -> tuple[Any, np.ndarray]:
    from sklearn.datasets import load_wine

    found = load_wine(as_frame=True)
    return found.data.iloc[:, :5], found.target.to_numpy()


def _of(change: Any) -> Any:
    """The case of a forest of wine whose data are a changed frame."""

    def make(seed: int) -> Case:
        from sklearn.ensemble import RandomForestClassifier

        frame, classes = _frame()
        x, held_out, y, _ = split(frame, classes, seed)
        model = RandomForestClassifier(20, random_state=seed).fit(x, y)
        return Case({"data": change(x), "classifier": model}, held_out, model.predict_proba)

    return make


def _with_dates(frame: Any) -> Any:
    import pandas

    return frame.assign(since=pandas.Timestamp("2020-01-01"))


def _twice(frame: Any) -> Any:
    import pandas

    return pandas.concat([frame, frame["ash"]], axis=1)


def _many_labels(seed: int) -> Case:
    from sklearn.ensemble import RandomForestClassifier

    frame, classes = _frame()
    model = RandomForestClassifier(10, random_state=seed).fit(frame, np.stack([classes > 0, classes > 1], axis=1).astype(int))
    return Case({"data": frame, "classifier": model}, None, None)


def _logits(seed: int) -> Case:
    from sklearn.linear_model import LogisticRegression

    frame, classes = _frame()
    model = LogisticRegression(max_iter=5000).fit(frame.to_numpy(), classes)
    return Case({"data": frame.to_numpy(), "classifier": model.decision_function, "class_names": list("abc")}, None, None)


CASES: Cases = {
    "a column of dates without a unit": Entry(_of(_with_dates), "dates={'since': 'days'}"),
    "two columns of one name": Entry(_of(_twice), "two columns called"),
    "a renamed column": Entry(_of(lambda frame: frame.rename(columns={"ash": "ashes"})), "lacks ['ash']"),
    "a missing column": Entry(_of(lambda frame: frame.drop(columns="ash")), "lacks ['ash']"),
    "several labels a row": Entry(_many_labels, "names of the labels"),
    "logits of a function": Entry(_logits, "apply a softmax"),
}
