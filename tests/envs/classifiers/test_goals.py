"""Models with a score or labels as classifiers: what they come as, and what they may return."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from sklearn.ensemble import RandomForestClassifier
from sklearn.linear_model import LinearRegression, LogisticRegression
from sklearn.multiclass import OneVsRestClassifier
from sklearn.multioutput import MultiOutputClassifier

from envs.classifiers import adapt
from envs.errors import ManifoldError
from envs.goals import LabelGoal, ScoreGoal
from envs.modalities.fitting import fit_units

ROWS = np.random.default_rng(0).normal(size=(60, 3))
SCORE = 2 * ROWS[:, 0] + 1
LABELS = (ROWS[:, :2] > 0).astype(int)
UNITS = fit_units(ROWS)
X, CELLS = UNITS.entered(ROWS)


class Scalar(torch.nn.Module):
    def forward(self, rows):
        return 2 * rows[:, 0] + 1  # (B,), not (B, 1)


@pytest.mark.parametrize(
    ("model", "outputs"),
    [
        (LinearRegression().fit(ROWS, SCORE), None),
        (lambda rows: 2 * rows[:, 0] + 1, "score"),
        (lambda rows: (2 * rows[:, :1] + 1).tolist(), "score"),
        (Scalar(), "score"),
        (torch.nn.Sequential(Scalar(), torch.nn.Unflatten(0, (-1, 1))), "score"),
    ],
    ids=["regressor", "function", "column", "torch scalar", "torch column"],
)
def test_whatever_gives_one_number_is_a_score(model, outputs):
    model = adapt(model, units=UNITS, outputs=outputs).viewed(ScoreGoal(low=1.0, spread=2.0))
    assert model.class_names == ["< 1", ">= 1"]
    assert model.outputs(X, CELLS)[:, 0] == pytest.approx(SCORE, abs=1e-5)
    assert model.predict_proba(X, CELLS).argmax(1).tolist() == (SCORE >= 1).astype(int).tolist()
    assert model.queries == 120
    assert not model.label_only


@pytest.mark.parametrize(
    ("model", "outputs"),
    [
        (RandomForestClassifier(5, random_state=0).fit(ROWS, LABELS), None),
        (MultiOutputClassifier(LogisticRegression()).fit(ROWS, LABELS), None),
        (OneVsRestClassifier(LogisticRegression()).fit(ROWS, LABELS), None),
        (lambda rows: 1 / (1 + np.exp(-9 * rows[:, :2])), "labels"),
        (torch.nn.Sequential(torch.nn.Linear(3, 2), torch.nn.Sigmoid()), "labels"),
    ],
    ids=["forest", "multi-output", "one against the rest", "function", "torch"],
)
def test_whatever_gives_a_probability_for_each_label_has_labels(model, outputs):
    named = adapt(model, units=UNITS, outputs=outputs, class_names=["warm", "wet"])
    assert named.goal == LabelGoal(["warm", "wet"], "warm")
    assert named.class_names == ["no warm", "warm"]
    known = named.outputs(X, CELLS)
    assert known.shape == (60, 2)
    wet = named.viewed(LabelGoal(["warm", "wet"], "wet"))
    assert wet.predict_proba(X, CELLS).argmax(1).tolist() == (known[:, 1] >= 0.5).astype(int).tolist()
    assert named.queries == wet.queries == 120  # views count in one place


def test_views_share_the_model_and_its_log_is_their_own():
    model = adapt(LinearRegression().fit(ROWS, SCORE), units=UNITS)
    other = model.viewed(ScoreGoal(high=0.0))
    assert model.class_names == ["< 0", ">= 0"]
    assert other.class_names == ["<= 0", "> 0"]
    assert other.of_outputs(np.array([[1.0], [-1.0]])).tolist() == [[0.25, 0.75], [0.75, 0.25]]
    assert other.log is None
    assert model.queries == 0


@pytest.mark.parametrize(
    ("function", "outputs", "match"),
    [
        (lambda rows: rows[:, :2], "score", r"returned shape \(60, 2\) for 60 rows; a score is one number per row"),
        (lambda rows: rows[:5, 0], "score", r"returned shape \(5, 1\) for 60 rows"),
        (lambda rows: rows[:, 0] * np.nan, "score", "NaN or infinity"),
        (lambda rows: rows[:, 0] > 0, "labels", r"one probability is needed for each of \['a', 'b'\]"),
        (lambda rows: rows[:, :2] * 9, "labels", "probabilities in.*apply a sigmoid"),
    ],
)
def test_outputs_that_are_not_what_they_should_be_are_refused(function, outputs, match):
    model = adapt(function, units=UNITS, outputs=outputs, class_names=["a", "b"])
    with pytest.raises(ManifoldError, match=match):
        model.predict_proba(X, CELLS)


def test_refusals_of_adapting():
    with pytest.raises(ManifoldError, match="label_only is for classifiers"):
        adapt(LinearRegression().fit(ROWS, SCORE), units=UNITS, label_only=True)
    with pytest.raises(ManifoldError, match=r"pass class_names= \(--class-names A B \.\.\.\), the names of the labels"):
        adapt(lambda rows: rows, units=UNITS, outputs="labels")
    with pytest.raises(ManifoldError, match="a float predicts nothing"):
        adapt(3.5, units=UNITS, outputs="score")
