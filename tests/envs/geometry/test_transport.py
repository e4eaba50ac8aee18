"""Operations that keep the prior: closed forms, Kolmogorov-Smirnov tests, and controls that must fail them."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from envs import ManifoldError
from envs.geometry.interpolation import lerp, slerp
from envs.geometry.transport import (
    CELLS,
    analogy,
    combine,
    root_mean_square,
    to_prior,
    two_point,
    uniform_sum_cdf,
    vicinity,
)
from envs.manifolds import Prior

D, ROWS = 16, 3_000


class Laplace:
    """An iid law given by its two functions alone: nothing here knows a closed form for its sums."""

    def cdf(self, z: torch.Tensor) -> torch.Tensor:
        return torch.from_numpy(stats.laplace.cdf(z.double().numpy()))

    def ppf(self, u: torch.Tensor) -> torch.Tensor:
        return torch.from_numpy(stats.laplace.ppf(u.double().numpy()))

    def sample(self, n: int, generator: torch.Generator) -> torch.Tensor:
        return self.ppf(torch.rand(n, D, generator=generator, dtype=torch.float64)).float()


def law(kind: str):
    if kind == "laplace":
        return Laplace()
    samples = np.random.default_rng(0).exponential(size=20_001) ** 0.7 if kind == "empirical" else None
    return Prior(kind, D, samples=samples)


LAWS = ["normal", "uniform", "empirical", "laplace"]


def ks(prior, z: torch.Tensor) -> float:
    """Kolmogorov-Smirnov distance of all coordinates to the prior's law in units of its 1 % critical value."""
    u = prior.cdf(z.double()).numpy().ravel()
    return stats.kstest(u, "uniform").statistic / (1.63 / math.sqrt(len(u)))


def draws(prior, n: int, seed: int = 0) -> list[torch.Tensor]:
    generator = torch.Generator().manual_seed(seed)
    return [prior.sample(ROWS, generator) for _ in range(n)]


@pytest.mark.parametrize("kind", LAWS)
def test_every_matched_operation_keeps_the_law_and_its_plain_form_does_not(kind):
    prior = law(kind)
    a, b, c, e = draws(prior, 4)
    assert ks(prior, a) < 1, "the sampler itself"
    quarter = [0.25] * 4
    matched = {
        "t = 0.25": two_point(prior, a, b, 0.25),
        "t = 0.5": two_point(prior, a, b, 0.5),
        "4-point": combine(prior, [a, b, c, e], quarter),
        "uneven 3-point": combine(prior, [a, b, c], [0.5, 0.3, 0.2]),
        "vicinity": vicinity(prior, a, b, 0.5),
        "analogy": analogy(prior, a, b, c),
    }
    plain = {
        "t = 0.25": lerp(a, b, 0.25),
        "t = 0.5": lerp(a, b, 0.5),
        "4-point": 0.25 * (a + b + c + e),
        "uneven 3-point": 0.5 * a + 0.3 * b + 0.2 * c,
        "vicinity": a + 0.5 * b,
        "analogy": c + b - a,
    }
    for name, z in matched.items():
        assert ks(prior, z) < 1, name
        assert ks(prior, plain[name]) > 3, f"the control of {name}"


def test_slerp_keeps_a_normal_coordinate_but_leaves_the_uniform_box():
    prior = law("uniform")
    a, b = draws(prior, 2)
    outside = (slerp(a, b, 0.5).abs() > 1).float().mean()
    assert float(outside) > 0.02
    assert ks(prior, slerp(a, b, 0.5)) > 5
    assert float(two_point(prior, a, b, 0.5).abs().max()) <= 1


def test_norms_of_midpoints_are_the_ones_of_theory():
    generator = torch.Generator().manual_seed(0)
    a, b = torch.randn(20_000, 100, generator=generator), torch.randn(20_000, 100, generator=generator)
    for z, mean, spread in (
        (lerp(a, b, 0.5), 50, 7.07),
        (slerp(a, b, 0.5), 100, 10.0),
        (two_point(Prior("normal", 100), a, b, 0.5), 100, 14.14),
    ):
        square = z.square().sum(1)
        assert float(square.mean()) == pytest.approx(mean, abs=0.5)
        assert float(square.std()) == pytest.approx(spread, rel=0.03)


@pytest.mark.parametrize("kind", ["uniform", "laplace"])
def test_a_matched_walk_keeps_the_law_where_a_plain_one_spreads(kind):
    prior, generator = law(kind), torch.Generator().manual_seed(1)
    z = free = prior.sample(ROWS, generator)
    for _ in range(10):
        u = prior.sample(ROWS, generator)
        z, free = vicinity(prior, z, u, 0.5), free + 0.5 * u
    assert ks(prior, z) < 1
    assert ks(prior, free) > 5


@given(st.floats(-1, 1), st.floats(0.01, 0.99))
def test_the_two_uniforms_formula_equals_the_sum_of_uniforms_and_the_numerical_convolution(y, t):
    prior = Prior("uniform", 1)
    at = torch.tensor([[y]], dtype=torch.float64)
    closed = to_prior(prior, at, (1 - t, t))
    torch.testing.assert_close(closed, 2 * uniform_sum_cdf(at, [1 - t, t]) - 1, rtol=0, atol=1e-9)


def test_numerical_convolution_equals_the_closed_forms():
    class Normal:
        cdf, ppf = staticmethod(torch.special.ndtr), staticmethod(torch.special.ndtri)

    class Uniform:
        cdf, ppf = Prior("uniform", 1).cdf, Prior("uniform", 1).ppf

    y = torch.linspace(-2, 2, 41, dtype=torch.float64)[:, None]
    for c in ((0.5, 0.5), (1.0, 0.3), (1.0, 1.0, -1.0)):
        numerical = to_prior(Normal(), y, c)
        torch.testing.assert_close(numerical, y / math.sqrt(sum(v * v for v in c)), rtol=0, atol=40 / CELLS)
    for c in ((0.5, 0.5), (0.25,) * 4, (1.0, 1.0, -1.0), (0.1,) * 10):
        inside = y * sum(abs(v) for v in c) / 2.0
        numerical, exact = to_prior(Uniform(), inside, c), to_prior(Prior("uniform", 1), inside, c)
        torch.testing.assert_close(numerical, exact, rtol=0, atol=40 / CELLS)


@pytest.mark.parametrize("kind", LAWS)
def test_the_map_is_monotone_and_identity_at_the_ends(kind):
    prior = law(kind)
    y = torch.linspace(-3, 6, 400)[:, None]
    for c in ((0.5, 0.5), (0.6, 0.2, 0.2), (1.0, 1.0, -1.0)):
        mapped = to_prior(prior, y, c)
        assert (mapped.diff(dim=0) >= -1e-6).all()
        assert mapped.isfinite().all()
    a, b = (part[:50] for part in draws(prior, 2))
    assert two_point(prior, a, b, 0.0).equal(a)
    assert two_point(prior, a, b, 1.0).equal(b)
    if kind in ("normal", "uniform"):
        torch.testing.assert_close(to_prior(prior, -y, (0.5, 0.5)), -to_prior(prior, y, (0.5, 0.5)))
    torch.testing.assert_close(two_point(prior, a, b, 0.3), two_point(prior, b, a, 0.7), rtol=0, atol=2e-3)


@given(st.integers(3, 12), st.floats(-1, 1))
def test_exact_sums_of_many_uniforms_stay_a_distribution(n, share):
    sizes = [1.0 / (k + 1) for k in range(n)]
    ends = torch.tensor([-sum(sizes), 0.0, sum(sizes)], dtype=torch.float64)
    torch.testing.assert_close(
        uniform_sum_cdf(ends, sizes), torch.tensor([0.0, 0.5, 1.0], dtype=torch.float64), rtol=0, atol=1e-7
    )
    y = torch.tensor([share * sum(sizes)], dtype=torch.float64)
    spread = math.sqrt(sum(c * c for c in sizes) / 3)
    assert abs(float(uniform_sum_cdf(y, sizes)) - stats.norm.cdf(float(y) / spread)) < 0.06


def test_matching_presumes_independent_draws():
    (a,) = draws(law("normal"), 1)
    same = two_point(law("normal"), a, a, 0.5)
    torch.testing.assert_close(same, a * math.sqrt(2))
    torch.testing.assert_close(slerp(a, a, 0.5), a)


def test_a_sphere_prior_is_kept_by_projection():
    prior = Prior("sphere", D)
    a, b, c = draws(prior, 3)
    for z in (two_point(prior, a, b, 0.5), analogy(prior, a, b, c), vicinity(prior, a, b, 0.5)):
        torch.testing.assert_close(z.norm(dim=1), torch.full((ROWS,), math.sqrt(D)))


def test_root_mean_squares():
    for kind in LAWS:
        prior = law(kind)
        seen = float(draws(prior, 1)[0].square().mean().sqrt())
        assert root_mean_square(prior) == pytest.approx(seen, rel=0.02), kind


def test_what_cannot_be_matched_is_named():
    points = torch.zeros(3, 2, D)
    with pytest.raises(ManifoldError, match="3 points need as many coefficients"):
        combine(law("normal"), points, [0.5, 0.5])
    with pytest.raises(ManifoldError, match="not all zero"):
        combine(law("normal"), points, [0, 0, 0])
    none = Prior("none", 2, samples=np.eye(2))
    hull = Prior("hull", 2, samples=np.array([[0.0, 0.0], [1.0, 0.0], [0.0, 1.0]]))
    for prior in (none, hull):
        with pytest.raises(ManifoldError, match=f"'{prior.kind}' prior has no distribution"):
            to_prior(prior, points, (0.5, 0.5))
        with pytest.raises(ManifoldError, match=f"'{prior.kind}' prior has no distribution"):
            root_mean_square(prior)
