"""Numbers of a report: their names, their digits and their meaning."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from agents.explanation.metrics.measures import MEASURES, label, measures_of

NOT_MEASURED = "not measured"


def metric_rows(
    metrics: Mapping[str, Any], group: str = "", bounded: bool = True, goal: Any = None
) -> list[tuple[str, str, str]]:
    """Rows of a report's table of measures.

    Args:
        metrics: key -> a number, a text, an `Estimate`, or a mapping of these.
        group: put before every name.
        bounded: whether the world bounds its steps; without a bound, the share of steps within it has no meaning.
        goal: of the paths, on a score or on labels, for the words; None: classes.

    Returns:
        (name, text, meaning where it is known) of each; nan and infinity are shown as not measured.
    """
    rows: list[tuple[str, str, str]] = []
    known = measures_of(goal)
    for key, value in metrics.items():
        if key in MEASURES and key not in known:
            continue  # without a meaning for this goal
        name, meaning = f"{group}{label(key, goal)}", known[key].meaning if key in known else ""
        if key == "step_bound_share" and not bounded:
            rows.append((name, "no bound", "this world does not bound its steps"))
        elif hasattr(value, "low") and hasattr(value, "high"):
            alone = value.low == value.high or np.isnan(value.value)
            interval = "" if alone else f" [{digits(value.low)}, {digits(value.high)}]"
            rows.append((name, digits(value.value) + interval, meaning))
        elif isinstance(value, Mapping):
            rows += metric_rows(value, f"{name}: ", bounded, goal)
        else:
            rows.append((name, digits(value), meaning))
    return rows


def gathered(rows: Sequence[tuple[str, str, str]]) -> list[tuple[str, str, str]]:
    """The rows of `metric_rows`, with those that were not measured collected in the last one."""
    unknown = [name for name, text, _ in rows if text == NOT_MEASURED]
    known = [row for row in rows if row[1] != NOT_MEASURED]
    return [*known, (NOT_MEASURED, "", ", ".join(unknown))] if unknown else known


def digits(value: Any) -> str:
    """A number with a readable number of digits."""
    if value is None or (isinstance(value, float | np.floating) and not np.isfinite(value)):
        return NOT_MEASURED
    if isinstance(value, bool | str):
        return str(value)
    if isinstance(value, int | np.integer):
        return f"{value:,}"
    return f"{value:.4g}" if isinstance(value, float | np.floating) else str(value)
