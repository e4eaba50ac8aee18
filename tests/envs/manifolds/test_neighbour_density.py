"""Typicality from the nearest real codes: what it ranks, its bound, and worlds that use it."""

import pytest
import torch

from envs import make_world
from envs.building.world import build
from envs.core.dynamics import start, step
from envs.errors import ManifoldError
from envs.manifolds import Manifold
from envs.manifolds.neighbour_density import MOST_ROWS, Neighbours


@pytest.fixture(scope="module")
def ring() -> tuple[torch.Tensor, Neighbours]:
    """Codes on a ring with unequal scales, and their neighbours: the middle is empty."""
    generator = torch.Generator().manual_seed(0)
    angle = 2 * torch.pi * torch.rand(600, generator=generator)
    z = 2 * torch.stack([angle.cos(), 100 * angle.sin()], 1)
    z += torch.tensor([0.1, 10.0]) * torch.randn(600, 2, generator=generator)
    return z, Neighbours.fit(z)


def test_the_empty_middle_of_a_ring_is_less_typical_than_the_ring(ring):
    z, near = ring
    assert float(near.typicality(torch.zeros(1, 2))) < 0.2 < 0.9 < float(near.typicality(z).mean())
    assert not near.contains(torch.zeros(1, 2))
    assert near.contains(z).float().mean() >= 0.99


def test_codes_outside_move_just_inside_and_others_stay(ring):
    z, near = ring
    given = torch.tensor([[9.0, 900.0], [0.0, 0.0], [torch.nan, 0.0], [1e30, 0.0]])
    moved = near.project(torch.cat([given, z[:1]]))
    assert near.contains(moved).all()
    assert (near.distance(moved[:2]) > 0.8 * near.limit).all(), "no further than to the edge"
    assert moved[-1].equal(z[0])
    assert (near.typicality(given[2:]) < 1e-3).all()


def test_of_many_codes_as_many_are_drawn_by_the_seed():
    z = torch.randn(MOST_ROWS + 50, 2, generator=torch.Generator().manual_seed(0))
    first, again, other = (Neighbours.fit(z, seed=seed) for seed in (1, 1, 2))
    assert len(first.codes) == MOST_ROWS
    assert first.codes.equal(again.codes)
    assert not first.codes.equal(other.codes)


def test_equal_codes_have_a_typical_set_of_one_point():
    near = Neighbours.fit(torch.ones(20, 3))
    assert near.typicality(torch.ones(1, 3)) == 1
    assert near.project(torch.zeros(1, 3)).allclose(torch.ones(1, 3), atol=1e-6)


def test_what_cannot_be_is_refused_with_the_way_out():
    with pytest.raises(ManifoldError, match="at least 7 codes, got 6"):
        Neighbours.fit(torch.zeros(6, 2))
    with pytest.raises(ManifoldError, match="not finite"):
        Neighbours.fit(torch.full((50, 2), torch.nan))


@pytest.mark.parametrize(
    "settings",
    [
        {"data": "digits"},
        {"data": "digits", "basis": "principal", "basis_dim": 3},
        {"data": "oscillator"},
        {"data": "sentences"},
    ],
    ids=lambda settings: "-".join(map(str, settings.values())),
)
def test_steps_stay_in_the_typical_set_and_a_rebuilt_world_finds_the_same_neighbours(settings, tmp_path):
    world = make_world(**settings, typicality="neighbours", progress=False)
    state = start(world, torch.arange(4), torch.ones(4, dtype=torch.int64))
    for _ in range(4):
        state, info = step(world, state, torch.ones(4, world.latent_dim))
    assert world.manifold.density.distance(state.z).max() <= world.manifold.density.limit * (1 + 1e-4)
    world.manifold.save(tmp_path)
    saved = Manifold.load(tmp_path)
    assert saved.density is None, "no real codes are saved"
    saved.attach(world.classifier)
    again = build(world.config, saved, progress=False)
    torch.testing.assert_close(again.manifold.typicality(state.z), info.typicality)
