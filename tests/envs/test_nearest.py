"""Nearest rows are those of double precision, however many queries there are and wherever the rows lie."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from agents.explanation.metrics.path import knn_distance
from envs.core import nearest as search
from envs.core.nearest import nearest


def rows(n: int, d: int, seed: int, offset: float = 0.0) -> torch.Tensor:
    return torch.randn(n, d, generator=torch.Generator().manual_seed(seed)) + offset


@pytest.mark.parametrize("most", [10_000_000, 900])
@pytest.mark.parametrize("offset", [0.0, 1000.0])
@pytest.mark.parametrize("count", [1, 40])
def test_it_finds_what_double_precision_finds(monkeypatch: pytest.MonkeyPatch, most: int, offset: float, count: int) -> None:
    monkeypatch.setattr(search, "MAX_GAPS", most)
    known, query = rows(300, 8, 0, offset), rows(count, 8, 1, offset)
    distance, index = nearest(query, known, 5)
    exact = torch.cdist(query.double(), known.double(), compute_mode="donot_use_mm_for_euclid_dist").topk(5, largest=False)
    assert torch.equal(index, exact.indices)
    torch.testing.assert_close(distance, exact.values.float(), rtol=1e-5, atol=1e-6)


def test_equal_rows_come_in_their_order_and_few_rows_are_all_given() -> None:
    known = torch.tensor([[1.0], [0.0], [1.0], [0.0]])
    assert nearest(torch.tensor([[0.0], [0.9]]), known, 3)[1].tolist() == [[1, 3, 0], [0, 2, 1]]
    assert nearest(torch.zeros(2, 1), known[:1], 5)[1].tolist() == [[0], [0]]
    assert nearest(torch.zeros(0, 1), known, 2)[1].shape == (0, 2)


@pytest.mark.parametrize("exclude_self", [False, True])
def test_the_knn_distance_is_that_of_double_precision(exclude_self: bool) -> None:
    bank = rows(400, 6, 2, offset=50.0).numpy()
    bank[7] = bank[8] = bank[9]  # duplicates
    points = bank if exclude_self else rows(30, 6, 3, offset=50.0).numpy()
    gaps = np.linalg.norm(points[:, None].astype(np.float64) - bank[None], axis=2)
    if exclude_self:
        np.fill_diagonal(gaps, np.inf)
    expected = np.sort(gaps, axis=1)[:, :5].mean(1)
    np.testing.assert_allclose(knn_distance(points, bank, 5, exclude_self), expected, rtol=1e-6)


def test_a_bank_that_is_too_small_gives_what_there_is() -> None:
    assert np.isnan(knn_distance(np.zeros((2, 3)), np.zeros((0, 3)))).all()
    assert np.isnan(knn_distance(np.zeros((1, 3)), np.zeros((1, 3)), exclude_self=True)).all()
    assert knn_distance(np.zeros((1, 1)), np.array([[1.0], [3.0]])).tolist() == [2.0]
