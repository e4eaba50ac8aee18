"""Every posterior behind its interface, and the exact ones against closed forms."""

import numpy as np
import pytest
import torch
from gymnasium import spaces
from pyro.infer import autoguide

from vime import VIME, OptionError
from vime.information_gain import gain_of_moments
from vime.posteriors import POSTERIORS, WeightSites
from vime.posteriors.base import Architecture
from vime.posteriors.leverage import Leverage
from vime.posteriors.spectral_noise import SpectralNoise, Spectrum
from vime.posteriors.weight_sites import GUIDES

EVERY = pytest.mark.parametrize("kind", list(POSTERIORS))
SMALL = {"min_pool": 64, "updates": 20, "batch_size": 64, "hidden": (12,), "estimator": "linearized"}


def fitted(toy, kind, **options):
    bonus = VIME(toy.observation_space, toy.action_space, posterior=kind, **(SMALL | options))
    bonus.add(*toy.draw(300, seed=1))
    bonus.fit()
    return bonus


@EVERY
@pytest.mark.parametrize("noise", ["heteroscedastic", 0.3])
def test_scores_are_finite_and_resume_exactly(kind, noise, toy):
    bonus = fitted(toy, kind, noise=noise)
    scores = bonus.score(*toy.draw(50, seed=2))
    assert torch.isfinite(scores).all()
    assert (scores >= 0).all()
    assert scores.std() > 0.01 * scores.mean()
    other = VIME(toy.observation_space, toy.action_space, posterior=kind, **(SMALL | {"noise": noise, "seed": 7}))
    other.load_state_dict(bonus.state_dict())
    for one in (bonus, other):
        one.add(*toy.draw(50, seed=3))
        one.fit()
    assert torch.equal(bonus.score(*toy.draw(50, seed=2)), other.score(*toy.draw(50, seed=2)))
    assert torch.equal(
        bonus.expected_information_gain(*toy.draw(9, seed=2)[:2]), other.expected_information_gain(*toy.draw(9, seed=2)[:2])
    )


@EVERY
def test_the_process_is_left_alone(kind, toy):
    import pyro

    torch.manual_seed(3)
    state, store = torch.get_rng_state(), set(pyro.get_param_store().keys())
    fitted(toy, kind).score(*toy.draw(20, seed=2))
    assert torch.equal(torch.get_rng_state(), state)
    assert set(pyro.get_param_store().keys()) == store


@EVERY
def test_a_state_of_another_posterior_is_refused(kind, toy):
    other = "mean_field" if kind != "mean_field" else "last_layer"
    with pytest.raises(ValueError, match=f"kind='{kind}'"):
        fitted(toy, other).load_state_dict(fitted(toy, kind).state_dict())


@EVERY
def test_a_rollout_that_repeats_itself_is_worth_less_and_less(kind, toy):
    """The second visit in one rollout is worth less than the first; by itself each is worth the same."""
    bonus = fitted(toy, kind, noise=0.3, joint=True, updates=200)
    once = toy.draw(1, seed=8, scale=3.0)
    repeated = bonus.encode(*(np.repeat(part, 20, 0) for part in once))
    alone, within = bonus.score_transitions(repeated), bonus.score_rollout(repeated)
    torch.testing.assert_close(alone, alone[:1].expand(20), rtol=1e-4, atol=1e-6)
    torch.testing.assert_close(within[0], alone[0], rtol=1e-3, atol=1e-6)
    assert (within.diff() <= 1e-6).all()
    assert within[-1] < 0.5 * within[0]


@pytest.mark.parametrize("kind", ["mean_field", "last_layer"])
def test_anchored_noise_is_the_observed_one_and_typical_elsewhere(kind, noisy_toy):
    bonus = fitted(noisy_toy, kind, noise="anchored", pool_size=6000)
    bonus.add(*noisy_toy.draw(4000, seed=4))
    bonus.fit(300)
    data = noisy_toy.draw(500, seed=5)
    inputs, _ = bonus.whitened(bonus.encode(*data))
    noise, on = bonus.posterior.moments(inputs).noise, torch.from_numpy(data[1][:, 0] > 0.3)
    off = torch.from_numpy(data[1][:, 0] < -0.3)
    assert noise[on][:, 2:].median() > 3 * noise[off][:, 2:].median()
    far = bonus.posterior.moments(inputs * 30.0).noise.log()
    spread = bonus.posterior.noise.typical
    assert (far.median(0).values - spread.clamp(min=-4.6)).abs().max() < 1.0


def test_spectral_features_are_a_gaussian_kernel():
    torch.manual_seed(0)
    spectrum = Spectrum.draw(3, features=4096, length=0.5)
    x = torch.randn(6, 3)
    kernel = torch.exp(-torch.cdist(x, x).square() / (2 * 0.25 * 3))
    torch.testing.assert_close(spectrum(x) @ spectrum(x).T, kernel, rtol=0, atol=0.08)


def test_spectral_noise_is_the_typical_one_far_from_the_data():
    torch.manual_seed(0)
    x = torch.randn(4000, 1)
    noise = SpectralNoise(Spectrum.draw(1), targets=1)
    noise.fit(x, torch.randn(4000, 1) * 0.5)
    assert float(noise(torch.full((1, 1), 50.0))) == pytest.approx(0.25, rel=0.3)


# ---- the last layer -------------------------------------------------------------------------------------------------


def test_the_regression_is_exact_whatever_the_order_of_the_rows():
    g = torch.Generator().manual_seed(0)
    phi, y = torch.randn(30, 4, generator=g), torch.randn(30, 2, generator=g)
    whole, online = Leverage(4, 2), Leverage(4, 2)
    for one in (whole, online):
        one.begin(2.0, torch.ones(2))
    whole.add(phi, y)
    for i in torch.randperm(30, generator=g):
        online.add(phi[i : i + 1], y[i : i + 1])
    precision = phi.double().T @ phi.double() + torch.eye(4).double() / 2.0
    covariance = torch.linalg.inv(precision)
    probe = torch.randn(5, 4, generator=g)
    exact = torch.einsum("bi,ij,bj->b", probe.double(), covariance, probe.double())
    for one in (whole, online):
        torch.testing.assert_close(one(probe).double(), exact, rtol=1e-4, atol=0)
        torch.testing.assert_close(one.mean.double(), covariance @ phi.double().T @ y.double(), rtol=1e-4, atol=1e-5)


def test_another_noise_is_weighed_in_without_the_data():
    """The sums of the data depend on neither prior nor noise, so that a fit adds the pool once."""
    rows, answers, noise = torch.randn(40, 5), torch.randn(40, 2), torch.tensor([0.5, 2.0])
    again, once = Leverage(5, 2), Leverage(5, 2)
    again.begin(3.0, noise), again.add(rows, answers)
    once.begin(7.0, torch.ones(2)), once.add(rows, answers), once.weigh(3.0, noise)
    assert torch.equal(again.mean, once.mean)
    assert torch.equal(again(rows), once(rows))
    assert torch.equal(again.noise, once.noise)


def test_what_was_added_is_known_at_once_and_never_forgotten(toy):
    bonus = fitted(toy, "last_layer", noise=0.1)
    event = toy.draw(1, seed=9, scale=4.0)
    before = float(bonus.score(*event))
    bonus.add(*event)
    assert float(bonus.score(*event)) < 0.3 * before
    inputs = bonus.whitened(bonus.encode(*event))[0]
    known = bonus.posterior.moments(inputs).epistemic
    bonus.add(*toy.draw(2000, seed=10))  # online: no fit has run since
    assert (bonus.posterior.moments(inputs).epistemic <= known * 1.001).all()


# ---- weights as sample sites ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("guide", [*GUIDES, autoguide.AutoNormal])
def test_any_guide_trains_and_scores(guide, toy):
    bonus = fitted(
        toy, "weight_sites", posterior_options={"guide": guide, "weight_draws": 8}, hidden=(6,), noise=0.3, updates=5
    )
    assert torch.isfinite(bonus.score(*toy.draw(20, seed=2))).all()


def test_a_full_covariance_guide_finds_the_analytic_posterior_and_its_exact_gain():
    """Correlated inputs, which independent weights cannot describe. Linear regression with the bias as one more input."""
    torch.manual_seed(0)
    base = torch.randn(40, 1)
    x = torch.cat([base, base + 0.3 * torch.randn(40, 1)], 1)
    y = x @ torch.tensor([[0.7], [-0.2]]) + 0.3 * torch.randn(40, 1)
    posterior = WeightSites(
        Architecture(2, 1, (), 0.5, 0.1, 0.3, 0.02, {"guide": "AutoMultivariateNormal", "weight_draws": 2000})
    )
    mask = torch.ones(1, dtype=torch.bool)
    for rate in (0.02, 0.005, 0.001):
        for group in posterior.optimizer.param_groups:
            group["lr"] = rate
        posterior.fit([(x, y)] * 1000, mask, 40, lambda loss, update: None)
    rows = torch.cat([x, torch.ones(40, 1)], 1)
    covariance = torch.linalg.inv(rows.T @ rows / 0.09 + torch.eye(3) / 0.25)
    probe = torch.tensor([[1.0, 1.0], [1.0, -1.0], [-1.0, 1.0], [2.0, 2.0]])
    seen = torch.cat([probe, torch.ones(4, 1)], 1)
    exact = torch.einsum("bi,ij,bj->b", seen, covariance, seen)
    found = posterior.moments(probe)
    torch.testing.assert_close(found.epistemic[:, 0], exact, rtol=0.35, atol=0)
    targets = torch.full((4, 1), 0.5)
    expected = gain_of_moments(found._replace(mean=seen @ (covariance @ rows.T @ y / 0.09), epistemic=exact[:, None]), targets)
    torch.testing.assert_close(gain_of_moments(found, targets), expected, rtol=0.35, atol=0.02)


# ---- clear errors ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"posterior": "laplace"}, "posterior must be one of 'mean_field'"),
        ({"posterior": "last_layer", "estimator": "second_order"}, "needs posterior=\"mean_field\""),
        ({"noise": "anchored", "estimator": "second_order"}, "needs posterior=\"mean_field\""),
        ({"posterior": "deep_ensemble", "noise": "anchored"}, "needs the posterior \"mean_field\" or \"last_layer\""),
        ({"posterior": "deep_ensemble", "posterior_options": {"members": 1}}, "members must be at least 2"),
        ({"posterior": "weight_sites", "posterior_options": {"guide": "AutoGaussian"}}, "guide must be one of"),
        ({"posterior_options": {"members": 3}}, "MeanField takes no members"),
        ({"joint": True, "estimator": "second_order"}, "joint=True needs"),
    ],
)  # fmt: skip
def test_impossible_combinations_are_named(options, message, toy):
    with pytest.raises(OptionError, match=message):
        VIME(toy.observation_space, toy.action_space, **(SMALL | options))


def test_nats_of_one_hot_worlds_stay_in_the_range_of_the_exact_gain():
    """A deterministic walk over 64 one-hot states: today's second order scores millions of nats."""
    space = spaces.Discrete(64)
    draw = np.random.default_rng(0)
    state = np.minimum(draw.geometric(0.08, 3001) - 1, 62)
    for kind in ("mean_field", "last_layer"):
        bonus = VIME(space, spaces.Discrete(2), posterior=kind, noise="anchored", estimator="linearized", updates=100)
        bonus.add(state[:-1], np.zeros(3000, int), np.minimum(state[:-1] + 1, 62))
        bonus.fit()
        known = bonus.score(state[:500], np.zeros(500, int), np.minimum(state[:500] + 1, 62))
        first = bonus.score(np.array([20]), np.array([1]), np.array([63]))
        assert known.max() < 100.0
        assert known.max() < first < 1000.0
