"""The cost of explanations: queries in training and for each one, when training pays off, and the time of a single one."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterable, Mapping
from typing import Any

import numpy as np

from agents.explanation.metrics import bootstrap
from agents.explanation.metrics.bootstrap import Estimate


def break_even(found: Mapping[str, Mapping[str, Any]]) -> dict[str, dict[str, int | None]]:
    """Number of explanations after which a walker has made fewer queries in total than a rival with fewer training queries.

    ceil((Q - Q') / (q' - q)) with Q training queries and q queries per explanation.

    Args:
        found: walker -> measures with `training_queries` (a number) and `queries` (an Estimate).

    Returns:
        walker -> rival -> that number; None where the rival makes no more queries per explanation, so that it never pays.
    """
    out: dict[str, dict[str, int | None]] = {}
    for name, own in found.items():
        out[name] = {}
        for rival, other in found.items():
            before = own["training_queries"] - other["training_queries"]
            if before <= 0:
                continue
            saved = other["queries"].value - own["queries"].value
            out[name][rival] = math.ceil(before / saved) if saved > 0 else None
    return out


def time_alone(explain_one: Callable[[Any], object], items: Iterable[Any], seed: int = 0) -> dict[str, Estimate]:
    """CPU milliseconds of explaining one item by a call of its own.

    The first item is explained once before, untimed, so that imports do not count.

    Args:
        explain_one: explains one item.
        items: to be explained.
        seed: of the bootstrap.

    Returns:
        `alone_p50_ms` and `alone_p95_ms`, median and 95 % quantile over the items.
    """
    spent: list[float] = []
    for i, item in enumerate(items):
        if i == 0:
            explain_one(item)
        started = time.process_time()
        explain_one(item)
        spent.append(1000 * (time.process_time() - started))
    times = np.array(spent)
    return {
        "alone_p50_ms": bootstrap.quantile(times, 0.5, seed=seed),
        "alone_p95_ms": bootstrap.quantile(times, 0.95, seed=seed),
    }
