"""Slow, noisy, failing and remote classifiers: each option by itself, counted rows, and errors."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from sklearn.linear_model import LogisticRegression

from envs import ManifoldError, UnknownNameError, make_world
from envs.classifiers import adapt
from envs.classifiers.calibration import cooled, expected_calibration_error, fitted_temperature
from envs.classifiers.querying import QueriedClassifier
from envs.config import WorldConfig
from envs.errors import ClassifierFailure, QueryBudgetError
from envs.modalities.fitting import fit_units
from envs.query_options import QueryOptions

ROWS = np.random.default_rng(0).normal(size=(60, 3))
UNITS = fit_units(ROWS)
X, CELLS = UNITS.entered(ROWS)


class Service:
    """A function that notes its calls, and fails or is noisy on request."""

    def __init__(self, fails=0, noise=0.0) -> None:
        self.calls, self.fails, self.noise, self.rng = [], fails, noise, np.random.default_rng(0)

    def __call__(self, rows):
        self.calls.append(len(rows))
        if self.fails:
            self.fails -= 1
            raise TimeoutError("no answer")
        logits = 2 * rows[:, 0] + self.noise * self.rng.normal(size=len(rows))
        return 1 / (1 + np.exp(-logits))


def asked_by(service, label_only=False, **options):
    adapted = adapt(service, units=UNITS, class_names=["no", "yes"], label_only=label_only)
    return QueriedClassifier(adapted, QueryOptions(**options))


@pytest.fixture(autouse=True)
def waits(monkeypatch):
    waited = []
    monkeypatch.setattr("envs.classifiers.querying.time.sleep", waited.append)
    return waited


def test_without_options_predictions_and_counts_are_the_classifiers_own():
    plain, queried = adapt(Service(), units=UNITS, class_names=["no", "yes"]), asked_by(Service())
    assert queried.predict_proba(X, CELLS).equal(plain.predict_proba(X, CELLS))
    assert queried.of_raw(ROWS).equal(plain.of_raw(ROWS))
    assert queried.queries == plain.queries == 120


def test_repeated_rows_reach_a_cached_classifier_once():
    service = Service()
    classifier = asked_by(service, cache=True)
    twice = torch.cat([X, X[:20]]), torch.cat([CELLS, CELLS[:20]])
    first = classifier.predict_proba(*twice)
    assert (classifier.queries, service.calls) == (60, [60])
    assert classifier.predict_proba(*twice).equal(first)
    assert classifier.queries == 60
    assert first[:20].equal(first[60:])


def test_a_noisy_classifier_is_averaged_and_every_query_counts():
    classifier = asked_by(Service(noise=2.0), repeat=50)
    exact = adapt(Service(), units=UNITS, class_names=["no", "yes"]).predict_proba(X, CELLS)
    once = asked_by(Service(noise=2.0)).predict_proba(X, CELLS)
    averaged = classifier.predict_proba(X, CELLS)
    assert classifier.queries == 3000
    assert (averaged - exact).abs().mean() < (once - exact).abs().mean()
    torch.testing.assert_close(averaged.sum(1), torch.ones(60))


def test_labels_are_those_of_the_average():
    classifier = asked_by(Service(noise=5.0), label_only=True, repeat=20)
    probabilities = asked_by(Service(noise=5.0), repeat=20)
    labels = classifier.predict_proba(X, CELLS)
    assert labels.max(1).values.equal(torch.ones(60))
    assert labels.argmax(1).equal(probabilities.predict_proba(X, CELLS).argmax(1))


def test_calls_are_no_larger_than_a_batch():
    service = Service()
    classifier = asked_by(service, batch_size=25)
    whole = adapt(Service(), units=UNITS, class_names=["no", "yes"])
    assert classifier.predict_proba(X, CELLS).equal(whole.predict_proba(X, CELLS))
    assert classifier.of_raw(ROWS).equal(whole.of_raw(ROWS))
    assert service.calls == [25, 25, 10, 25, 25, 10]


def test_a_failing_call_is_repeated_after_growing_waits(waits):
    service = Service(fails=3)
    classifier = asked_by(service, retries=4)
    assert classifier.predict_proba(X, CELLS).shape == (60, 2)
    assert waits == [0.5, 1.0, 2.0]
    assert classifier.queries == 240  # the rows of failed calls, too


def test_a_persistent_failure_names_the_call_and_its_rows(waits):
    with pytest.raises(ClassifierFailure, match=r"failed on 60 rows of shape \(3,\): .*Service raised TimeoutError") as error:
        asked_by(Service(fails=9), retries=2).predict_proba(X, CELLS)
    assert "3 attempts in all" in str(error.value)
    assert isinstance(error.value.__cause__, TimeoutError)
    assert len(waits) == 2


def test_wrong_predictions_are_not_tried_again():
    calls = []

    def wrong(rows):
        calls.append(1)
        return np.full((len(rows), 2), 7.0)

    classifier = QueriedClassifier(adapt(wrong, units=UNITS, class_names=["no", "yes"]), QueryOptions(retries=5))
    with pytest.raises(ManifoldError, match="must be >= 0 and sum to 1"):
        classifier.predict_proba(X, CELLS)
    assert len(calls) == 1


def test_a_budget_refuses_the_call_that_would_exceed_it():
    service = Service()
    classifier = asked_by(service, budget=100)
    classifier.predict_proba(X, CELLS)
    with pytest.raises(QueryBudgetError, match="60 of 100 rows were queried, and the next call has 60"):
        classifier.predict_proba(X, CELLS)
    assert service.calls == [60]
    classifier.predict_proba(X[:40], CELLS[:40])
    assert classifier.queries == 100


def test_options_are_checked_and_held_by_the_config():
    with pytest.raises(UnknownNameError, match=r"unknown query option 'retry': did you mean 'retries' or 'repeat'\?"):
        WorldConfig(query={"retry": 3})
    for wrong in ({"repeat": 0}, {"budget": -1}, {"cache": 1}, {"temperature": "warm"}, {"temperature": 0.0}):
        with pytest.raises(ManifoldError, match="query: "):
            WorldConfig(query=wrong)
    config = WorldConfig(query=QueryOptions(cache=True, temperature="1.5"))
    assert config.query == {"cache": True, "temperature": 1.5}
    assert WorldConfig.from_json(config.to_json()) == config


# -- calibration --------------------------------------------------------------------------------------------------------


@given(st.integers(0, 10**6), st.floats(0.01, 100), st.integers(2, 9))
def test_a_temperature_keeps_the_argmax(seed, temperature, classes):
    rng = np.random.default_rng(seed)
    p = rng.dirichlet(np.full(classes, 0.3), 50).astype(np.float32)
    p[:10] = 1 / classes
    p[:10, -1] += np.float32(1e-7)  # nearly a tie
    p = torch.from_numpy(p / p.sum(1, keepdims=True))
    found = cooled(p, temperature)
    assert found.argmax(1).equal(p.argmax(1))
    torch.testing.assert_close(found.sum(1), torch.ones(50), atol=1e-5, rtol=0)


def test_the_temperature_of_known_noise_is_found():
    generator = torch.Generator().manual_seed(0)
    logits = torch.randn(20000, 4, generator=generator) * 2
    truth = torch.multinomial(logits.softmax(1), 1, generator=generator)[:, 0]
    overconfident = (3 * logits).softmax(1)
    found = fitted_temperature(overconfident, truth)
    assert found == pytest.approx(3, rel=0.05)
    assert expected_calibration_error(cooled(overconfident, found), truth) < 0.02
    assert expected_calibration_error(overconfident, truth) > 0.1


def test_a_world_fits_the_temperature_and_keeps_the_number():
    rng = np.random.default_rng(0)
    rows = rng.normal(size=(400, 3))
    truth = (rng.random(400) < 1 / (1 + np.exp(-rows[:, 0]))).astype(int)
    model = LogisticRegression().fit(rows, truth)

    def sure(given):
        return 1 / (1 + np.exp(-4 * model.decision_function(given)))

    settings = {"data": rows, "truth": truth, "classifier": sure, "class_names": [0, 1], "manifold": "pca", "progress": False}
    plain, world = make_world(**settings), make_world(**settings, query={"temperature": "fit"})
    found = world.classifier.calibration
    assert found.temperature == pytest.approx(4, rel=0.25)
    assert found.after < found.before
    assert world.config.query == {"temperature": found.temperature}
    assert world.reference.label.equal(plain.reference.label)
    assert not world.reference.prediction.equal(plain.reference.prediction)
    again = make_world(**settings, query=world.config.query)
    torch.testing.assert_close(again.reference.prediction, world.reference.prediction)
    assert world.classifier.queries == plain.classifier.queries  # the fit queries no row twice
    with pytest.raises(ManifoldError, match="the true classes of the data are not known"):
        make_world(**{**settings, "truth": None}, query={"temperature": "fit"})
    with pytest.raises(ManifoldError, match="returns only labels"):
        make_world(**settings, label_only=True, query={"temperature": "fit"})


@pytest.mark.parametrize(("query", "asked"), [({"cache": True}, 1), ({"repeat": 3}, 12), ({"batch_size": 3}, 4)])
def test_a_score_is_queried_by_the_same_options(query, asked):
    calls = []

    def price(rows):
        calls.append(len(rows))
        return rows[:, 0] + 0.1

    rows = np.random.default_rng(0).normal(size=(60, 3))
    world = make_world(data=rows, classifier=price, outputs="score", manifold="pca", query=query, progress=False)
    assert world.classifier.queries == sum(calls)
    before, x = world.classifier.queries, world.reference.x[:1].repeat(4, 1) + 0.25
    for one in (world, world.replace(goal="<= -0.5")):
        outputs = one.classifier.outputs(x)
        assert outputs.dtype == np.float64
    assert world.classifier.queries - before == (asked if "cache" in query else 2 * asked)
    assert max(calls) <= query.get("batch_size", 60)


def test_a_budget_of_a_score_and_no_temperature():
    rows = np.random.default_rng(0).normal(size=(60, 3))
    settings = {"data": rows, "classifier": lambda x: x[:, 0], "outputs": "score", "manifold": "pca", "progress": False}
    with pytest.raises(QueryBudgetError, match="used up"):
        make_world(**settings, query={"budget": 70})
    with pytest.raises(ManifoldError, match="temperature='fit' calibrates probabilities of classes"):
        make_world(**settings, query={"temperature": "fit"})
