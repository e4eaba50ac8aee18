"""The convex hull as a typical set, in one to three dimensions."""

from __future__ import annotations

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from envs import ManifoldError
from envs.manifolds import Prior
from envs.manifolds.hull import Hull

SQUARE = torch.tensor([[0.0, 0.0], [2.0, 0.0], [2.0, 1.0], [0.0, 1.0], [1.0, 0.5]])
CUBE = torch.tensor([[x, y, z] for x in (0.0, 1.0) for y in (0.0, 1.0) for z in (0.0, 1.0)])


@pytest.mark.parametrize(
    ("points", "code", "nearest"),
    [
        (SQUARE, (1.0, 3.0), (1.0, 1.0)),  # beside an edge
        (SQUARE, (-3.0, -4.0), (0.0, 0.0)),  # beyond a corner
        (SQUARE, (0.3, 0.7), (0.3, 0.7)),  # inside
        (CUBE, (0.25, 0.5, 3.0), (0.25, 0.5, 1.0)),  # over a face
        (CUBE, (0.25, 2.0, 3.0), (0.25, 1.0, 1.0)),  # beyond an edge
        (CUBE, (-1.0, -1.0, -1.0), (0.0, 0.0, 0.0)),
        (CUBE, (0.2, 0.3, 0.4), (0.2, 0.3, 0.4)),
        (torch.tensor([[0.5], [-2.0], [1.0]]), (-7.0,), (-2.0,)),
        (torch.tensor([[0.5], [-2.0], [1.0]]), (0.1,), (0.1,)),
    ],
)
def test_codes_are_moved_to_the_nearest_point(points, code, nearest):
    hull = Hull(points)
    z = torch.tensor([code])
    torch.testing.assert_close(hull.project(z), torch.tensor([nearest]))
    assert (float(hull.outside(z)) > 0) == (code != nearest)
    assert float(hull.outside(z)) <= math.dist(code, nearest) + 1e-6


@given(seed=st.integers(0, 60), d=st.integers(1, 3), scale=st.sampled_from([0.3, 1.0, 4.0, 100.0]))
def test_projections_are_inside_nearest_and_stay(seed, d, scale):
    generator = torch.Generator().manual_seed(seed)
    points = torch.randn(40, d, generator=generator)
    prior = Prior("hull", d, samples=points)
    z = scale * torch.randn(50, d, generator=generator)
    inside = prior.project(z)
    size = max(1.0, scale)
    assert float(prior.hull.outside(inside).max()) <= 1e-5 * size
    torch.testing.assert_close(prior.project(inside), inside, atol=1e-5, rtol=1e-5)
    kept = prior.hull.outside(z) == 0
    assert inside[kept].equal(z[kept])
    # No mixture of the points, so no point of the hull, is nearer; nor is a corner.
    share = torch.rand(50, 40, generator=generator) ** 8
    mixture = share @ points / share.sum(1, keepdim=True)
    gap = (inside - z).norm(dim=1)
    assert (gap <= (mixture - z).norm(dim=1) + 1e-4 * size).all()
    assert (gap <= torch.cdist(z, points).amin(1) + 1e-4 * size).all()


def test_what_was_passed_is_not_written_to():
    z = torch.tensor([[9.0, 9.0], [1.0, 0.5]])
    before = z.clone()
    Hull(SQUARE).project(z)
    assert z.equal(before)


def test_the_samples_of_the_prior_lie_inside_and_it_has_no_law():
    prior = Prior("hull", 2, samples=SQUARE)
    drawn = prior.sample(100, torch.Generator().manual_seed(0))
    assert prior.contains(drawn, tolerance=1e-6).all()
    assert prior.radius == 2.0
    with pytest.raises(ManifoldError, match="no density"):
        prior.log_prob(drawn)
    with pytest.raises(ManifoldError, match="not independent"):
        prior.cdf(drawn)


@pytest.mark.parametrize(
    ("points", "match"),
    [
        (torch.randn(20, 4, generator=torch.Generator().manual_seed(0)), "at most 3 dimensions here, not 4"),
        (torch.linspace(0, 1, 9)[:, None].expand(-1, 2), "do not span 2 dimensions"),
        (torch.zeros(5, 1), "nowhere to walk"),
        (torch.zeros(2, 2), "do not span 2 dimensions"),
    ],
)
def test_points_without_a_hull_are_refused(points, match):
    with pytest.raises(ManifoldError, match=match):
        Hull(points)
