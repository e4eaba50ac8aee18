"""The benchmark of contributions: its rivals against definitions, and its page."""

from __future__ import annotations

from itertools import permutations

import numpy as np

from agents.explanation.badge import KINDS
from tests.benchmarks.contributions import METHODS, curves, kernel_shap, lime_of, page


def test_kernel_shap_over_all_coalitions_is_shapleys_value() -> None:
    values = np.random.default_rng(0).uniform(size=16)

    def switch(on: np.ndarray) -> np.ndarray:
        return values[on @ (1 << np.arange(4))]

    expected = np.zeros(4)
    for order in permutations(range(4)):
        on = np.zeros((5, 4), bool)
        for place, part in enumerate(order):
            on[place + 1 :, part] = True
        expected[list(order)] += np.diff(switch(on)) / 24
    np.testing.assert_allclose(kernel_shap(switch, 4, 16, np.random.default_rng(0)), expected, atol=1e-9)
    sampled = kernel_shap(switch, 4, 10, np.random.default_rng(0))
    assert np.isclose(sampled.sum(), values[-1] - values[0])


def test_the_best_order_has_the_largest_area() -> None:
    weight = np.array([0.5, 0.3, 0.15])
    whole = [curves(lambda on: on @ weight, score) for score in (weight, weight[::-1], -weight)]
    assert whole[0] == max(whole)
    assert whole[2] == min(whole)
    assert lime_of(lambda on: on @ weight, 3, 60, np.random.default_rng(0)).argmax() == 0


def test_the_page_is_made_of_the_record_alone() -> None:
    path = {"curves": dict.fromkeys(METHODS, 0.4) | {"latent LIME": None}, "parts": 5, "queries": 30, "error": 1e-16,
            "top": True, "plain": {"12": True, "24": True, "64": True}, "seeds": 0.01}  # fmt: skip
    badges = {
        "paths": 2,
        "kinds": dict.fromkeys(KINDS, 0.25),
        "wrong": {"a": 0.0, "b": 0.1},
        "wrong of all": {"a": 0.0, "b": 0.1},
    }
    record = {"command": "python", "count": 2, "seed": 0, "kinds": {"digits": [path, path]}, "badges": {"digits": badges}}
    text = page(record)
    assert "| digits | contributions | 0.400 [0.400, 0.400]" in text
    assert "latent LIME |" not in text
    assert "| digits | 2 | 0.25 | 0.25 | 0.25 | 0.25 | 0.000 | 0.100 | 0.000 / 0.100 |" in text
