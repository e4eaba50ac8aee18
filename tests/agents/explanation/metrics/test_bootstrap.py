"""Bootstrap intervals."""

from __future__ import annotations

import numpy as np
import pytest

from agents.explanation.metrics import bootstrap


def test_bootstrap_is_seeded_and_holds_the_value() -> None:
    values = np.arange(100.0)
    a, b = bootstrap.mean(values, seed=1), bootstrap.mean(values, seed=1)
    assert a == b
    assert a.value == 49.5
    assert a.low < 49.5 < a.high
    assert a.high - a.low == pytest.approx(2 * 1.96 * values.std() / 10, rel=0.15)  # the normal approximation
    assert bootstrap.mean(values, seed=2) != a


def test_bootstrap_of_nothing_and_of_unknown_values() -> None:
    assert bootstrap.mean([]).n == 0
    assert bootstrap.mean([np.nan]).as_dict() == {"value": None, "low": None, "high": None, "n": 0}
    assert bootstrap.mean([np.nan, 2.0]) == bootstrap.Estimate(2.0, 2.0, 2.0, 1)
    assert bootstrap.ratio([0.0], [0.0]).n == 0
    assert bootstrap.median([]).n == 0
    assert bootstrap.median([1.0, 2.0, 40.0]).value == 2.0
    assert bootstrap.quantile(np.arange(101.0), 0.95).value == 95.0


def test_bootstrap_of_a_ratio_weighs_items_by_their_steps() -> None:
    found = bootstrap.ratio([1, 9], [1, 10])  # 1 of 1 and 9 of 10 steps: 10 of 11, not the mean of 1 and 0.9
    assert found.value == pytest.approx(10 / 11)
