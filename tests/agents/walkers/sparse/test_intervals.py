"""The search for few intervals of a series."""

from __future__ import annotations

import pytest
import torch

import envs
from agents.walkers.base import select
from agents.walkers.sparse.intervals import choose, ensemble_of, intervals
from envs.core import dynamics
from envs.modalities.series import SeriesUnits


@pytest.fixture(scope="module")
def world() -> envs.World:
    return envs.make_world(data="oscillator", progress=False)


@pytest.fixture(scope="module")
def searched(world):
    """States of some inputs, and the frames of reference series of their target classes."""
    state, _ = dynamics.enter(world, world.held_out.x[:6])
    rows = torch.stack([torch.nonzero(world.reference.label == k).flatten()[:4] for k in state.target])
    codes = world.reference.z[rows]
    frames = world.decode(codes.flatten(0, 1), state.home.repeated(4)).unflatten(0, (6, 4))
    return state, frames


def test_intervals_are_all_pairs_of_borders_of_each_channel_and_of_all():
    units = SeriesUnits.of_series(torch.randn(5, 3, 48).numpy(), (3, 48))
    found = intervals(units.shape, units.group_of).view(-1, 3, 48)
    channels = found.any(2).sum(1)
    assert set(channels.tolist()) == {1, 3}
    assert len(found.unique(dim=0)) == len(found) <= 500
    inner = found.any(1).int()
    assert bool((inner.diff(dim=1).abs().sum(1) <= 2).all())
    assert len(intervals((16, 400), torch.arange(400).repeat(16) // 17 * 17)) < 500


def test_what_is_found_arrives_within_the_budget(world, searched):
    state, frames = searched
    before = world.classifier.queries
    found = choose(world, state, frames, state.target, budget=18)
    assert world.classifier.queries - before == int(found.queries.sum())
    assert int(found.queries.max()) <= 18
    some = torch.nonzero(found.end >= 0).flatten()
    assert len(some) >= 4
    here = select(state, some)
    frame = world.units.holding(frames[some, found.end[some]], here.factual, ~found.free[some])
    seen = here._replace(frame=frame, prediction=world.predictions(frame, here.home))
    assert bool(world.task.arrived(world.reference, seen, world.task.goal(seen)).all())
    assert float(found.free[some].float().mean()) < 0.7


def test_one_by_one_is_as_all_at_once(world, searched):
    state, frames = searched
    together = choose(world, state, frames, state.target, budget=12)
    for i in range(3):
        row = torch.tensor([i])
        alone = choose(world, select(state, row), frames[row], state.target[row], budget=12)
        assert torch.equal(alone.free[0], together.free[i])
        assert int(alone.queries) == int(together.queries[i])


def test_nothing_is_found_without_a_change(world, searched):
    state, _ = searched
    found = choose(world, state, state.factual[:, None], state.target, budget=12)
    assert (found.end.tolist(), found.queries.tolist()) == ([-1] * 6, [0] * 6)


def test_the_ensemble_is_fitted_once_and_costs_no_query(world):
    before = world.classifier.queries
    assert ensemble_of(world) is ensemble_of(world)
    assert world.classifier.queries == before
