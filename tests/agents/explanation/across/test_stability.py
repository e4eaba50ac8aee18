"""Stability: classifiers and inputs whose answer is known."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from sklearn.ensemble import RandomForestClassifier
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

import envs
from agents import UserError
from agents.evaluate import evaluate, main
from agents.explain import explain
from agents.explanation.across.stability import NOISE, stability

QUICK: dict[str, Any] = {"manifold": "pca", "latent_dim": 2, "progress": False}


def rows() -> np.ndarray:
    return np.random.default_rng(0).normal(0, 1, (200, 2))


def high(given: np.ndarray) -> np.ndarray:
    return 1 / (1 + np.exp(-8 * np.asarray(given, dtype=float)[:, 0]))


@pytest.fixture(scope="module")
def world() -> Any:
    return envs.make_world(data=rows(), classifier=high, columns=["a", "b"], class_names=["no", "yes"], **QUICK)


@pytest.fixture(scope="module")
def paths(world: Any) -> Any:
    return explain(world, range(12), walker="line")


def test_the_same_classifier_again_keeps_every_flip(world: Any, paths: Any) -> None:
    found = stability(paths, world, k=3, retrain=lambda seed: high, walker="line")
    assert found.survived.value == found.by_all.value == 1
    assert found.classifiers == "3 classifiers of retrain="


def test_a_classifier_that_says_the_opposite_keeps_none(world: Any, paths: Any) -> None:
    seeds = []

    def opposite(seed: int) -> Any:
        seeds.append(seed)
        return (lambda given: 1 - high(given)) if seed == 7 else high

    found = stability(paths, world, k=2, retrain=opposite, walker="line", seed=6)
    assert seeds == [6, 7]
    assert found.survived.value == 0.5
    assert found.by_all.value == 0


@pytest.mark.parametrize(
    "model", [RandomForestClassifier(10, random_state=0), make_pipeline(StandardScaler(), LogisticRegression())]
)
def test_estimators_are_refitted_to_samples(model: Any) -> None:
    data = rows()
    fitted = model.fit(data, np.where(data[:, 0] > 0, "yes", "no"))
    made = envs.make_world(data=data, classifier=fitted, **QUICK)
    found = stability(explain(made, range(8), walker="line"), made, k=2, walker="line")
    assert found.classifiers.startswith(f"2 refits of {type(model).__name__} to bootstrap samples")
    assert 0 <= found.by_all.value <= found.survived.value <= 1


def test_other_classifiers_are_said_to_be_that(world: Any, paths: Any) -> None:
    found = stability(paths, world, walker="line")
    assert found.classifiers.startswith("no retrained classifiers")


def test_near_identical_inputs_of_a_smooth_classifier(world: Any, paths: Any) -> None:
    before = world.classifier.queries
    found = stability(paths, world, k=1, retrain=lambda seed: high, walker="line")
    assert found.queries == world.classifier.queries - before
    assert found.same_parts.n == len(paths)
    assert found.same_parts.value >= 0.9
    assert found.to_json()["noise"] == NOISE


def test_pictures_and_text() -> None:
    for data, measured in (("digits", 4), ("sentences", 0)):
        made = envs.make_world(data=data, progress=False)
        paths = explain(made, range(4), walker="line")
        found = stability(paths, made, k=1, retrain=lambda seed, world=made: world.classifier, walker="line")  # type: ignore[misc]
        assert found.survived.value == 1
        assert found.same_parts.n == measured
        assert found.survived.n == 4


def test_no_flips_are_not_measured(world: Any) -> None:
    found = stability([], world, walker="line")
    assert found.survived.n == found.same_parts.n == 0
    with pytest.raises(UserError, match="at least one classifier"):
        stability([], world, k=0)


def test_evaluate(world: Any, capsys: pytest.CaptureFixture[str]) -> None:
    quick: dict[str, Any] = {"inputs": range(6), "oracles": False, "closely": 0, "alone": 0}
    measured = evaluate(world, ["line"], stability=2, retrain=lambda seed: high, **quick)["line"]
    assert measured["stability"]["survived"]["value"] == 1
    assert measured["analysis_queries"] >= measured["stability"]["queries"]
    flags = ["--inputs", "6", "--alone", "0", "--closely", "0", "--no-oracles", "--stability", "2"]
    assert main(["--data", "iris", *flags]) == 0
    assert "line: a flip survives" in capsys.readouterr().out


@pytest.mark.parametrize("kind", ["score", "labels"])
@pytest.mark.parametrize("own", [True, False])
def test_scores_and_labels_are_measured_at_the_goal_of_each_path(kind: str, own: bool) -> None:
    from sklearn.linear_model import LinearRegression, LogisticRegression
    from sklearn.multioutput import MultiOutputClassifier

    rows = np.random.default_rng(0).normal(0, 1, (200, 3))
    if kind == "score":
        model, target = LinearRegression().fit(rows, rows @ [1.0, 2.0, 0.0]), "+1"
    else:
        model, target = MultiOutputClassifier(LogisticRegression()).fit(rows, (rows[:, :2] > 0).astype(int)), "flip b, hold a"
    named = {} if kind == "score" else {"class_names": ["a", "b"]}
    made = envs.make_world(data=rows, classifier=model, manifold="pca", latent_dim=3, progress=False, **named)
    paths = explain(made, range(4), target, walker="line", skip_present=True)
    found = stability(paths, made, k=2, retrain=(lambda seed: model) if own else None, walker="line")
    assert found.survived.n == len([path for path in paths if path.success])
    assert ("refits of" in found.classifiers) is not own
    assert found.survived.value == 1 or kind == "labels"
    assert not own or found.survived.value == 1
    assert found.same_parts.value > 0.5
