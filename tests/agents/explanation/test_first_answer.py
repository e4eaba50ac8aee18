"""Advice beside a first answer: the cost of a training, also where only few columns were searched, and its flags."""

from __future__ import annotations

import numpy as np

from agents.explain import explain
from agents.explanation.first_answer import _flag, about_training
from envs import make_world


def test_the_cost_of_a_training_is_said_without_asking_about_all_reference_rows() -> None:
    rows = np.random.default_rng(0).normal(0, 1, (300, 3))
    world = make_world(data=rows, classifier=lambda x: 1 / (1 + np.exp(-9 * x[:, 0])), class_names=["no", "yes"],
                       columns=["a", "b", "c"], manifold="pca", latent_dim=3, progress=False)  # fmt: skip
    assert explain(world, 0, walker="line").success
    assert world.reference.known_end_predictions is None
    line = about_training(world, {"data": "people.csv"}, "train")
    assert line is not None
    assert world.reference.known_end_predictions is None
    assert "and 66,300 classifier rows" in line
    assert line.endswith("train --data people.csv")


def test_proposed_flags_are_as_a_shell_takes_them():
    assert _flag("dates", {"joined": "days", "last seen": "hours"}) == "--dates joined=days 'last seen=hours'"
    assert _flag("classifier_cache", True) == "--classifier-cache"
    assert _flag("classifier_retries", 3) == "--classifier-retries 3"
