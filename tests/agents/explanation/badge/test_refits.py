"""Refits of estimators that scikit-learn cannot copy, or that cannot be trained again."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from sklearn.base import BaseEstimator, ClassifierMixin
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import GridSearchCV

from agents.explain import explain
from agents.explanation.badge.refits import refits
from envs import make_world


class Unclonable(ClassifierMixin, BaseEstimator):
    """Its constructor changes a parameter, as that of CatBoost does; its predictions are a column."""

    def __init__(self, names: Any = ()) -> None:
        self.names = list(names)

    def fit(self, x: Any, y: Any) -> Unclonable:
        self.inner_ = LogisticRegression(max_iter=500).fit(x, y)
        self.classes_ = self.inner_.classes_
        return self

    def predict(self, x: Any) -> np.ndarray:
        return self.inner_.predict(x)[:, None]

    def predict_proba(self, x: Any) -> np.ndarray:
        return np.asarray(self.inner_.predict_proba(x))


class Once(Unclonable):
    """It is trained only once."""

    def fit(self, x: Any, y: Any) -> Unclonable:
        if hasattr(self, "classes_"):
            raise OSError("the training service is not reachable")
        return super().fit(x, y)


def _world(model: Any) -> Any:
    random = np.random.default_rng(0)
    x = random.normal(0, 1, (200, 3))
    return make_world(data=x, classifier=model.fit(x, np.where(x[:, 0] > 0, "yes", "no")), manifold="pca", progress=False)


def test_an_estimator_that_cannot_be_cloned_is_copied() -> None:
    world = _world(Unclonable())
    found = refits(world, 2, 0)
    assert found is not None
    for member in found[0]:
        assert (member(world, world.reference.x, None) == world.reference.label.numpy()).mean() > 0.9


def test_badges_of_an_estimator_that_cannot_be_trained_again_have_no_refits_and_it_is_said() -> None:
    world = _world(Once())
    path = explain(world, 0, walker="line")
    with pytest.warns(UserWarning, match="Once could not be trained again, so there are no refits: the training service"):
        badge = path.badge(world)
    assert not any("retrained" in reason for reason in badge.reasons)


def test_a_search_of_settings_is_not_run_again() -> None:
    world = _world(GridSearchCV(LogisticRegression(), {"C": [0.1, 1.0]}, cv=2))
    found = refits(world, 2, 0)
    assert found is not None
    assert found[1].startswith("2 refits of LogisticRegression")
