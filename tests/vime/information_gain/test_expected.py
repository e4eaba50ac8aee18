"""The expected gain (BALD) of networks with hidden layers, where the spread over draws counts.

Two references share no code with it: the exact variance of one hidden layer, and weights drawn by the Pyro program of
vime.bnn.weight_space. Tolerances are four standard errors of the Monte Carlo estimates. Each test also shows that they are
small: dropping or doubling the variance over draws (the first test) or the whole variance (the second) would be noticed.
"""

import math

import pyro.poutine as poutine
import pytest
import torch

from vime.bnn.dynamics import DynamicsBNN, Head
from vime.bnn.gaussian_weights import LayerWeights
from vime.bnn.weight_space import weight_space_program
from vime.information_gain import draw_noise, expected_gain

ERRORS = 4


def inputs(count):
    return torch.randn(count, 3, generator=torch.Generator().manual_seed(2), dtype=torch.float64)


def mean_and_error(estimates):
    """Mean of equally good independent estimates (K, B) and its standard error, both (B,)."""
    return estimates.mean(0), estimates.std(0) / math.sqrt(len(estimates))


def gain_in_blocks(layers, head, x, blocks, draws):
    """Expected gains (blocks, B) from so many draws each."""
    g = torch.Generator().manual_seed(0)
    return torch.stack([expected_gain(layers, head, x, draw_noise(layers, draws, 1, g)) for _ in range(blocks)])


def relu_moments(mean, variance):
    """E[h] and E[h^2] of h = max(0, N(mean, variance))."""
    sd = variance.sqrt()
    normal = torch.distributions.Normal(0.0, 1.0)
    above, density = normal.cdf(mean / sd), normal.log_prob(mean / sd).exp()
    return mean * above + sd * density, (mean**2 + variance) * above + mean * sd * density


@pytest.mark.parametrize("bias", [True, False])
def test_one_hidden_layer_has_a_closed_form(bias):
    """h_j = max(0, N(mu_j, v_j)), independent of each other and of the weights w_jd ~ N(m_jd, s_jd^2) behind them:

    Var[sum_j w_jd h_j] = sum_j s_jd^2 E[h_j^2] + m_jd^2 Var[h_j], and the gain is 1/2 sum_d ln(1 + Var / noise^2).
    """
    g = torch.Generator().manual_seed(1)
    rows = 1 if bias else 0
    layers = [
        LayerWeights(
            torch.randn(size + rows, out, generator=g, dtype=torch.float64),
            0.2 + 0.4 * torch.rand(size + rows, out, generator=g, dtype=torch.float64),
            bias,
        )
        for size, out in ((3, 8), (8, 2))
    ]
    noise, x = 0.5, inputs(6)
    seen = torch.cat([x, torch.ones(6, rows, dtype=torch.float64)], 1)
    first, square = relu_moments(seen @ layers[0].mean, seen**2 @ layers[0].scale ** 2)
    over_draws = (square - first**2) @ layers[1].mean[:8] ** 2
    within = square @ layers[1].scale[:8] ** 2 + (layers[1].scale[8] ** 2 if bias else 0.0)

    def gain(variance):
        return 0.5 * torch.log1p(variance / noise**2).sum(-1)

    exact = gain(within + over_draws)
    found, error = mean_and_error(gain_in_blocks(layers, Head(2, noise), x, blocks=40, draws=5000))
    assert torch.all((found - exact).abs() < ERRORS * error), (found, exact, error)
    for wrong in (gain(within), gain(within + 2 * over_draws), gain(0.5 * within + over_draws)):
        assert torch.all((wrong - exact).abs() > 10 * ERRORS * error)


def gain_of_weights(means, log_sds):
    """1/2 sum_d [ln(Var[m_d] + E[s_d^2]) - E[ln s_d^2]] from whole draws of the weights: (S, B, D) each -> (B,)."""
    total = means.var(0) + (2 * log_sds).exp().mean(0)
    return (0.5 * torch.log(total) - log_sds.mean(0)).sum(-1)


@pytest.mark.parametrize("noise", [0.4, "heteroscedastic"])
def test_two_hidden_layers_are_those_of_weights_drawn_by_the_pyro_program(noise):
    with torch.random.fork_rng():
        torch.manual_seed(4)
        bnn = DynamicsBNN(3, 2, hidden=(6, 5), init_sd=0.25, noise=noise).double()
        x, nothing, mask = inputs(4), None, torch.ones(2, dtype=torch.bool)
        model, guide = weight_space_program(bnn)
        normals = []
        for _ in range(2500):
            weights = poutine.trace(guide).get_trace(x, nothing, mask, len(x))
            site = poutine.trace(poutine.replay(model, weights)).get_trace(x, nothing, mask, len(x)).nodes["target"]
            normals.append((site["fn"].mean, site["fn"].variance.log() / 2))
    means, log_sds = (torch.stack(part) for part in zip(*normals, strict=True))
    oracle = gain_of_weights(means, log_sds)
    blocks = [gain_of_weights(m, s) for m, s in zip(means.split(100), log_sds.split(100), strict=True)]
    _, oracle_error = mean_and_error(torch.stack(blocks))
    found, found_error = mean_and_error(gain_in_blocks(bnn.frozen_posterior(), bnn.head, x, blocks=20, draws=2500))
    error = (oracle_error**2 + found_error**2).sqrt()
    assert torch.all((found - oracle).abs() < ERRORS * error), (found, oracle, error)

    def rescaled(factor):
        return gain_of_weights(means.mean(0) + factor * (means - means.mean(0)), log_sds)

    for factor in (0.0, math.sqrt(2.0)):
        assert torch.all((rescaled(factor) - oracle).abs() > 2 * ERRORS * error), (rescaled(factor), oracle, error)
