"""Intervals: of means by a bootstrap; interquartile means, profiles and probabilities of improvement by rliable's methods.

Agarwal and others, "Deep Reinforcement Learning at the Edge of the Statistical Precipice" (2021), section 4.3.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from scipy.stats import trim_mean

from agents.explanation.metrics import bootstrap as metrics_bootstrap

RESAMPLES = 2000


def interquartile_mean(values: np.ndarray) -> np.ndarray:
    """Mean of the middle half of the last axis: a quarter is cut at either end."""
    return np.asarray(trim_mean(values, 0.25, axis=-1))


def iqm(strata: Sequence[Sequence[float]], seed: int = 0) -> dict[str, Any]:
    """Interquartile mean of all runs and its 95 % interval, by a bootstrap stratified by task.

    Args:
        strata: the runs of each task; runs are drawn with replacement within their task, tasks are not drawn.
        seed: of the draws.

    Returns:
        value, low, high, n; None for the first three without runs.
    """
    groups = [np.asarray(group, dtype=np.float64) for group in strata if len(group)]
    if not groups:
        return {"value": None, "low": None, "high": None, "n": 0}
    random = np.random.default_rng(seed)
    drawn = [group[random.integers(0, len(group), (RESAMPLES, len(group)))] for group in groups]
    low, high = np.quantile(interquartile_mean(np.concatenate(drawn, axis=1)), [0.025, 0.975])
    whole = np.concatenate(groups)
    return {"value": float(interquartile_mean(whole)), "low": float(low), "high": float(high), "n": int(whole.size)}


def median(values: Sequence[float]) -> float | None:
    """The median, None without values."""
    return float(np.median(values)) if len(values) else None


def interval(values: Any) -> list[float]:
    """Mean and 95 % interval (mean, low, high) by a seeded bootstrap over values (N,)."""
    found = metrics_bootstrap.mean(values, 1000, 0)
    return [found.value, found.low, found.high]


def quantiles(values: Sequence[float]) -> dict[str, float]:
    """Mean, and the interval that holds 95 % of the values."""
    low, high = np.quantile(values, [0.025, 0.975])
    return {"value": float(np.mean(values)), "low": float(low), "high": float(high), "n": len(values)}


def profile(strata: Sequence[Sequence[float]], thresholds: np.ndarray, seed: int = 0) -> dict[str, list[float]]:
    """Performance profile: share of all runs with a score of at least each threshold (T,), with a 95 % stratified bootstrap.

    Agarwal and others (2021), section 4.2. Runs are drawn as in `iqm`.
    """
    groups = [np.asarray(group, dtype=np.float64) for group in strata if len(group)]
    random = np.random.default_rng(seed)
    drawn = np.concatenate([group[random.integers(0, len(group), (RESAMPLES, len(group)))] for group in groups], axis=1)
    each = np.stack([(drawn >= threshold).mean(1) for threshold in thresholds], axis=1)
    low, high = np.quantile(each, [0.025, 0.975], axis=0)
    whole = np.concatenate(groups)
    return {"value": [float((whole >= t).mean()) for t in thresholds], "low": low.tolist(), "high": high.tolist()}


def probability_of_improvement(
    ours: Sequence[Sequence[float]], theirs: Sequence[Sequence[float]], seed: int = 0
) -> dict[str, Any]:
    """P(X > Y) + P(X = Y) / 2 of a run of ours against one of theirs, averaged over tasks, and its 95 % interval.

    Agarwal and others (2021), section 4.3: the Mann-Whitney statistic of each task, by a bootstrap of the runs within a task.
    """
    pairs = [(np.asarray(x, float), np.asarray(y, float)) for x, y in zip(ours, theirs, strict=True) if len(x) and len(y)]
    if not pairs:
        return {"value": None, "low": None, "high": None, "n": 0}
    random = np.random.default_rng(seed)

    def better(x: np.ndarray, y: np.ndarray) -> np.ndarray:
        return np.asarray(0.5 + 0.5 * np.sign(x[..., :, None] - y[..., None, :]).mean((-1, -2)))

    drawn = [
        better(x[random.integers(0, len(x), (RESAMPLES, len(x)))], y[random.integers(0, len(y), (RESAMPLES, len(y)))])
        for x, y in pairs
    ]
    low, high = np.quantile(np.mean(drawn, axis=0), [0.025, 0.975])
    value = float(np.mean([better(x, y) for x, y in pairs]))
    return {"value": value, "low": float(low), "high": float(high), "n": sum(len(x) for x, _ in pairs)}


def loss(kept: Sequence[float], whole: Sequence[float], seed: int = 0) -> dict[str, Any]:
    """The share by which the mean of `kept` is below that of `whole`, and its 95 % interval by a bootstrap of both."""
    x, y = np.asarray(kept, float), np.asarray(whole, float)
    random = np.random.default_rng(seed)
    drawn = [part[random.integers(0, len(part), (RESAMPLES, len(part)))].mean(1) for part in (x, y)]
    low, high = np.quantile(1 - drawn[0] / drawn[1], [0.025, 0.975])
    return {"value": float(1 - x.mean() / y.mean()), "low": float(low), "high": float(high), "n": len(x)}


def difference_of_medians(ours: Sequence[float], theirs: Sequence[float], seed: int = 0) -> dict[str, Any]:
    """Median of `ours` less that of `theirs`, each on the same tasks, and its 95 % interval by a bootstrap of the tasks."""
    x, y = np.asarray(ours, float), np.asarray(theirs, float)
    drawn = np.random.default_rng(seed).integers(0, len(x), (RESAMPLES, len(x)))
    low, high = np.quantile(np.median(x[drawn], axis=1) - np.median(y[drawn], axis=1), [0.025, 0.975])
    return {"value": float(np.median(x) - np.median(y)), "low": float(low), "high": float(high), "n": len(x)}


def fisher(ours: int, of_ours: int, theirs: int, of_theirs: int) -> float:
    """Two-sided p of Fisher's exact test: `ours` of `of_ours` successes against `theirs` of `of_theirs`."""
    from scipy.stats import fisher_exact

    return float(fisher_exact([[ours, of_ours - ours], [theirs, of_theirs - theirs]]).pvalue)
