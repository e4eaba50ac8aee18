"""Numbers and tables of the pages."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from statistics import fmean, stdev
from typing import Any

DASH = "–"


def table(titles: Iterable[str], rows: Iterable[Sequence[Any]], align: str = "lr") -> str:
    """A Markdown table.

    Args:
        titles: of the columns.
        rows: their cells; None where a column does not apply.
        align: l or r for each column; the last letter goes for all that follow.

    Example:
        >>> print(table(["walker", "L2"], [["line", spread([2.0, 2.5], 1)]]))
        | walker | L2 |
        |---|---:|
        | line | 2.2 (2.0 to 2.5) |
    """
    titles = list(titles)
    sides = align + align[-1] * (len(titles) - len(align))
    rule = "|" + "".join("---|" if side == "l" else "---:|" for side in sides)
    head = _line([title or None for title in titles])
    return "\n".join([head, rule, *map(_line, rows)])


def _line(cells: Iterable[Any]) -> str:
    return "|" + "".join(" |" if cell is None else f" {cell} |" for cell in cells)


def known(values: Iterable[float | None]) -> list[float]:
    """The values that were measured."""
    return [float(value) for value in values if value is not None and value == value]


def spread(values: Iterable[float | None], digits: int, always: bool = True) -> str:
    """Mean (least to largest) of what was measured. `always`: also where several values are equal."""
    numbers = known(values)
    if not numbers:
        return DASH
    text = f"{fmean(numbers):,.{digits}f}"
    several = len(numbers) > 1 if always else min(numbers) != max(numbers)
    return f"{text} ({min(numbers):,.{digits}f} to {max(numbers):,.{digits}f})" if several else text


def plus_minus(values: Sequence[float], digits: int, none: str = "-") -> str:
    """Mean ± standard deviation."""
    if not values:
        return none
    return f"{fmean(values):.{digits}f}" + (f" ± {stdev(values):.{digits}f}" if len(values) > 1 else "")


def within(measure: Mapping[str, Any] | None, digits: int = 2) -> str:
    """Value [low, high] of an interval; a hyphen where there is none."""
    if measure is None or measure["value"] is None:
        return "-"
    return "{value:.{d}f} [{low:.{d}f}, {high:.{d}f}]".format(d=digits, **measure)


def reached(value: float, relation: str, aim: float) -> str:
    """Whether a figure is where it should be."""
    return "reached" if (value >= aim if relation == ">=" else value <= aim) else "NOT reached"


def judged(aims: Mapping[str, tuple[str, float]], name: str, value: float) -> str:
    """The aim of a figure and whether it is reached; empty where there is no aim."""
    if name not in aims:
        return ""
    relation, aim = aims[name]
    return f"{relation} {aim:g}: {reached(value, relation, aim)}"


def listed(items: Iterable[Any]) -> str:
    """Items with commas between them."""
    return ", ".join(map(str, items))
