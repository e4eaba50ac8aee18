"""The task "until the prediction changes": when it ends, where it is the default, and that `tau` selects another task."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from sklearn.datasets import load_iris
from sklearn.ensemble import RandomForestClassifier

import envs
from envs import ManifoldError
from envs.core import dynamics
from envs.core.tasks import TASKS, Flip, Task


def forest(trees: int = 10) -> RandomForestClassifier:
    data = load_iris()
    return RandomForestClassifier(trees, max_depth=2, random_state=0).fit(data.data, data.target)


@pytest.fixture(scope="module")
def own() -> envs.World:
    """The user's own data and classifier; nothing is said of a task."""
    return envs.make_world(data=load_iris().data, classifier=forest(), manifold="pca", latent_dim=2)


def state_with(world, prediction, source, target):
    """States at the first starts with these answers, sources and targets."""
    state = dynamics.start(world, torch.arange(len(prediction)), torch.tensor(target))
    return dynamics.refresh(world, state._replace(prediction=torch.tensor(prediction), source=torch.tensor(source)))


def test_a_walk_ends_where_the_largest_probability_is_the_targets(own):
    prediction = [[0.3, 0.4, 0.3], [0.5, 0.5, 0.0], [0.0, 0.5, 0.5], [0.3, 0.3, 0.4], [0.6, 0.4, 0.0]]
    state = state_with(own, prediction, [0] * 5, [1] * 5)
    assert dynamics.arrived(own, state).tolist() == [True, False, True, False, False]  # a tie is the first class, as argmax
    torch.testing.assert_close(own.task.goal(state), torch.tensor([0.4, 0.5, 0.5, 0.3, 0.4]))
    assert (own.task.evidence(state) >= 0).tolist() == [True, True, True, False, False]


def test_without_a_target_every_other_class_ends_it(own):
    prediction = [[0.3, 0.4, 0.3], [0.3, 0.3, 0.4], [0.5, 0.0, 0.5]]
    state = state_with(own, prediction, [0] * 3, [1] * 3)
    assert dynamics.arrived(own.untargeted, state).tolist() == [True, True, False]
    assert own.untargeted.reference is own.reference  # what was computed is shared
    assert (own.untargeted.task.evidence(state) >= 0).tolist() == [True, True, True]
    assert dynamics.arrived(own, state).tolist() == [True, False, False]


def test_it_is_the_default_for_own_data_and_own_classifiers_alone(own):
    assert own.task.name == "flip"
    assert own.settings["task"] == "flip"
    assert envs.make_world(data="digits").task.name == "reach"
    assert envs.make_world().task.name == "flip"  # Manifold/Custom-v0
    assert envs.make_world(label_only=True).task.name == "reach"
    assert envs.make_world(task="reach").task == Task()
    assert envs.make_world(envs.make_world().config).task == Flip()


def test_labels_alone_have_no_largest_probability():
    labels = forest()
    only = type("Labels", (), {"predict": labels.predict, "classes_": labels.classes_})()
    world = envs.make_world(data=load_iris().data, classifier=only, manifold="pca", latent_dim=2)
    assert world.label_only
    assert world.task.name == "reach"


def test_tau_means_reach_and_is_refused_beside_flip(own):
    assert envs.make_world(tau=0.7).task == Task(tau=0.7)
    assert own.replace(tau=0.7).task.name == "reach"
    with pytest.raises(ManifoldError, match=r"tau=0\.7 belongs to tasks such as 'reach'"):
        envs.make_world(task="flip", tau=0.7)
    with pytest.raises(ManifoldError, match="leave tau out"):
        own.replace(task="flip", tau=0.7)


@pytest.mark.parametrize("task", sorted(TASKS))
def test_every_task_says_what_satisfies_it_and_when_it_ends(task):
    found = TASKS[task]()
    prediction, target = torch.tensor([[0.05, 0.95], [0.95, 0.05]]), torch.tensor([1, 1])
    assert found.satisfied(prediction, target).tolist() == [True, False]
    assert found.stop_rule()


def test_rounding_to_float32_makes_no_tie_of_what_the_classifier_decides():
    exact = np.array([[0.5 - 1e-12, 0.5 + 1e-12], [0.5 + 1e-12, 0.5 - 1e-12], [0.1, 0.9]])
    world = envs.make_world(
        data=load_iris().data, classifier=forest(), manifold="pca", latent_dim=2, class_names=["a", "b", "c"]
    )
    from envs.classifiers import adapt

    classifier = adapt(lambda rows: exact[: len(rows)], units=world.units, class_names=["a", "b"])
    assert classifier.predict_proba(torch.zeros(3, 4)).argmax(1).tolist() == [1, 0, 1]


def test_worlds_measure_ends_and_neighbours_by_the_largest_probability(own):
    """Where no start of a class has p >= 0.9, the codes at which walks may end are still those that are called so."""
    predictions = own.reference.end_predictions
    called = predictions.argmax(1) == own.reference.label
    ends = own.end_codes
    kept = [int(np.isfinite(ends.square[k]).sum()) for k in range(3)]
    assert kept == [int((called & (own.reference.label == k)).sum()) for k in range(3)]
