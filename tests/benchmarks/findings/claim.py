"""A claim of the page of findings, and what its table needs: results, numbers, means."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from statistics import mean
from typing import Any

DOCS = Path(__file__).resolve().parents[3] / "docs"
AGENT, OTHER, WHITE_BOX = "#0072b2", "#8a8f98", "#d55e00"
Draw = Callable[[Any], None]


@dataclass(frozen=True)
class Claim:
    """One section: title, question and answer, a table, the pages with everything, and a plot (name, alternative text)."""

    title: str
    text: str
    header: Sequence[str]
    rows: Sequence[Sequence[str]]
    pages: Sequence[str]
    picture: tuple[str, str] | None = None
    draw: Draw | None = None


@cache
def results(name: str) -> Any:
    """docs/results/NAME.json."""
    return json.loads((DOCS / "results" / f"{name}.json").read_text(encoding="utf-8"))


def value(number: float | None, digits: int = 3) -> str:
    """A number as it stands in a table: thousands with commas, a dash for what was not measured."""
    return "–" if number is None else f"{number:,.{digits}f}"


def interval(measure: dict[str, float], digits: int = 2) -> str:
    """Mean [95 % interval]."""
    return f"{value(measure['value'], digits)} [{value(measure['low'], digits)}, {value(measure['high'], digits)}]"


def over(cells: Iterable[dict[str, Any]], name: str) -> float | None:
    """Mean over the cells that have the measure."""
    found = [cell[name] for cell in cells if cell.get(name) is not None]
    return mean(found) if found else None


def table(header: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """A Markdown table: the first column to the left, the others to the right."""
    lines = ["| " + " | ".join(header) + " |", "| --- |" + " ---: |" * (len(header) - 1)]
    return "\n".join(lines + ["| " + " | ".join(row) + " |" for row in rows])


def link(name: str) -> str:
    """A link to the full table and its data."""
    return f"[{name}](results/{name}.md)"
