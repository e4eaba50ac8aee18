"""Priors: distributions, samples, typical sets."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from envs import ManifoldError
from envs.manifolds import Prior

SAMPLES = np.random.default_rng(0).gamma(2.0, size=500)
CODES = np.random.default_rng(1).normal(size=(400, 4)) * [1, 2, 3, 4]


def prior_of(kind: str, dim: int = 4) -> Prior:
    return Prior(kind, dim, samples={"empirical": SAMPLES, "none": CODES}.get(kind))


KINDS = ["normal", "uniform", "sphere", "empirical", "none"]
IID = ["normal", "uniform", "empirical"]


@pytest.mark.parametrize("kind", IID)
def test_cdf_and_ppf_are_inverse(kind):
    prior = prior_of(kind)
    u = torch.linspace(0.01, 0.99, 99, dtype=torch.float64)
    z = prior.ppf(u)
    assert (z.diff() >= 0).all()
    torch.testing.assert_close(prior.cdf(z), u, atol=1e-6, rtol=1e-6)


@pytest.mark.parametrize(("kind", "law"), [("normal", stats.norm()), ("uniform", stats.uniform(-1, 2))])
def test_samples_have_the_priors_law(kind, law):
    z = prior_of(kind).sample(5000, torch.Generator().manual_seed(0)).double().numpy()
    assert stats.kstest(z.ravel(), law.cdf).statistic < 1.63 / math.sqrt(z.size)
    assert np.abs(np.corrcoef(z.T) - np.eye(4)).max() < 0.05
    points = torch.linspace(-0.9, 0.9, 7)
    np.testing.assert_allclose(prior_of(kind).cdf(points), law.cdf(points.numpy()), atol=1e-6)
    z = points[:, None].expand(-1, 4)
    np.testing.assert_allclose(prior_of(kind).log_prob(z), law.logpdf(z.numpy()).sum(1), rtol=1e-5)


def test_empirical_samples_have_the_law_of_the_given_ones():
    z = prior_of("empirical").sample(5000, torch.Generator().manual_seed(0)).numpy().ravel()
    assert stats.ks_2samp(z, SAMPLES).statistic < 1.63 * math.sqrt(1 / len(SAMPLES) + 1 / len(z))


def test_sphere_samples_lie_evenly_on_the_sphere():
    z = prior_of("sphere").sample(4000, torch.Generator().manual_seed(0))
    torch.testing.assert_close(z.norm(dim=1), torch.full((4000,), 2.0))
    assert z.mean(0).abs().max() < 0.1
    # A coordinate on the sphere of radius sqrt(d) in d = 4: (z / 2)^2 ~ Beta(1/2, 3/2).
    assert stats.kstest((z[:, 0].double().numpy() / 2) ** 2, stats.beta(0.5, 1.5).cdf).statistic < 1.63 / math.sqrt(4000)


@pytest.mark.parametrize("kind", KINDS)
def test_samples_are_repeatable_and_leave_the_global_generator_alone(kind):
    before = torch.get_rng_state()
    a, b = (prior_of(kind).sample(10, torch.Generator().manual_seed(3)) for _ in range(2))
    assert a.equal(b)
    assert a.shape == (10, 4)
    assert a.dtype == torch.float32
    assert before.equal(torch.get_rng_state())


@pytest.mark.parametrize("kind", KINDS)
@given(seed=st.integers(0, 30), scale=st.sampled_from([1e-3, 0.5, 2.0, 1e4]))
def test_projecting_lands_in_the_typical_set_and_twice_is_once(kind, seed, scale):
    prior = prior_of(kind)
    z = scale * torch.randn(20, 4, generator=torch.Generator().manual_seed(seed))
    inside = prior.project(z)
    assert prior.contains(inside).all()
    torch.testing.assert_close(prior.project(inside), inside)
    assert float(inside.abs().max()) <= prior.radius * (1 + 1e-5)
    if kind != "sphere":
        kept = prior.contains(z, tolerance=0.0)
        assert inside[kept].equal(z[kept]), "codes inside stay where they are"
        # Nearest: no sampled point of the set is nearer.
        other = prior.project(torch.randn(20, 4, generator=torch.Generator().manual_seed(seed + 1)))
        assert ((inside - z).norm(dim=1) <= (other - z).norm(dim=1) * (1 + 1e-5) + 1e-6).all()


@pytest.mark.parametrize("d", [1, 2, 8, 100])
def test_the_typical_ball_holds_the_stated_mass(d):
    prior = Prior("normal", d, mass=0.9)
    assert stats.chi.cdf(prior.radius, d) == pytest.approx(0.9)
    z = prior.sample(4000, torch.Generator().manual_seed(0))
    assert float(prior.contains(z).float().mean()) == pytest.approx(0.9, abs=0.02)


@pytest.mark.parametrize(
    ("arguments", "match"),
    [
        ({"kind": "gaussian", "dim": 2}, "unknown prior 'gaussian'"),
        ({"kind": "normal", "dim": 0}, "at least one dimension"),
        ({"kind": "empirical", "dim": 2}, "pass samples="),
        ({"kind": "normal", "dim": 2, "mass": 1.0}, "mass"),
    ],
)
def test_impossible_priors_are_refused(arguments, match):
    with pytest.raises(ManifoldError, match=match):
        Prior(**arguments)


@pytest.mark.parametrize("kind", ["sphere", "none"])
def test_priors_without_independent_coordinates_say_so(kind):
    for question in (prior_of(kind).cdf, prior_of(kind).ppf):
        with pytest.raises(ManifoldError, match="not independent"):
            question(torch.zeros(1))
    with pytest.raises(ManifoldError, match="no density"):
        prior_of(kind).log_prob(torch.zeros(1, 4))
