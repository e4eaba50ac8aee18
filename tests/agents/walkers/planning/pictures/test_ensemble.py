"""The ensemble for pictures: gradients, a fit without queries, and walks of any walker that go on until it sees the target."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch

import envs
from agents import Explainer
from agents.explain import explain
from agents.explanation.badge import oracles
from agents.walkers.planning.pictures import ensemble, networks
from agents.walkers.planning.pictures.ensemble import PictureEnsemble, picture_ensemble_of
from agents.walkers.planning.settings import PLANS
from envs.errors import ManifoldError

N = 40


@pytest.fixture(scope="module")
def check(digits: Any) -> PictureEnsemble:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(networks, "STEPS", 200)
        return picture_ensemble_of(digits)


def test_it_learns_the_labels_and_makes_no_query(digits: Any, check: PictureEnsemble) -> None:
    before = digits.classifier.queries
    x, truth = digits.held_out.x[:200].flatten(1), digits.held_out.truth[:200]
    odds = torch.stack([check.margin(x, torch.full((200,), k)) for k in range(10)], 1)
    assert (odds.argmax(1) == truth).float().mean() > 0.9
    assert picture_ensemble_of(digits) is check
    assert digits.classifier.queries == before


def test_the_least_confident_kind_counts_and_gives_the_gradient(digits: Any, check: PictureEnsemble) -> None:
    x, target = digits.reference.decoded[:30].flatten(1).numpy().copy(), digits.reference.label[:30].numpy()
    with torch.inference_mode():
        odds, gradient = check.judge(x, target)
        turned = gradient(np.arange(30))
    each = np.stack([kind.odds(x, target) for kind in check.kinds])
    np.testing.assert_allclose(odds, each.min(0), atol=1e-5)
    assert len(np.unique(each.argmin(0))) > 1
    step = 1e-2 * turned / np.maximum(np.linalg.norm(turned, axis=1, keepdims=True), 1e-6)
    rise = each.argmin(0), np.arange(30)
    after = np.stack([kind.odds((x + step).astype(np.float32), target) for kind in check.kinds])
    inside = np.abs(odds) < 8
    expected = (turned * step).sum(1)[inside]
    np.testing.assert_allclose((after[rise] - each[rise])[inside], expected, atol=0.02, rtol=0.2)


@pytest.mark.parametrize("walker", ["line", "greedy"])
def test_walks_of_any_walker_go_on_until_it_sees_the_target(digits: Any, check: PictureEnsemble, walker: str) -> None:
    plain = explain(digits, range(N), walker=walker, seed=0)
    before = digits.classifier.queries
    paths = explain(digits, range(N), walker=walker, seed=0, convincing=True)
    assert sum(path.queries for path in paths) == digits.classifier.queries - before
    doubts = []
    for found in (plain, paths):
        ends = torch.from_numpy(np.stack([path.frames(digits)[-1] for path in found])).flatten(1)
        odds = check.margin(ends, torch.tensor([path.target for path in found]))
        doubts.append(float((odds < PLANS["convincing"].enough(digits) - 0.1).float().mean()))
    assert doubts[1] < 0.5 * doubts[0]
    for old, new in zip(plain, paths, strict=True):
        assert new.success == old.success
        assert 0 <= new.steps - old.steps <= PLANS["convincing"].further
        assert np.isclose(new.predictions[: old.steps], old.predictions[: old.steps]).all()
        steps = np.diff(new.frames(digits).reshape(new.steps + 1, -1), axis=0)
        assert (np.linalg.norm(steps, axis=1) <= digits.max_step * 1.001).all()


def test_the_end_of_a_walk_without_a_requested_target_convinces_of_the_class_it_reached(
    digits: Any, check: PictureEnsemble
) -> None:
    paths = explain(digits, range(20), walker="random", seed=1, convincing=True, max_steps=60)
    for path in paths:
        assert not path.success or int(path.predicted[-1]) == path.target


def test_the_badge_learns_from_the_other_half_by_other_architectures(digits: Any) -> None:
    assert not set(ensemble.ARCHITECTURES) & set(oracles.ARCHITECTURES)
    assert ensemble.HALVES == oracles.SEED
    order = torch.randperm(len(digits.reference.x), generator=torch.Generator().manual_seed(oracles.SEED))
    assert not set(ensemble.half(digits).tolist()) & set(order[: len(order) // 2].tolist())


@pytest.mark.parametrize(
    ("settings", "told"),
    [
        ({"data": "iris"}, "convincing ends are for pictures: .* table rows of shape .*; leave convincing= out"),
        ({"data": "digits", "task": "reach_label", "label_only": True}, "this classifier returns only labels"),
        ({"data": "digits", "task": "leave"}, "this task has no class to reach"),
    ],
)
def test_where_it_cannot_be_done_the_reason_is_named(settings: dict[str, Any], told: str) -> None:
    explainer = Explainer(envs.make_world(progress=False, **settings), walker="random")
    with pytest.raises(ManifoldError, match=told):
        explainer.explain(rows=[0], convincing=True)
