"""Judges of end points: they know their classes, are the same every time, and are fitted once."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch

from agents.explanation.metrics import oracle as judge
from agents.explanation.metrics.evaluate import judged_columns
from agents.explanation.metrics.manifold import detours


def blobs(seed: int = 0, n: int = 60) -> tuple[np.ndarray, np.ndarray]:
    """Two classes in six dimensions, each near a line of its own; none of a third class."""
    draws = np.random.default_rng(seed)
    ways = np.array([[1, 1, 0, 0, 0, 0], [0, 0, 0, 1, 1, 0]], dtype=np.float32)
    labels = np.repeat([0, 1], n)
    x = 0.3 * draws.normal(size=(2 * n, 1)) * ways[labels] + 2 * ways[labels] + 0.05 * draws.normal(size=(2 * n, 6))
    return x.astype(np.float32), labels


@pytest.fixture(scope="module")
def oracles() -> Any:
    return judge.fit_oracles(*blobs(), classes=3)


def test_they_know_the_classes(oracles: Any) -> None:
    x, labels = blobs(seed=1)
    assert (oracles.sees(x) == labels).mean() == 1.0
    assert oracles.im1(x, 1 - labels, labels).max() < 0.2  # like its class, unlike the other
    assert oracles.im1(x, labels, 1 - labels).min() > 5


def test_im1_by_hand(oracles: Any) -> None:
    x = blobs(seed=2)[0][:3]
    with torch.inference_mode():
        shown = oracles.autoencoders(torch.from_numpy(x).expand(3, 3, 6)).numpy()
    error = np.square(shown - x).sum(2)
    np.testing.assert_allclose(oracles.im1(x, [1, 1, 1], [0, 0, 0]), error[0] / (error[1] + judge.EPS), rtol=1e-5)


def test_nothing_is_said_of_classes_without_data(oracles: Any) -> None:
    x = blobs()[0][:2]
    assert np.isnan(oracles.im1(x, [0, 0], [2, 2])).all()
    assert np.isnan(oracles.im1(x, [0, 0], [0, 0])).all()


def test_no_paths_and_no_judges_are_no_figures(oracles: Any) -> None:
    assert judged_columns([], np.zeros((0, 6)), oracles)["im1"].shape == (0,)
    assert oracles.sees(np.zeros((0, 6))).shape == (0,)


def test_pictures_of_every_layout_are_judged() -> None:
    for shape in ((8, 8), (1, 8, 8), (8, 8, 3)):
        oracle = judge.Oracle(shape, 4)
        assert oracle(torch.zeros(2, *shape)).shape == (2, 4)


def test_large_pictures_are_judged_at_a_smaller_size_which_bounds_the_cost_of_a_fit(monkeypatch: pytest.MonkeyPatch) -> None:
    for shape, seen in (((28, 28), (28, 28)), ((64, 64), (32, 32)), ((3, 32, 32), (3, 16, 16)), ((70, 50, 3), (3, 18, 13))):
        assert judge.judged(torch.zeros(2, *shape)).shape == (2, *seen)
    channels = torch.arange(3.0)[:, None].expand(2, 3, 600)  # a series: its channels are not averaged with each other
    assert judge.judged(channels).equal(channels[:, :, :300])
    monkeypatch.setattr(judge, "AE_STEPS", 1)
    monkeypatch.setattr(judge, "ORACLE_STEPS", 1)
    rows: list[int] = []
    forward = judge.ClassAutoencoders.forward
    monkeypatch.setattr(judge.ClassAutoencoders, "forward", lambda self, x: rows.append(x.shape[1]) or forward(self, x))
    for classes, count in ((10, 64), (40, 16)):
        found = judge.fit_oracles(np.zeros((2 * classes, 64, 64)), np.arange(2 * classes) % classes, classes)
        assert rows.pop() == count
    assert found.sees(np.zeros((3, 64, 64))).shape == found.im1(np.zeros((3, 4096)), [0] * 3, [1] * 3).shape == (3,)
    assert found.sees(np.zeros((0, 64, 64))).shape == (0,)


def test_fitting_is_repeatable_and_draws_from_no_global_generator(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(judge, "AE_STEPS", 3)
    monkeypatch.setattr(judge, "ORACLE_STEPS", 3)
    before = torch.get_rng_state()
    x = blobs()[0].reshape(-1, 2, 3)
    a, b = (judge.fit_oracles(x, blobs()[1], 2) for _ in range(2))
    assert torch.equal(torch.get_rng_state(), before)
    for name, value in a.modules.state_dict().items():
        assert torch.equal(value, b.modules.state_dict()[name])


def test_one_fit_a_data_set(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(judge, "AE_STEPS", 1)
    monkeypatch.setattr(judge, "ORACLE_STEPS", 1)
    x, labels = blobs()
    first = judge.oracles_of(x, labels, 2)
    assert judge.oracles_of(x.copy(), labels.copy(), 2) is first
    assert judge.oracles_of(x, 1 - labels, 2) is not first


def test_detours_are_taken_over_a_geodesic() -> None:
    world: Any = SimpleNamespace(manifold=SimpleNamespace(modality="table", decode=lambda z: z))
    bent = np.array([[0, 0], [3, 0], [3, 4]], dtype=np.float32)
    found = detours(world, [bent, bent[[0, 2]], bent[:1]])
    np.testing.assert_allclose(found[:2], [7 / 5, 1.0], rtol=3e-3)
    assert np.isnan(found[2])
    stiff: Any = SimpleNamespace(manifold=SimpleNamespace(modality="table", decode=lambda z: z.detach()))
    assert np.isnan(detours(stiff, [bent])).all()  # no gradient, no geodesic
    assert detours(world, []).shape == (0,)
