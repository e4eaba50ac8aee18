"""Intervals: of means by a bootstrap, of interquartile means over runs by rliable's method.

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
