"""The linearised gain against conjugate models, explicit Jacobians and refits of small networks."""

import math

import pytest
import torch
from scipy.stats import spearmanr
from torch.distributions import MultivariateNormal, kl_divergence
from torch.func import jacrev

from vime.bnn.dynamics import DynamicsBNN, Head
from vime.bnn.gaussian_weights import LayerWeights, affine
from vime.information_gain import (
    Moments,
    draw_noise,
    expected_gain_of_moments,
    gain_of_moments,
    gradient_step_gain,
    hidden_features,
    linearized_gain,
    mean_field_moments,
)


def network(hidden, noise=0.4, inputs=4, targets=3, scale=0.1, bias=True):
    with torch.random.fork_rng():
        torch.manual_seed(3)
        bnn = DynamicsBNN(inputs, targets, hidden=hidden, init_sd=scale, noise=noise, bias=bias)
        g = torch.Generator().manual_seed(1)
        layers = [
            LayerWeights(k.mean.double(), k.scale.double() * (0.5 + torch.rand(k.scale.shape, generator=g)), k.bias)
            for k in bnn.frozen_posterior()
        ]
    return layers, bnn.head


def batch(count, inputs=4, targets=3):
    g = torch.Generator().manual_seed(2)
    return (torch.randn(count, size, generator=g, dtype=torch.float64) for size in (inputs, targets))


def mean_of(layers, head, flat, x):
    """Predicted mean (D,) of one input under a flat vector of all weights."""
    hidden, used = x, 0
    for k, layer in enumerate(layers):
        weights = flat[used : used + layer.mean.numel()].view(layer.mean.shape)
        used += layer.mean.numel()
        hidden = affine(hidden, weights, layer.bias)
        hidden = torch.relu(hidden) if k < len(layers) - 1 else hidden
    return head.split(hidden)[0]


@pytest.mark.parametrize("ratio", [1e-3, 1e-2, 0.1, 1.0, 10.0, 100.0, 1e3])
def test_one_weight_is_exact_from_blunt_to_sharp_likelihoods(ratio):
    """Weight variance over noise variance from 1e-3 to 1e3; second order is 60,000 times too large at the upper end."""
    v = 0.04
    s2 = ratio * v
    residual = torch.tensor([0.0, 0.3, 1.3, 5.0], dtype=torch.float64)
    s2_new, shift = s2 * v / (s2 + v), s2 / (s2 + v) * residual
    exact = 0.5 * (s2_new / s2 + shift**2 / s2 - 1 - math.log(s2_new / s2))
    layer = LayerWeights(torch.zeros(1, 1).double(), torch.full((1, 1), math.sqrt(s2)).double(), False)
    found = linearized_gain([layer], Head(1, math.sqrt(v)), torch.ones(4, 1).double(), residual[:, None])
    torch.testing.assert_close(found, exact, rtol=1e-6, atol=1e-12)
    single = linearized_gain([LayerWeights(layer.mean.float(), layer.scale.float(), False)], Head(1, math.sqrt(v)),
                             torch.ones(4, 1), residual[:, None].float())  # fmt: skip
    torch.testing.assert_close(single.double(), exact, rtol=0.01, atol=1e-9)


def test_linear_regression_with_several_inputs_and_targets_is_exact():
    """The KL between the whole posteriors over the weights, before and after, by torch's own distributions."""
    layers, head = network(hidden=())
    x, y = batch(6)
    found = linearized_gain(layers, head, x, y)
    (layer,) = layers
    rows = torch.cat([x, torch.ones(6, 1).double()], 1)
    for i in range(6):
        exact = 0.0
        for d in range(3):
            before = MultivariateNormal(layer.mean[:, d], torch.diag(layer.scale[:, d] ** 2))
            precision = before.precision_matrix + torch.outer(rows[i], rows[i]) / head.fixed_sd**2
            centre = torch.linalg.solve(
                precision, before.precision_matrix @ layer.mean[:, d] + rows[i] * y[i, d] / head.fixed_sd**2
            )
            exact += kl_divergence(MultivariateNormal(centre, precision_matrix=precision), before)
        torch.testing.assert_close(found[i], exact, rtol=1e-6, atol=0)


@pytest.mark.parametrize("bias", [True, False])
@pytest.mark.parametrize("noise", [0.4, "heteroscedastic"])
@pytest.mark.parametrize("hidden", [(), (7,), (7, 6), (7, 6, 5)])
def test_epistemic_variances_are_those_of_the_explicit_jacobian(hidden, noise, bias):
    layers, head = network(hidden, noise, bias=bias)
    x, _ = batch(9)
    flat = torch.cat([k.mean.flatten() for k in layers])
    variance = torch.cat([k.scale.flatten() ** 2 for k in layers])
    jacobian = torch.stack([jacrev(lambda w, row=row: mean_of(layers, head, w, row))(flat) for row in x])
    found = mean_field_moments(layers, head, x)
    torch.testing.assert_close(found.epistemic, jacobian.square() @ variance, rtol=1e-9, atol=1e-12)
    torch.testing.assert_close(found.mean, torch.stack([mean_of(layers, head, flat, row) for row in x]))
    if noise == 0.4:
        torch.testing.assert_close(found.noise, torch.full_like(found.noise, 0.16), rtol=1e-6, atol=0)


def test_rows_do_not_depend_on_their_batch(monkeypatch):
    layers, head = network((7, 6))
    x, y = batch(40)
    whole = linearized_gain(layers, head, x, y)
    monkeypatch.setattr("vime.information_gain.draws.CHUNK", 7)
    torch.testing.assert_close(linearized_gain(layers, head, x, y), whole)
    order = torch.randperm(40, generator=torch.Generator().manual_seed(0))
    torch.testing.assert_close(linearized_gain(layers, head, x[order], y[order]), whole[order])
    assert linearized_gain(layers, head, x[:0], y[:0]).shape == (0,)


def test_masked_targets_do_not_count():
    layers, head = network((7,))
    x, y = batch(9)
    mask = torch.tensor([1.0, 0.0, 1.0]).double()
    other = y.clone()
    other[:, 1] = 100.0
    torch.testing.assert_close(
        linearized_gain(layers, head, x, y, mask=mask), linearized_gain(layers, head, x, other, mask=mask)
    )
    each = [linearized_gain(layers, head, x, y, mask=torch.eye(3).double()[d]) for d in range(3)]
    torch.testing.assert_close(sum(each), linearized_gain(layers, head, x, y))


def test_it_is_the_expected_gain_on_average():
    moments = Moments(*(torch.tensor([[value, 0.5]]).double() for value in (0.2, 3.0, 0.4)))
    g = torch.Generator().manual_seed(0)
    draws = (
        torch.randn(200_000, 2, generator=g, dtype=torch.float64) * (moments.epistemic + moments.noise).sqrt() + moments.mean
    )
    gains = gain_of_moments(Moments(*(part.expand(200_000, 2) for part in moments)), draws)
    assert float(gains.mean()) == pytest.approx(float(expected_gain_of_moments(moments)), rel=0.01)


@pytest.mark.parametrize("sharpness", [0.3, 1.0, 3.0])
def test_it_ranks_and_sizes_like_refits_of_small_networks(sharpness):
    """Brute force: the KL after 150 small natural-gradient steps on one transition, by 64 draws."""
    layers, head = network((6, 5), noise=0.3 / sharpness, scale=0.08)
    x, y = batch(24)
    x = x * torch.linspace(0.2, 2.0, 24, dtype=torch.float64)[:, None]
    noise = draw_noise(layers, 64, 1, torch.Generator().manual_seed(0), antithetic=True)
    refit = gradient_step_gain(layers, head, x, y, noise, step_length=0.05, steps=150).double()
    found = linearized_gain(layers, head, x, y)
    assert spearmanr(found, refit).statistic >= 0.9
    assert 0.5 <= float((found / refit).median()) <= 2.0


def test_features_reproduce_the_mean():
    layers, head = network((7, 6))
    x, _ = batch(5)
    torch.testing.assert_close(hidden_features(layers, x) @ layers[-1].mean, mean_field_moments(layers, head, x).mean)
