"""Credits corrected by a surrogate: exact sums, less error, and nothing worse than without it."""

from __future__ import annotations

import numpy as np
import pytest

from agents.explanation.contributions.orders import credit, segment
from agents.explanation.contributions.variates import estimated_credits

N = 12
WEIGHTS = np.linspace(-1, 2, N)


def logistic(switched: np.ndarray) -> np.ndarray:
    return 1 / (1 + np.exp(3 - switched @ WEIGHTS))


def truth(p: object) -> np.ndarray:
    every = segment(N, 2**N, np.random.default_rng(0))
    assert every.orders is None
    return credit(every, p(every.switched))[0]  # type: ignore[operator]


def bent(switched: np.ndarray) -> np.ndarray:
    """Parts that interact: no logistic surrogate fits them."""
    pairs = switched[:, ::2] * switched[:, 1::2]
    return 1 / (1 + np.exp(2 - 2 * pairs.sum(1) - switched @ WEIGHTS / 2))


@pytest.mark.parametrize(("p", "times"), [(logistic, 10), (bent, 1)])
def test_it_lowers_the_error_and_keeps_the_sum(p: object, times: float) -> None:
    errors, plain_errors, claimed = [], [], []
    exact = truth(p)
    for seed in range(8):
        found = segment(N, 12, np.random.default_rng(seed))
        asked = p(found.switched)  # type: ignore[operator]
        values, variance = estimated_credits(found, asked, np.random.default_rng(seed))
        assert values.sum() == pytest.approx(exact.sum(), abs=1e-9)
        errors.append(values - exact)
        plain_errors.append(credit(found, asked).mean(0) - exact)
        claimed.append(variance)
    assert times * np.square(errors).mean() ** 0.5 < np.square(plain_errors).mean() ** 0.5
    assert np.square(errors).mean() < 4 * np.mean(claimed)  # the spread that is said is not much too small


def test_a_part_that_never_matters_keeps_a_credit_of_zero() -> None:
    found = segment(N, 12, np.random.default_rng(0))
    switched = found.switched.copy()
    switched[:, 3] = False
    values, variance = estimated_credits(found, logistic(switched), np.random.default_rng(0))
    assert values[3] == variance[3] == 0
    assert values.any()


@pytest.mark.parametrize("orders", [2, 4])
def test_few_coalitions_get_no_surrogate(orders: int) -> None:
    found = segment(N, orders, np.random.default_rng(0))
    p = logistic(found.switched)
    assert np.array_equal(estimated_credits(found, p, np.random.default_rng(0))[0], credit(found, p).mean(0))


def test_it_is_not_used_where_it_does_not_help() -> None:
    found = segment(N, 12, np.random.default_rng(0))
    labels = (np.random.default_rng(1).random(len(found.switched)) < 0.5).astype(float)  # no order in them
    plain = credit(found, labels)
    values, variance = estimated_credits(found, labels, np.random.default_rng(0))
    assert variance.sum() <= plain.var(0, ddof=1).sum() / len(plain)
    assert values.sum() == pytest.approx(plain.mean(0).sum())
    additive = 0.1 + found.switched @ np.full(N, 0.05)  # every order gives the same credits: nothing is left to correct
    assert estimated_credits(found, additive, np.random.default_rng(0))[0] == pytest.approx(np.full(N, 0.05))
    scores = 40 + 10 * found.switched @ WEIGHTS  # no probabilities
    assert estimated_credits(found, scores, np.random.default_rng(0))[0] == pytest.approx(10 * WEIGHTS)
