"""TreeView: a surrogate whose parts can be checked, and routes that add up."""

from __future__ import annotations

import io
from typing import Any

import numpy as np
import pytest
from PIL import Image

import envs
from agents.explain import explain
from agents.explanation.local.treeview import (
    Node,
    Routes,
    fit_treeview,
    hidden_features,
    route_of,
    switch_sentences,
    treeview_of,
)
from agents.explanation.local.treeview_figure import treeview_figure
from envs.errors import ManifoldError


@pytest.fixture(scope="module")
def digits() -> Any:
    return envs.make_world(data="digits", max_step=1 / 6)


@pytest.fixture(scope="module")
def view(digits: Any) -> Any:
    return treeview_of(digits)


def boxes(n: int = 400, seed: int = 0) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Inputs in the square, whose quarters are four classes; features: the two coordinates, steeply bent, twice each."""
    x = np.random.default_rng(seed).uniform(-1, 1, (n, 2))
    h = np.tanh(8 * x)
    log_p = np.stack([h[:, 0] + h[:, 1], h[:, 0] - h[:, 1], h[:, 1] - h[:, 0], -h[:, 0] - h[:, 1]], axis=1) * 3
    log_p -= np.log(np.exp(log_p).sum(1, keepdims=True))
    return x, np.repeat(h, 2, axis=1), log_p


def test_two_factors_of_two_clusters_find_the_quarters() -> None:
    x, h, log_p = boxes()
    view = fit_treeview(x, h, log_p, factors=2, clusters=2, leaves=4)
    assert sorted(tuple(group) for group in view.groups) == [(0, 1), (2, 3)]
    assert view.leaves == 4
    test, _, predictions = boxes(seed=1)
    assert view.fidelity(test, predictions.argmax(1)) > 0.97


def test_a_route_rejects_class_after_class() -> None:
    x, h, log_p = boxes()
    view = fit_treeview(x, h, log_p, factors=2, clusters=2, leaves=4)
    found = view.routes(np.array([[0.5, 0.5], [0.5, -0.5], [-0.5, -0.5]]))
    assert found.predicted.tolist() == [0, 1, 3]
    for nodes in found.nodes:
        left = [int(node.alive.sum()) for node in nodes]
        assert left[0] == 4
        assert left == sorted(left, reverse=True)
        assert nodes[-1].factor is None
        assert all(node.shares.sum() == pytest.approx(1.0) for node in nodes)
        assert all(node.factor is not None for node in nodes[:-1])
    # One coordinate changes sign on each step: one factor switches, then the other.
    [first, second] = found.switches()
    assert (first[0], second[0]) == (1, 2)
    assert first[1] != second[1]


def test_routes_agree_with_predictions_and_questions(digits: Any, view: Any) -> None:
    x = digits.held_out.x[:40].numpy()
    found = view.routes(x)
    np.testing.assert_array_equal(found.predicted, view.predict(x))
    for item, nodes in enumerate(found.nodes):
        assert found.predicted[item] == nodes[-1].shares.argmax()
        for node in nodes[:-1]:
            assert node.prediction == (found.meta[item, node.factor] == node.cluster)


def test_the_view_is_faithful_on_digits(digits: Any, view: Any) -> None:
    assert view.leaves <= 84
    assert len(view.groups) == 5
    assert sorted(np.concatenate(view.groups)) == list(range(64))
    predictions = digits.classifier.predict_proba(digits.held_out.x).argmax(1).numpy()
    assert view.fidelity(digits.held_out.x.numpy(), predictions) >= 0.9


def test_points_between_starts_can_be_fitted_to_besides(digits: Any, view: Any) -> None:
    x = digits.held_out.x[:200].numpy()
    more = treeview_of(digits, between=1)
    assert not np.array_equal(more.meta(x), view.meta(x))
    assert more.fidelity(x, digits.classifier.predict_proba(digits.held_out.x[:200]).argmax(1).numpy()) > 0.85


def test_same_seed_same_view(digits: Any, view: Any) -> None:
    again = treeview_of(digits)
    x = digits.held_out.x[:100].numpy()
    np.testing.assert_array_equal(view.meta(x), again.meta(x))
    np.testing.assert_array_equal(view.predict(x), again.predict(x))


def test_looking_inside_asks_nothing_and_sees_what_the_network_says(digits: Any) -> None:
    before = digits.classifier.queries
    features, log_p = hidden_features(digits, digits.held_out.x[:9])
    assert digits.classifier.queries == before
    assert features.shape == (9, 64)
    shown = digits.classifier.predict_proba(digits.held_out.x[:9]).numpy()
    np.testing.assert_allclose(np.exp(log_p), shown, atol=1e-5)


def test_a_paths_route_is_told_and_drawn(digits: Any, view: Any) -> None:
    path = explain(digits, 3, target="0", walker="line")
    found = route_of(path, digits, view)
    assert len(found.nodes) == len(path.z)
    said = switch_sentences(found, path.class_names)
    assert len(said) == len({frame for frame, *_ in found.switches()})
    with Image.open(io.BytesIO(treeview_figure(path, digits, found))) as image:
        assert image.width > 500
        assert image.height > 300


def test_what_switches_reject_is_said_in_words() -> None:
    before, after = Node(np.array([0.5, 0.5, 0.0])), Node(np.array([0.0, 0.5, 0.5]))
    found = Routes(np.array([[1, 0], [2, 0]]), np.array([0, 1]), [[before], [after]])
    assert switch_sentences(found, ["cat", "dog", "eel"]) == ["frame 1: factor 0 from 1 to 2: rejects cat; allows eel"]


def test_nothing_in_nothing_out(view: Any) -> None:
    assert view.predict(np.zeros((0, 8, 8))).shape == (0,)


def test_bad_input_is_named() -> None:
    x, h, log_p = boxes(50)
    with pytest.raises(ManifoldError, match="9 factors of 4 features"):
        fit_treeview(x, h, log_p, factors=9)
    with pytest.raises(ManifoldError, match="51 clusters of 50 items"):
        fit_treeview(x, h, log_p, factors=2, clusters=51)
    with pytest.raises(ManifoldError, match="a tree of 1 leaves"):
        fit_treeview(x, h, log_p, factors=2, clusters=2, leaves=1)
    with pytest.raises(ManifoldError, match="not a torch module"):
        treeview_of(envs.make_world())
