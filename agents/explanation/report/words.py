"""Measured figures as words: what they are called in a report, and how many digits a reader wants."""

from __future__ import annotations

import statistics
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from agents.explanation.sentences import distance_unit
from agents.trajectories.trajectory import Trajectory

NOT_MEASURED = "not measured"
#: Where a measure's own name would not be understood outside the code.
NAMES = {
    "class_switches": "changes of the predicted class along a path",
    "rising_share": "steps on which p(asked) does not fall",
    "tv_ratio": "rise of p(asked) as a share of all its ups and downs",
    "knn_ratio": "distance to real data of the class asked for (kNN ratio)",
    "worst_knn_ratio": "distance to real data of the worst frame (kNN ratio)",
    "step_bound_share": "steps within the world's bound",
}


def figures_found(paths: Sequence[Trajectory]) -> list[tuple[str, str]]:
    """The figures of the overview, computed from the paths that are shown: (name, value)."""
    reached = [path for path in paths if path.success]
    found = [("of the paths shown here reached what was asked", f"{len(reached)} of {len(paths)}")]
    if reached:
        found.append(("steps (median)", f"{statistics.median(path.steps for path in reached):g}"))
        if all(path.distances is not None for path in reached):
            value = statistics.mean(float(path.distances[-1]) for path in reached)  # type: ignore[index]
            found.append((f"distance to the input (mean, {distance_unit(reached[0])})", f"{value:.2f}"))
    found.append(("classifier queries an explanation (mean)", f"{statistics.mean(path.queries for path in paths):.1f}"))
    found.append(("classifier queries before, in training", f"{max(path.training_queries for path in paths):,}"))
    return found


def metric_rows(metrics: Mapping[str, Any], group: str = "", bounded: bool = True) -> list[tuple[str, str, str]]:
    """Measured figures as (name, text, meaning where it is known); nan and infinity are shown as not measured.

    ``bounded``: whether steps had a bound; else how many kept it is no figure.
    """
    from agents.explanation.metrics.evaluate import MEASURES

    rows: list[tuple[str, str, str]] = []
    for key, value in metrics.items():
        name, meaning = f"{group}{NAMES.get(key, key)}".replace("_", " "), MEASURES.get(key, ("", ""))[0]
        if key == "step_bound_share" and not bounded:
            rows.append((name, "no bound", "this world's steps have none"))
        elif hasattr(value, "low") and hasattr(value, "high"):
            alone = value.low == value.high or np.isnan(value.value)
            interval = "" if alone else f" [{digits(value.low)}, {digits(value.high)}]"
            rows.append((name, digits(value.value) + interval, meaning))
        elif isinstance(value, Mapping):
            rows += metric_rows(value, f"{name}: ", bounded)
        else:
            rows.append((name, digits(value), meaning))
    return rows


def gathered(rows: Sequence[tuple[str, str, str]]) -> list[tuple[str, str, str]]:
    """The rows of `metric_rows` with those that were not measured named together in the last one."""
    unknown = [name for name, text, _ in rows if text == NOT_MEASURED]
    known = [row for row in rows if row[1] != NOT_MEASURED]
    return [*known, (NOT_MEASURED, "", ", ".join(unknown))] if unknown else known


def digits(value: Any) -> str:
    """A figure with as many digits as a reader wants."""
    if value is None or (isinstance(value, float | np.floating) and not np.isfinite(value)):
        return NOT_MEASURED
    if isinstance(value, bool | str):
        return str(value)
    if isinstance(value, int | np.integer):
        return f"{value:,}"
    return f"{value:.4g}" if isinstance(value, float | np.floating) else str(value)
