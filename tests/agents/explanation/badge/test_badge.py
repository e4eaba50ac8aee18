"""The badge on real data, on ends that fool only the explained classifier, and on paths that did not arrive."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch

import envs
from agents.errors import UserError
from agents.explain import explain
from agents.explanation.badge import ALONE, FAILED, HOLDS, UNUSUAL, Badge, badge, oracles, refits
from agents.trajectories.trajectory import Trajectory, TrajectoryError
from agents.walkers.planning.pictures import networks
from envs.core.world import World


@pytest.fixture(scope="module")
def path(iris: World) -> Trajectory:
    return explain(iris, 10, walker="line")


def believed(monkeypatch: pytest.MonkeyPatch, path: Trajectory, **changes: Any) -> Badge:
    """The badge where the oracles say what the test sets."""
    agreement = np.full((1, 3), 0.05)
    agreement[0, path.target], alike = changes.pop("seen", 0.9), changes.pop("alike", None)
    given: dict[str, Any] = {
        "doubted": 0.05,
        "least_agreement": 0.6,
        "least_typicality": 0.0,
        "most_distance": np.inf,
        **changes,
    }
    found = SimpleNamespace(agreement=lambda x: agreement, distance=lambda z, c: np.array([1.0]), **given)
    members = None if alike is None else [lambda *_, c=c: np.array([c]) for c in alike]
    monkeypatch.setattr(oracles, "oracles_of", lambda world: found)
    monkeypatch.setattr(refits, "refits_of", lambda world: members)
    return badge(path)


def test_each_check_decides_its_kind(monkeypatch: pytest.MonkeyPatch, path: Trajectory) -> None:
    assert believed(monkeypatch, path).kind == HOLDS
    alone = believed(monkeypatch, path, seen=0.5)
    assert alone.kind == ALONE
    name = path.class_names[path.target]
    assert alone.reasons[0] == (
        f"Other classifiers give the end p({name}) = 0.50 and predict {name}; "
        "95 % of real inputs get 0.60 or more for their class."
    )
    assert believed(monkeypatch, path, least_typicality=1.1).kind == UNUSUAL
    far = believed(monkeypatch, path, most_distance=0.5)
    assert far.kind == UNUSUAL
    assert far.reasons[0] == (
        f"The nearest real input of the class {name} is 1.00 away; for 95 % of real inputs it is 0.50 or less."
    )
    assert far.reasons[-1] == f"Frame 0 is predicted as {path.class_names[path.source]}, like the input."
    once = path.target, *[path.source] * 4
    assert believed(monkeypatch, path, alike=once).kind == ALONE
    most = believed(monkeypatch, path, alike=(*[path.target] * 4, path.source))
    assert most.kind == HOLDS
    assert most.reasons[0] == (
        f"Close to the boundary: 4 of 5 retrained classifiers predict {name} for the end. "
        "For an end further beyond it, set tau above 0.5."
    )
    assert believed(monkeypatch, path, alike=[path.target] * 5).reasons[1] == (
        f"5 of 5 retrained classifiers predict {name} for the end."
    )
    failed = dataclasses.replace(path, success=False)
    failed.__dict__["world"] = path.world
    assert believed(monkeypatch, failed).kind == FAILED


def test_a_reconstruction_of_another_class_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    digits = envs.make_world(data="digits")
    path = explain(digits, 11, walker="line")
    predictions = path.predictions.copy()
    predictions[0] = np.eye(10)[path.target]
    unfaithful = dataclasses.replace(path, predictions=predictions)
    unfaithful.__dict__["world"] = digits
    found = SimpleNamespace(agreement=lambda x: np.eye(10)[[path.target]], distance=lambda z, c: np.array([0.0]),
                            doubted=0.05, least_agreement=0.5, least_typicality=0.0, most_distance=1.0)  # fmt: skip
    monkeypatch.setattr(oracles, "oracles_of", lambda world: found)
    said = badge(unfaithful)
    assert said.kind == UNUSUAL
    assert said.reasons[0].startswith("Frame 0 is predicted as")


def test_no_query_is_made_and_other_kinds_of_data_have_oracles(iris: World) -> None:
    for world in (iris, envs.make_world(data="sentences")):
        before = world.classifier.queries
        found = oracles.oracles_of(world)
        assert oracles.oracles_of(world) is found
        seen = found.agreement(world.reference.x[:300])
        np.testing.assert_allclose(seen.sum(1), 1, atol=1e-5)
        assert (seen.argmax(1) == world.reference.label[:300].numpy()).mean() > 0.8
        assert world.classifier.queries == before


def test_pictures_are_judged_by_other_kinds_of_classifiers(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(networks, "STEPS", 60)
    digits = envs.make_world(data="digits")
    found = oracles.Oracles(digits)
    rows = digits.held_out.x[:200]
    assert (found.agreement(rows).argmax(1) == digits.held_out.truth[:200].numpy()).mean() > 0.8
    random = torch.rand(20, 8, 8, generator=torch.Generator().manual_seed(0))
    assert found.agreement(random).max(1).mean() < found.agreement(rows).max(1).mean()


def test_half_of_the_inputs_fixes_the_thresholds(iris: World) -> None:
    found = oracles.oracles_of(iris)
    share = (iris.manifold.typicality(iris.reference.z).numpy() >= found.least_typicality).mean()
    assert share == pytest.approx(0.95, abs=0.06)
    label = iris.reference.label
    assert (found.distance(iris.reference.coordinates, label) <= found.most_distance).mean() > 0.9


def test_the_badge_is_saved_with_the_path(iris: World, path: Trajectory, tmp_path: Path) -> None:
    found = path.badge()
    back = Trajectory.load(path.save(tmp_path / "path"))
    assert back.badge() == found
    assert Badge.from_json(found.to_json()) == found
    plain = dataclasses.replace(path, saved_badge=None)
    with pytest.raises(UserError, match="read from a file: give the world"):
        plain.badge()
    assert plain.badge(iris) == found
    assert badge([path, path]) == [found, found]
    with pytest.raises(TrajectoryError, match="kind is 'sure', it must be one of holds, unusual end"):
        dataclasses.replace(path, saved_badge={"kind": "sure", "reasons": []})


def test_reasons_of_a_score_name_the_outcome_and_ask_refits_of_the_regressor() -> None:
    from sklearn.linear_model import LinearRegression

    rows = np.random.default_rng(0).normal(0, 1, (300, 3))
    model = LinearRegression().fit(rows, 3 * rows[:, 0])
    world = envs.make_world(data=rows, classifier=model, columns=["a", "b", "c"], outputs="score", goal=">= 4",
                            manifold="pca", latent_dim=3, progress=False)  # fmt: skip
    path = explain(world, int((3 * rows[:, 0] < 1).argmax()), walker="line")
    said = path.badge()
    assert any("give the outcome >= 4 at the end a probability of" in reason for reason in said.reasons)
    assert any("retrained classifiers predict >= 4 for the end" in reason for reason in said.reasons)
    assert any(reason.startswith("The nearest real input with the outcome >= 4 is") for reason in said.reasons)
    assert not any("p(>=" in reason for reason in said.reasons)
