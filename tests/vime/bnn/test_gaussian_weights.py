"""The mathematics of Gaussian weights against torch.distributions, autograd and sampling."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from vime.bnn.gaussian_weights import (
    LayerWeights,
    affine,
    diagonal_kl,
    fisher_diagonal,
    inverse_softplus,
    kl_to_prior,
    pre_activation_moments,
    sample_layer,
)

reals = st.floats(-3, 3)
scales = st.floats(0.01, 5)


@given(st.lists(st.tuples(reals, scales, reals, scales), min_size=1, max_size=20))
@settings(max_examples=50, deadline=None)
def test_diagonal_kl_is_torch_distributions(rows):
    m1, s1, m0, s0 = torch.tensor(rows, dtype=torch.float64).T
    normal = torch.distributions.Normal
    expected = torch.distributions.kl_divergence(normal(m1, s1), normal(m0, s0))
    torch.testing.assert_close(diagonal_kl(m1, s1, m0, s0), expected, rtol=1e-5, atol=1e-9)


def test_diagonal_kl_is_zero_at_equality_and_not_symmetric():
    mean, scale = torch.tensor([0.3, -1.0]), torch.tensor([0.2, 2.0])
    assert torch.all(diagonal_kl(mean, scale, mean, scale).abs() < 1e-7)
    gain = diagonal_kl(mean, scale, mean + 1, scale * 2).sum()
    compression = diagonal_kl(mean + 1, scale * 2, mean, scale).sum()
    assert abs(gain - compression) > 0.1


def test_kl_to_prior_sums_over_all_layers():
    layers = [
        LayerWeights(torch.randn(4, 3), torch.rand(4, 3) + 0.1),
        LayerWeights(torch.randn(3, 2), torch.rand(3, 2) + 0.1),
    ]
    normal = torch.distributions.Normal
    expected = sum(torch.distributions.kl_divergence(normal(k.mean, k.scale), normal(0.0, 0.5)).sum() for k in layers)
    torch.testing.assert_close(kl_to_prior(layers, 0.5), expected)


def test_fisher_diagonal_is_the_hessian_of_the_kl():
    mean, rho = torch.randn(3, dtype=torch.float64), torch.linspace(-3, 2, 3, dtype=torch.float64)
    softplus = torch.nn.functional.softplus

    def kl(phi):
        return diagonal_kl(phi[:3], softplus(phi[3:]), mean, softplus(rho)).sum()

    hessian = torch.autograd.functional.hessian(kl, torch.cat([mean, rho]))
    expected = torch.cat(fisher_diagonal(softplus(rho), rho))
    torch.testing.assert_close(hessian, torch.diag(expected), rtol=1e-8, atol=1e-8)


@given(st.floats(1e-4, 500))
def test_inverse_softplus_inverts_over_its_whole_range(scale):
    rho = inverse_softplus(torch.tensor(scale, dtype=torch.float64))
    assert torch.isfinite(rho)
    np.testing.assert_allclose(torch.nn.functional.softplus(rho), scale, rtol=1e-9)


def test_local_reparametrisation_has_the_moments_of_sampled_weights():
    g = torch.Generator().manual_seed(0)
    layer = LayerWeights(torch.randn(4, 3, generator=g), torch.rand(4, 3, generator=g) + 0.1)
    x = torch.randn(5, 3, generator=g)
    draws = 20_000
    weights = layer.mean + layer.scale * torch.randn(draws, 4, 3, generator=g)
    by_weights = torch.stack([affine(x, w, True) for w in weights[:: draws // 10_000]])
    mean, variance = pre_activation_moments(layer, x)
    error = (variance / len(by_weights)).sqrt()
    assert torch.all((by_weights.mean(0) - mean).abs() < 5 * error)
    torch.testing.assert_close(by_weights.var(0), variance, rtol=0.08, atol=0)
    by_noise = sample_layer(layer, x, torch.randn(10_000, 5, 3, generator=g))
    assert torch.all((by_noise.mean(0) - mean).abs() < 5 * error)
    torch.testing.assert_close(by_noise.var(0), variance, rtol=0.08, atol=0)


@pytest.mark.parametrize("bias", [True, False])
def test_a_sample_is_made_of_the_moments_in_any_shape(bias):
    g = torch.Generator().manual_seed(0)
    layer = LayerWeights(torch.randn(4, 3, generator=g), torch.rand(4, 3, generator=g) + 0.1, bias)
    x, noise = torch.randn(2, 5, 4 - bias, generator=g), torch.randn(2, 5, 3, generator=g)
    mean, variance = pre_activation_moments(layer, x)
    torch.testing.assert_close(sample_layer(layer, x, noise), mean + variance.sqrt() * noise)


def test_zero_inputs_without_a_bias_give_finite_gradients():
    mean, scale = torch.zeros(3, 2, requires_grad=True), torch.full((3, 2), 0.1, requires_grad=True)
    sample_layer(LayerWeights(mean, scale, bias=False), torch.zeros(1, 3), torch.ones(1, 2)).sum().backward()
    assert torch.isfinite(mean.grad).all()
    assert torch.isfinite(scale.grad).all()
