"""Where everything is known in closed form: Bayesian linear regression with one weight per input."""

import math

import pytest
import torch
from pyro.infer import Trace_ELBO

from vime.bnn.dynamics import DynamicsBNN, Head, empty_guide
from vime.bnn.gaussian_weights import LayerWeights
from vime.information_gain import closed_form_gain, expected_gain
from vime.information_gain.gradient_step import gradient_step_gain


def exact_gain(s2, v, residual):
    """KL[N(m', s2') || N(m, s2)] after seeing y = w + e at distance ``residual`` from m."""
    s2_new = s2 * v / (s2 + v)
    shift = s2 / (s2 + v) * residual
    return 0.5 * (s2_new / s2 + shift**2 / s2 - 1 - torch.log(s2_new / s2))


def one_weight(s2, v):
    layer = LayerWeights(torch.zeros(1, 1, dtype=torch.float64), torch.full((1, 1), math.sqrt(s2), dtype=torch.float64), False)
    return [layer], Head(1, math.sqrt(v))


def test_closed_form_tends_to_the_exact_gain_as_the_noise_outweighs_the_weight():
    """No noise in the draw (its effect is the variance part); many draws average to the expectation."""
    residual = torch.tensor([[1.3]], dtype=torch.float64)
    x = torch.ones(1, 1, dtype=torch.float64)
    noise = [torch.randn(4000, 1, 1, generator=torch.Generator().manual_seed(0), dtype=torch.float64)]
    ratios = []
    for s2, v in ((0.01, 0.25), (0.0025, 0.25), (0.25, 25.0)):
        layers, head = one_weight(s2, v)
        ratios.append(float(closed_form_gain(layers, head, x, residual, noise) / exact_gain(torch.tensor(s2), v, 1.3)))
    assert all(0.98 < r < 1.1 for r in ratios), ratios
    layers, head = one_weight(0.25, 0.09)
    sharp = float(closed_form_gain(layers, head, x, residual, noise) / exact_gain(torch.tensor(0.25), 0.09, 1.3))
    assert sharp > 5  # the documented overestimate where the likelihood is sharp


def test_many_imagined_steps_give_the_exact_gain_even_where_the_likelihood_is_sharp():
    s2, v = 0.25, 0.09
    layers, head = one_weight(s2, v)
    y = torch.tensor([[1.3], [0.2], [0.0]], dtype=torch.float64)
    # Two opposite draws of one standard deviation: their mean gradient is the exact one for a linear model.
    noise = [torch.tensor([1.0, -1.0], dtype=torch.float64)[:, None, None]]
    found = gradient_step_gain(layers, head, torch.ones(3, 1, dtype=torch.float64), y, noise, step_length=0.1, steps=300)
    torch.testing.assert_close(found.double(), exact_gain(torch.tensor(s2), v, y[:, 0]), rtol=0.01, atol=1e-4)


@pytest.mark.parametrize(("s2", "v"), [(0.01, 0.25), (0.25, 0.25), (1.0, 0.09)])
def test_expected_gain_is_half_log_one_plus_snr_and_the_mean_of_exact_gains(s2, v):
    layers, head = one_weight(s2, v)
    g = torch.Generator().manual_seed(0)
    x = torch.ones(1, 1, dtype=torch.float64)
    known = 0.5 * math.log1p(s2 / v)
    found = expected_gain(layers, head, x, [torch.randn(1, 1, 1, generator=g, dtype=torch.float64)])
    assert float(found) == pytest.approx(known, rel=1e-9)
    y = torch.randn(200_000, generator=g, dtype=torch.float64) * math.sqrt(s2 + v)
    assert float(exact_gain(torch.tensor(s2), v, y).mean()) == pytest.approx(known, rel=0.02)


def test_training_by_the_elbo_finds_the_analytic_posterior():
    """Weight i is seen n_i times: precision 1/p^2 + n_i / v, mean = precision^-1 sum y / v."""
    prior, v, counts = 0.5, 0.3, (2, 8, 40)
    with torch.random.fork_rng():
        torch.manual_seed(0)
        bnn = DynamicsBNN(3, 1, hidden=(), prior_sd=prior, init_sd=0.2, noise=math.sqrt(v), bias=False)
        x = torch.cat([torch.eye(3)[i : i + 1].expand(n, -1) for i, n in enumerate(counts)])
        y = x @ torch.tensor([[0.8], [-0.5], [0.3]]) + math.sqrt(v) * torch.randn(len(x), 1)
        elbo, mask = Trace_ELBO(), torch.ones(1, dtype=torch.bool)
        optimizer = torch.optim.Adam(bnn.parameters(), lr=0.03)
        schedule = torch.optim.lr_scheduler.LinearLR(optimizer, 1.0, 0.01, total_iters=900)
        for _ in range(900):
            optimizer.zero_grad()
            elbo.differentiable_loss(bnn, empty_guide, x, y, mask, len(x)).backward()
            optimizer.step()
            schedule.step()
    (layer,) = bnn.frozen_posterior()
    precision = 1 / prior**2 + torch.tensor(counts) / v
    mean = (x.T @ y)[:, 0] / v / precision
    torch.testing.assert_close(layer.scale[:, 0], precision.rsqrt(), rtol=0.05, atol=0)
    torch.testing.assert_close(layer.mean[:, 0], mean, rtol=0.05, atol=0.02)
