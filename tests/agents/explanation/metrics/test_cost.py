"""The cost of explanations."""

from __future__ import annotations

from typing import Any

from agents.explanation.metrics import bootstrap
from agents.explanation.metrics.cost import break_even, time_alone


def test_when_training_pays_off() -> None:
    def measures(before: int, each: float) -> dict[str, Any]:
        return {"training_queries": before, "queries": bootstrap.Estimate(each, each, each, 9)}

    found = {"agent": measures(1000, 10.0), "line": measures(100, 40.5), "free": measures(0, 8.0)}
    # (1000 - 100) / 30.5 is 29.5; a rival that asks less for each is never overtaken.
    assert break_even(found) == {"agent": {"line": 30, "free": None}, "line": {"free": None}, "free": {}}


def test_latency_is_taken_item_by_item() -> None:
    seen: list[int] = []
    found = time_alone(seen.append, [3, 4, 5])
    assert seen == [3, 3, 4, 5]  # the first once more, untimed
    assert found["alone_p50_ms"].n == 3
    assert found["alone_p50_ms"].value <= found["alone_p95_ms"].value
    assert time_alone(seen.append, [])["alone_p50_ms"].n == 0
