"""Bootstrap intervals over explained items: numpy alone and seeded, so every run gives the same numbers.

Most measures are a ratio of two sums over items (a mean is a sum over a count): items are drawn with replacement, the ratio is
computed again, and the interval spans the 2.5 % and 97.5 % quantiles [1]_. Resampling items, not steps, keeps the steps of one
path together, because they are not independent.

References
----------
.. [1] Efron, "Bootstrap Methods: Another Look at the Jackknife", Annals of Statistics 7 (1979); the percentile
   interval.
"""

from __future__ import annotations

from functools import lru_cache
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike


class Estimate(NamedTuple):
    """A measure over items: its value, its 95 % interval, and the number of items.

    Example:
        >>> mean([1.0, 2.0, 3.0]).value
        2.0
    """

    value: float
    low: float
    high: float
    n: int

    def as_dict(self) -> dict[str, float | int | None]:
        """For JSON: `nan` becomes None."""

        def plain(number: float) -> float | None:
            return float(number) if np.isfinite(number) else None

        return {"value": plain(self.value), "low": plain(self.low), "high": plain(self.high), "n": int(self.n)}


EMPTY = Estimate(float("nan"), float("nan"), float("nan"), 0)


def ratio(above: ArrayLike, below: ArrayLike, resamples: int = 1000, seed: int = 0, level: float = 0.95) -> Estimate:
    """sum(above) / sum(below) over items, with a percentile interval.

    Args:
        above: (N,) values.
        below: (N,) values. Items that are not finite in both are left out.
        resamples: of the bootstrap.
        seed: of the bootstrap.
        level: of the interval.
    """
    top, bottom = np.asarray(above, dtype=np.float64), np.asarray(below, dtype=np.float64)
    known = np.isfinite(top) & np.isfinite(bottom)
    top, bottom = top[known], bottom[known]
    if top.size == 0 or bottom.sum() == 0:
        return EMPTY
    value = float(top.sum() / bottom.sum())
    weights = _resampling_counts(top.size, resamples, seed)
    denominators = weights @ bottom
    draws = (weights @ top)[denominators != 0] / denominators[denominators != 0]
    low, high = np.quantile(draws, [(1 - level) / 2, (1 + level) / 2])
    return Estimate(value, float(low), float(high), int(top.size))


def mean(values: ArrayLike, resamples: int = 1000, seed: int = 0, level: float = 0.95) -> Estimate:
    """Mean over items (N,) without `nan`, with a percentile interval; arguments as in `ratio`."""
    array = np.asarray(values, dtype=np.float64)
    return ratio(array, np.ones_like(array), resamples, seed, level)


def median(values: ArrayLike, resamples: int = 1000, seed: int = 0, level: float = 0.95) -> Estimate:
    """Median over items (N,) without `nan`, with a percentile interval; arguments as in `ratio`."""
    return quantile(values, 0.5, resamples, seed, level)


def quantile(values: ArrayLike, q: float, resamples: int = 1000, seed: int = 0, level: float = 0.95) -> Estimate:
    """The q-quantile over items (N,) without `nan`, linear between order statistics, with a percentile interval."""
    array = np.asarray(values, dtype=np.float64)
    array = array[np.isfinite(array)]
    if array.size == 0:
        return EMPTY
    generator = np.random.default_rng(seed)
    draws = np.quantile(array[generator.integers(0, array.size, (resamples, array.size))], q, axis=1)
    low, high = np.quantile(draws, [(1 - level) / 2, (1 + level) / 2])
    return Estimate(float(np.quantile(array, q)), float(low), float(high), int(array.size))


@lru_cache(maxsize=4)  # every measure of a set of paths is resampled alike
def _resampling_counts(n: int, resamples: int, seed: int) -> np.ndarray:
    """(resamples, n) how often each item is drawn in each resample: multinomial counts, each row sums to n."""
    generator = np.random.default_rng(seed)
    return generator.multinomial(n, np.full(n, 1.0 / n), size=resamples).astype(np.float64)


def share(count: int, n: int) -> Estimate:
    """count / n with its 95 % Wilson interval [2]_, which holds for few items and for shares of 0 and 1; `nan` of none.

    References
    ----------
    .. [2] Wilson, "Probable Inference, the Law of Succession, and Statistical Inference", JASA 22 (1927).

    Example:
        >>> [round(number, 3) for number in share(0, 10)[:3]]
        [0.0, 0.0, 0.278]
    """
    if n == 0:
        return EMPTY
    z, p = 1.959964, count / n
    middle, half = (p + z * z / (2 * n)), z * np.sqrt(p * (1 - p) / n + z * z / (4 * n * n))
    low, high = ((middle + sign * half) / (1 + z * z / n) for sign in (-1, 1))
    return Estimate(p, max(0.0, float(low)), min(1.0, float(high)), n)
