"""Credit by switching parts in orders (Shapley 1953): which coalitions are queried, and what each part is credited with.

Between two frames, the n parts that differ are switched one after the other; each is credited with its step of p, averaged
over orders. Orders come in antithetic pairs, an order and its reverse (Mitchell et al., JMLR 2022). Where all 2^n coalitions
cost no more queries than the orders, all are queried and every order counts.

Every order's steps sum to the difference of p between the two frames, so the credits do.
"""

from __future__ import annotations

from math import factorial
from typing import NamedTuple

import numpy as np


class Segment(NamedTuple):
    """The coalitions between two frames.

    Attributes:
        switched: (R, n) bool, the coalitions to be queried, the empty and the full one among them.
        orders: (M, n + 1) rows of `switched` along each order; None: every coalition is there, in binary order.

    Example:
        >>> segment(2, orders=4, generator=np.random.default_rng(0)).switched.tolist()
        [[False, False], [True, False], [False, True], [True, True]]
    """

    switched: np.ndarray
    orders: np.ndarray | None


def cost(parts: int, orders: int) -> int:
    """Queries between two frames, without those of the two frames themselves."""
    return min(2**parts - 2, orders * (parts - 1)) if parts > 1 else 0


def segment(parts: int, orders: int, generator: np.random.Generator) -> Segment:
    """The coalitions of `parts` parts: all of them, or those along an even number of random orders."""
    if parts == 0 or 2**parts - 2 <= orders * (parts - 1):
        return Segment((np.arange(2**parts)[:, None] >> np.arange(parts) & 1).astype(bool), None)
    half = [generator.permutation(parts) for _ in range(orders // 2)]
    known: dict[bytes, int] = {}
    rows: list[np.ndarray] = []
    along = []
    for order in (turn for first in half for turn in (first, first[::-1])):
        on, places = np.zeros(parts, bool), []
        for k in (-1, *order):
            if k >= 0:
                on = on.copy()
                on[k] = True
            key = on.tobytes()
            if key not in known:
                known[key] = len(rows)
                rows.append(on)
            places.append(known[key])
        along.append(places)
    return Segment(np.array(rows), np.array(along))


def credit(coalitions: Segment, p: np.ndarray) -> np.ndarray:
    """The credit of each part.

    Args:
        coalitions: of n parts.
        p: (R,) float64, probability of each coalition.

    Returns:
        (M, n): the credit in each order; one row, the mean over all orders, where every order was counted.
    """
    switched, along = coalitions
    parts = switched.shape[1]
    if along is None:
        size = switched.sum(1)
        number = np.arange(len(switched))
        out = np.zeros((1, parts))
        for k in range(parts):
            without = number[~switched[:, k]]
            weight = np.array([factorial(s) * factorial(parts - 1 - s) / factorial(parts) for s in size[without]])
            out[0, k] = weight @ (p[without + (1 << k)] - p[without])
        return out
    steps = np.diff(p[along], axis=1)  # (M, n) in the order of switching
    joined = np.diff(switched[along].astype(int), axis=1).argmax(2)  # (M, n) which part was switched
    each = np.zeros_like(steps)
    np.put_along_axis(each, joined, steps, axis=1)
    return each
