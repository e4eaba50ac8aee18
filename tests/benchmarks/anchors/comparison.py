"""Measuring a system, and comparing it with what was recorded."""

from __future__ import annotations

import importlib.util
import math
from collections.abc import Mapping
from typing import NamedTuple

from tests.benchmarks.anchors import curiosity, explanations, fits, geometry, training, walks, worlds
from tests.benchmarks.anchors.values import Measured, System, Value

TOLERANCE, PORTABLE_TOLERANCE = 1e-6, 1e-3
SMALLEST = 1e-2  # floats are compared relative to this at least

PARTS = (curiosity, training, walks, worlds, geometry, fits, explanations)
SYSTEMS: dict[str, System] = {name: system for part in PARTS for name, system in part.SYSTEMS.items()}


class Difference(NamedTuple):
    """How far a measurement is from the recorded one: the entry that differs most, and by how much (inf: not comparable)."""

    entry: str
    size: float


def measured(found: System) -> Measured:
    """Measure one system with torch's global generator at a fixed seed, and put that back afterwards.

    Raises:
        ValueError: a float is not finite.
    """
    import torch

    torch.set_num_threads(1)  # a fit that uses numba may have set it back
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        values = found.measure()
    for name, value in values.items():
        floats = value if isinstance(value, list) else [value] if isinstance(value, float) else []
        if not all(map(math.isfinite, floats)):
            raise ValueError(f"the entry {name!r} is not finite: {value}")
    return values


def gap(before: Value, now: Value) -> float:
    """Largest difference of two values, relative to the recorded floats; inf where they must be equal and are not."""
    exact = (bool, int, str)
    if isinstance(before, exact) or isinstance(now, exact):
        return 0.0 if before == now and isinstance(before, bool) == isinstance(now, bool) else float("inf")
    old, new = ([value] if isinstance(value, float) else value for value in (before, now))
    if len(old) != len(new):
        return float("inf")
    scale = max(SMALLEST, *map(abs, old))
    return max((abs(a - b) / scale for a, b in zip(old, new, strict=True)), default=0.0)


def difference(before: Mapping[str, Value], now: Mapping[str, Value]) -> Difference:
    """The entry that differs most; an entry that only one of the two has differs without bounds."""
    gaps = {
        name: gap(before[name], now[name]) if name in before and name in now else float("inf") for name in {**before, **now}
    }
    name = max(gaps, key=lambda entry: gaps[entry])
    return Difference(name, gaps[name])


def described(before: Mapping[str, Value], now: Mapping[str, Value]) -> str:
    """How two measurements differ, in words: entries that only one of them has, and the largest difference of the others."""
    parts = []
    for where, names in (("recorded", before.keys() - now.keys()), ("measured now", now.keys() - before.keys())):
        if names:
            parts.append(f"only {where}: {', '.join(sorted(names))}")
    shared = before.keys() & now.keys()
    if shared:
        found = difference({name: before[name] for name in before if name in shared}, {name: now[name] for name in shared})
        size = "not equal" if found.size == float("inf") else f"{found.size:.2g}"
        parts.append(f"largest difference: {size}, in {found.entry!r}")
    return "; ".join(parts)


def missing_library(found: System) -> str | None:
    """The optional library that a system needs and that is not installed."""
    return found.needs if found.needs is not None and importlib.util.find_spec(found.needs) is None else None
