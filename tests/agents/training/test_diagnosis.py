"""Diagnosis before a training: rows of each class that satisfy the task, decoded rows that keep their class, advice."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pytest
from sklearn.datasets import load_iris
from sklearn.ensemble import RandomForestClassifier
from sklearn.linear_model import LogisticRegression

import envs
from agents.train import train
from agents.training.diagnosis import ClassFacts, Diagnosis, advice, diagnose, lines_of
from envs.datasets import Data


@pytest.fixture(scope="module")
def unsure() -> envs.World:
    """A forest of stumps, hardly ever sure of anything, to be reached at p >= 0.9."""
    data = load_iris()
    forest = RandomForestClassifier(50, max_depth=1, max_features=1, random_state=0).fit(data.data, data.target)
    return envs.make_world(data=data.data, truth=data.target, classifier=forest, manifold="pca", latent_dim=2, tau=0.9)


def test_shares_are_those_of_the_cached_answers(unsure: envs.World) -> None:
    asked = unsure.classifier.queries
    found = diagnose(unsure, ask=False)
    assert unsure.classifier.queries == asked
    reference = unsure.reference
    for k, name in enumerate(unsure.class_names):
        own = reference.label == k
        assert found.classes[name].rows == int(own.sum())
        assert found.classes[name].satisfied == pytest.approx(float((reference.prediction[own][:, k] >= 0.9).float().mean()))
        assert found.classes[name].kept == pytest.approx(float((reference.prediction[own].argmax(1) == k).float().mean()))
    assert found.accuracy is None


def test_what_tau_leaves_out_is_said_with_the_way_out(unsure: envs.World) -> None:
    text = "\n".join(lines_of(diagnose(unsure), unsure))
    assert "a walk ends at p >= 0.9" in text
    assert "reach p >= 0.9 (and fewer than 10% for" in text
    assert "lower tau, or use task flip" in text
    easy = unsure.replace(task="flip")
    assert "lower tau" not in "\n".join(lines_of(diagnose(easy), easy))


def test_the_accuracy_is_of_held_out_rows_and_counted(unsure: envs.World) -> None:
    asked = unsure.classifier.queries
    found = diagnose(unsure)
    assert unsure.classifier.queries - asked == found.asked == 150
    truth = unsure.held_out.truth
    assert truth is not None
    right = unsure.classifier.predict_proba(unsure.held_out.x).argmax(1) == truth
    assert found.accuracy == pytest.approx(float(right.float().mean()))


def test_true_classes_follow_the_classifiers_order() -> None:
    data = load_iris()
    named = np.array(["virginica", "versicolor", "setosa"])[data.target]  # sorted otherwise than the data's own numbers
    model = LogisticRegression(max_iter=2000).fit(data.data, named)
    parts = Data(data.data, truth=data.target, class_names=["virginica", "versicolor", "setosa"])
    world = envs.make_world(data=parts, classifier=model, manifold="pca", latent_dim=2)
    assert world.class_names == ["setosa", "versicolor", "virginica"]
    assert diagnose(world).accuracy > 0.9  # type: ignore[operator]


def test_every_trouble_has_its_advice(unsure: envs.World) -> None:
    classes = {"a": ClassFacts(0, 0.0, 0.0), "b": ClassFacts(10, 1.0, 0.3), "c": ClassFacts(10, 1.0, 1.0)}
    classes["d"] = ClassFacts(10, 1.0, 1.0, 0.0)
    text = "\n".join(advice(Diagnosis(classes, 0.52, 0.5, 100), unsure))
    assert "no reference row of 'd' satisfies that once decoded" in text
    assert "no reference row into 'a'" in text
    assert "30% of the reference rows of 'b' keep their class once decoded" in text
    assert "hardly better than its largest class" in text
    assert advice(Diagnosis({"c": classes["c"]}, 0.9, 0.5, 100), unsure) == []


def test_a_class_that_no_decoded_row_reaches_is_named() -> None:
    """A rare class whose rows the manifold does not represent: the rows reach it, what walks can end at does not."""
    random = np.random.default_rng(0)
    rows = random.normal(size=(400, 1)) + 0.1 * random.normal(size=(400, 6))
    rows[:, 5] = 0.0
    rows[:4, 5] = 30.0  # the class depends on a column that the first component leaves out
    model = RandomForestClassifier(20, random_state=0).fit(rows, rows[:, 5] > 10)
    world = envs.make_world(data=rows, classifier=model, manifold="pca", latent_dim=1)
    world.reference.end_predictions  # noqa: B018  # as the measured step limit of a training needs them
    found = diagnose(world, ask=False)
    assert found.classes["True"].satisfied == 1
    assert found.classes["True"].as_ends == 0
    assert "no reference row of 'True' satisfies that once decoded" in "\n".join(advice(found, world))
    assert "decoded, satisfy it" in "\n".join(lines_of(found, world))


def test_many_classes_make_few_lines(unsure: envs.World) -> None:
    classes = {f"class {k}": ClassFacts(5, k / 100, 1.0) for k in range(100)}
    lines = lines_of(Diagnosis(classes), unsure)
    assert len(lines) < 15
    assert any("92 other classes" in line for line in lines)
    assert max(map(len, lines)) < 130


def test_a_training_prints_and_keeps_it(tmp_path: Any, capsys: pytest.CaptureFixture[str]) -> None:
    small = {"policy_kwargs": {"net_arch": [8]}, "n_steps": 8, "n_epochs": 1}
    kwargs = {"manifold": "pca", "latent_dim": 2, "tau": 0.99}
    run = train(env="Manifold/Custom-v0", env_kwargs=kwargs, log_folder=str(tmp_path), n_timesteps=32, n_envs=4,
                hyperparams=small, eval_episodes=0, pictures=False)  # fmt: skip
    said = capsys.readouterr().err
    assert "reference rows by class; a walk ends at p >= 0.99" in said
    assert "the classifier is right for" in said
    told = json.loads((run.folder.root / "config.json").read_text())["reference"]
    assert set(told["classes"]) == {"setosa", "versicolor", "virginica"}
    assert run.progress["evaluation_queries"] == told["asked"] == 45
    assert run.progress["training_queries"] + told["asked"] == run.world.classifier.queries
