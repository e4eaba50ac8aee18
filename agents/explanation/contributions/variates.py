"""Shapley values from fewer orders, with the credits of a surrogate as a control variate.

Goldwasser and Hooker, "Stabilizing Estimates of Shapley Values with Control Variates" (2023). The surrogate is logistic,
p(S) = sigmoid(a + the sum of w over S), and fitted to the coalitions that were queried. Its credits over many orders cost no
query; the orders that were queried correct them by the mean difference. The sum of the credits stays exact.
"""

from __future__ import annotations

import numpy as np

from agents.explanation.contributions.orders import Segment, credit

FREE = 2**16  # steps of the surrogate's own orders
MOST = 2048  # of these orders, and as many reverses
SURE = 1e-4  # probabilities are clipped at this distance from 0 and 1
ROWS = 4  # coalitions for each coefficient: with fewer, the surrogate would fit the noise


def estimated_credits(coalitions: Segment, p: np.ndarray, generator: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """Credits and their variances, corrected by a surrogate where this lowers the sum of the variances.

    Args:
        coalitions: of n parts.
        p: (R,) float64, probability of each coalition.
        generator: of the surrogate's orders.

    Returns:
        Credits (n,) and squared standard errors (n,), in units of p; errors are 0 where every order was counted.

    Example:
        >>> from agents.explanation.contributions.orders import segment
        >>> found = segment(6, 12, np.random.default_rng(0))
        >>> additive = 1 / (1 + np.exp(3 - found.switched.sum(1)))
        >>> values, variance = estimated_credits(found, additive, np.random.default_rng(0))
        >>> values.round(2).tolist(), bool(np.isclose(values.sum(), np.ptp(additive)))
        ([0.15, 0.15, 0.15, 0.15, 0.15, 0.15], True)
    """
    each = credit(coalitions, p)
    if coalitions.orders is None:
        return each.mean(0), np.zeros(each.shape[1])
    plain = each.mean(0), each.var(0, ddof=1) / len(each)
    moves = each.any(0)  # a part that changes nothing keeps a credit of exactly 0
    switched = coalitions.switched * moves
    if not moves.any() or len(p) < ROWS * (1 + moves.sum()) or p.min() < 0 or p.max() > 1:
        return plain
    intercept, weights = _fitted(switched, p)
    left = each - credit(coalitions, _sigmoid(intercept + switched @ weights))
    known, known_variance = _credits(intercept, weights * moves, generator)
    found = known + left.mean(0), left.var(0, ddof=1) / len(left) + known_variance
    return found if found[1].sum() < plain[1].sum() else plain


def _sigmoid(x: np.ndarray) -> np.ndarray:
    return 1 / (1 + np.exp(-x))


def _fitted(switched: np.ndarray, p: np.ndarray) -> tuple[float, np.ndarray]:
    """Intercept and weights (n,) of a weighted least-squares fit of the log-odds."""
    p = np.clip(p, SURE, 1 - SURE)
    weight = np.sqrt(p * (1 - p)) + 0.01
    columns = np.concatenate([np.ones((len(p), 1)), switched], axis=1) * weight[:, None]
    found = np.linalg.lstsq(columns, np.log(p / (1 - p)) * weight, rcond=None)[0]
    return float(found[0]), found[1:]


def _credits(intercept: float, weights: np.ndarray, generator: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """The surrogate's credits (n,) over many orders and their reverses, and squared standard errors."""
    n = len(weights)
    half = generator.random((min(MOST, max(32, FREE // n)), n)).argsort(1)
    orders = np.concatenate([half, half[:, ::-1]])
    along = intercept + np.concatenate([np.zeros((len(orders), 1)), weights[orders].cumsum(1)], axis=1)
    each = np.empty(orders.shape)
    np.put_along_axis(each, orders, np.diff(_sigmoid(along), axis=1), axis=1)
    return each.mean(0), each.var(0, ddof=1) / len(each)
