"""Figures in running text follow from the JSON of a benchmark. tests/test_findings.py tests the generated tables."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from statistics import mean
from typing import Any

import pytest

ROOT = Path(__file__).resolve().parent.parent


def results(name: str) -> Any:
    return json.loads((ROOT / "docs" / "results" / f"{name}.json").read_text(encoding="utf-8"))


def agent(data: str, measure: str) -> float:
    """Mean over the seeds of a comparison with all methods."""
    [runs] = [part for part in results("explain_all").values() if isinstance(part, dict)]
    return mean(row["measures"][measure]["value"] for row in runs[data]["rows"]["agent"])


def fast(name: str) -> float:
    return results("throughput")["rows_per_second"][name]


def inversion(row: str) -> str:
    return (ROOT / "docs" / "results" / "inversion.md").read_text().split(f"| {row} | ")[1].split("|")[1]


# page, words on it, what must hold
CLAIMS: list[tuple[str, str, Callable[[], bool]]] = [
    ("README.md", "about ten classifier queries", lambda: 9 <= agent("digits", "queries") <= 11),
    ("README.md", "about ten classifier queries", lambda: 9 <= agent("mnist", "queries") <= 11),
    ("README.md", "a fraction of a millisecond in a batch", lambda: batch_ms() < 0.5),
    ("README.md", "only four of five of the agent's ends", lambda: 0.75 < agent("mnist", "oracle") < 0.85),
    ("docs/how-to/trust.md", "agree with almost all ends of the agent", lambda: agent("digits", "oracle") > 0.98),
    ("docs/how-to/trust.md", "they agree with about four of five", lambda: 0.75 < agent("mnist", "oracle") < 0.85),
    (
        "docs/concepts/architecture.md",
        "about 0.3 of the speed of the bare forward pass",
        lambda: 0.25 < fast("vector env of 256") / fast("raw forward of 256") < 0.35,
    ),
    (
        "docs/concepts/gan.md",
        "keep the class of nearly 99 % of test images",
        lambda: 0.985 < float(inversion("encoder, 100 steps").split()[0]) < 0.995,
    ),
]


def batch_ms() -> float:
    return max(row["batch"] for name, row in results("explain_speed")["found"].items() if name.startswith("agent"))


@pytest.mark.parametrize(("page", "words", "holds"), CLAIMS, ids=[words for _, words, _ in CLAIMS])
def test_a_claim_on_a_page_follows_from_the_results(page: str, words: str, holds: Callable[[], bool]) -> None:
    assert words in " ".join((ROOT / page).read_text(encoding="utf-8").split()), (
        f"{page} does not say this: change CLAIMS, too"
    )
    assert holds()
