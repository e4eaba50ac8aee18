"""The benchmark of series: rivals and oracle."""

from __future__ import annotations

import numpy as np
import pytest
import torch

import envs
from envs.datasets.oscillator import load
from tests.benchmarks import series_paths
from tests.benchmarks.series.rivals import native_guide, neighbours, unlike
from tests.benchmarks.series.rocket import Rocket

ROWS = list(range(8))


@pytest.fixture(scope="module")
def world() -> envs.World:
    return envs.make_world(data="oscillator", progress=False)


@pytest.mark.parametrize("tau", [None, 0.9])
def test_a_native_guide_puts_one_interval_of_its_neighbour_into_the_input(world, tau):
    x = world.held_out.x[ROWS]
    found, (source, guide, target) = native_guide(world, ROWS, tau), unlike(world, ROWS, tau)
    assert bool(found.success.all())
    assert bool((source != target).all())
    for end, own, other in zip(found.x, x, guide, strict=True):
        moved = torch.nonzero(end != own).flatten()
        inside = torch.arange(int(moved[0]), int(moved[-1]) + 1)
        assert torch.equal(end[inside], other[inside])
    p = world.classifier.predict_proba(found.x)
    assert bool((p.argmax(1) != source).all() if tau is None else (p[range(8), target] >= tau).all())
    assert float(found.queries.min()) > 1


def test_neighbours_are_reference_series_and_cost_no_query_but_the_inputs(world):
    found = neighbours(world, ROWS, None)
    assert all(bool((world.reference.x == end).all(1).any()) for end in found.x)
    assert found.queries.tolist() == [1] * len(ROWS)


def test_the_oracle_learns_the_faults():
    data = load()
    oracle = Rocket(data.x[:200], data.truth[:200], seed=0)
    assert float((oracle.predict(data.held_out) == data.held_out_truth).mean()) > 0.9


def test_the_figures_of_ends_that_are_inputs(world):
    oracle = Rocket(load().x[:100], load().truth[:100], seed=0)
    x = world.held_out.x[ROWS]
    ends = series_paths.Ends(x, torch.ones(8, dtype=torch.bool), torch.ones(8))
    found = series_paths.figures(world, oracle, ends, ROWS)
    assert (found["validity"], found["changed"], found["l2"]) == (1.0, 0.0, 0.0)
    assert 0.5 < found["knn_ratio"] < 2
    assert np.isfinite(found["oracle"])
