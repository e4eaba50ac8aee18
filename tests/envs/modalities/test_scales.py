"""Distributions of numbers: what is noticed, and the logarithmic scale."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from envs import make_world
from envs.modalities.numbers import NumberUnits
from envs.modalities.scales import Scaled, is_zero_inflated, noticed_scale, unit_of

RANDOM = np.random.default_rng(0)


@pytest.mark.parametrize(
    ("values", "scale"),
    [
        (np.exp(RANDOM.normal(0, 1.5, 500)), "log"),
        (np.exp(RANDOM.normal(0, 1.5, 500)) - 0.5, "log"),  # some are negative
        (RANDOM.normal(5, 1, 500), "linear"),
        (RANDOM.uniform(0, 9, 500), "linear"),
        (-np.exp(RANDOM.normal(0, 1.5, 500)), "linear"),
        (RANDOM.integers(0, 5, 500).astype(float), "linear"),
        (np.ones(50), "linear"),
    ],
)
def test_skewed_numbers_are_noticed(values: np.ndarray, scale: str) -> None:
    assert noticed_scale(values) == scale


@pytest.mark.parametrize(
    ("values", "inflated"),
    [
        (np.where(RANDOM.random(500) < 0.9, 0, RANDOM.normal(9, 1, 500)), True),
        (np.where(RANDOM.random(500) < 0.4, 0, RANDOM.integers(1, 99, 500)), True),
        (RANDOM.poisson(0.4, 500), False),  # zeros belong to the counts
        (RANDOM.normal(0, 1, 500), False),
        (np.where(RANDOM.random(500) < 0.05, 0, RANDOM.normal(9, 1, 500)), False),
        (np.where(RANDOM.random(500) < 0.9, 0, 1), False),  # two values
    ],
)
def test_zero_inflated_numbers_are_noticed(values: np.ndarray, inflated: bool) -> None:
    assert is_zero_inflated(values) == inflated


def test_the_logarithmic_scale_by_hand() -> None:
    scaled = Scaled(["linear", "log"], [1.0, 2.0]).forward(torch.tensor([[3.0, 2.0], [-1.0, 0.0]], dtype=torch.float64))
    assert scaled.tolist() == [[3.0, pytest.approx(math.log(1 + math.sqrt(2)))], [-1.0, 0.0]]
    assert unit_of(np.array([0.0, 5.0, -5.0, math.nan])) == 5.0
    assert unit_of(np.zeros(3)) == 1.0


@given(st.lists(st.floats(-1e9, 1e9), min_size=1, max_size=20))
def test_every_number_has_a_scaled_one_and_comes_back(values: list[float]) -> None:
    columns, own = Scaled(["log"], [0.5]), torch.tensor(values, dtype=torch.float64)[:, None]
    torch.testing.assert_close(columns.backward(columns.forward(own)), own, rtol=1e-12, atol=1e-12)


def test_a_table_of_numbers_scales_what_is_skewed_and_nothing_else() -> None:
    rows = np.stack([np.exp(RANDOM.normal(0, 2, 400)), RANDOM.normal(0, 1, 400)], axis=1)
    units = NumberUnits.of_rows(rows)
    assert units.scales.names == ["log", "linear"]
    x, cells = units.entered(rows)
    torch.testing.assert_close(x.mean(0), torch.zeros(2), atol=1e-5, rtol=0)
    torch.testing.assert_close(x.std(0, correction=0), torch.ones(2), atol=1e-5, rtol=0)
    np.testing.assert_allclose(units.outward(x.double()).numpy(), rows, rtol=1e-4)
    assert bool((cells.numpy() == rows).all())


def test_the_line_finds_a_path_for_log_normal_columns() -> None:
    from sklearn.ensemble import RandomForestClassifier

    from agents.explain import explain

    random = np.random.default_rng(0)
    hidden = random.normal(size=(360, 2))
    rows = np.exp(2 * (hidden @ random.normal(size=(2, 5)) + 0.3 * random.normal(size=(360, 5))))
    truth = (hidden[:, 0] > 0).astype(int)
    forest = RandomForestClassifier(20, random_state=0).fit(rows[:300], truth[:300])
    world = make_world(data=rows[:300], held_out=rows[300:], classifier=forest, latent_dim=2, check_rows=0, fit={"epochs": 60})
    paths = explain(world, range(60), walker="line")
    assert np.mean([path.success for path in paths]) >= 0.9  # on a linear scale: about 0.3
