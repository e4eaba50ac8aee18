"""Gaussian weights of one layer: KL divergence, Fisher information, and the moments of pre-activations.

All functions are pure. The weights of a layer with I inputs and O outputs are one matrix of I + 1 rows (I without a bias);
the last row is the bias, whose input is constantly one.

References:

[1] Houthooft et al., "VIME: Variational Information Maximizing Exploration", 2016, sections 2.3 to 2.5.
[2] Kingma, Salimans, Welling, "Variational Dropout and the Local Reparameterization Trick", 2015, section 2.2.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor

VARIANCE_FLOOR = 1e-12
"""Added to the variance of a pre-activation, so that the gradient of its root is finite for an all-zero input."""


class LayerWeights(NamedTuple):
    """Mean-field posterior of one layer.

    Attributes:
        mean: (I + 1, O), or (I, O) without a bias.
        scale: Standard deviations, positive, in the shape of ``mean``.
        bias: Whether the last row is a bias.
    """

    mean: Tensor
    scale: Tensor
    bias: bool = True


def inverse_softplus(scale: Tensor) -> Tensor:
    """Return rho with softplus(rho) = ``scale`` > 0, in any shape; does not overflow or cancel as log(exp(s) - 1) does."""
    return scale + torch.log(-torch.expm1(-scale))


def diagonal_kl(mean_new: Tensor, scale_new: Tensor, mean_old: Tensor, scale_old: Tensor) -> Tensor:
    """Elementwise KL[new || old] in nats of one-dimensional normals ([1] eq. 15, before the sum); shapes broadcast.

    ln(s_old / s_new) + (s_new^2 + (m_new - m_old)^2) / (2 s_old^2) - 1/2
    """
    ratio = scale_new / scale_old
    shift = (mean_new - mean_old) / scale_old
    return 0.5 * (ratio.square() + shift.square() - 1.0) - ratio.log()


def kl_to_prior(layers: Sequence[LayerWeights], prior_scale: float) -> Tensor:
    """Return KL[posterior || N(0, prior_scale^2)] in nats, summed over all weights of all layers, as a scalar tensor."""
    # All weights in one vector: separate sums for each layer take three times as long, forward and backward.
    mean = torch.cat([layer.mean.flatten() for layer in layers])
    scale = torch.cat([layer.scale.flatten() for layer in layers])
    squares = (mean.dot(mean) + scale.dot(scale)) / prior_scale**2
    return 0.5 * (squares - len(mean)) - scale.log().sum() + len(mean) * math.log(prior_scale)


def fisher_diagonal(scale: Tensor, rho: Tensor) -> tuple[Tensor, Tensor]:
    """Diagonal of the Hessian of KL[phi' || phi] at phi' = phi, for phi = (mean, rho) ([1] eq. 17).

    Returns:
        1 / scale^2 for the mean and 2 sigmoid(rho)^2 / scale^2 for rho, both in the shape of ``scale``.
    """
    precision = scale.square().reciprocal()
    return precision, 2.0 * torch.sigmoid(rho).square() * precision


def affine(inputs: Tensor, weights: Tensor, bias: bool) -> Tensor:
    """Multiply ``inputs`` (..., I), with a constant one appended if there is a bias, by ``weights``: (..., O)."""
    if not bias:
        return inputs @ weights
    return inputs @ weights[:-1] + weights[-1]


def pre_activation_moments(layer: LayerWeights, inputs: Tensor) -> tuple[Tensor, Tensor]:
    """Mean and variance (..., O) of the pre-activations under the posterior, for inputs (..., I) ([2] eq. 6)."""
    mean = affine(inputs, layer.mean, layer.bias)
    variance = affine(inputs.square(), layer.scale.square(), layer.bias)
    return mean, variance + VARIANCE_FLOOR


def sample_layer(layer: LayerWeights, inputs: Tensor, noise: Tensor) -> Tensor:
    """Pre-activations mean + sqrt(variance) * noise; ``noise`` (..., O) must be independent for every row ([2] eq. 6)."""
    if layer.bias:
        # A column of ones instead of a slice of the weights: the backward pass of a slice copies the whole matrix.
        inputs = torch.cat([inputs, inputs.new_ones(*inputs.shape[:-1], 1)], dim=-1)
    variance = inputs.square() @ layer.scale.square() + VARIANCE_FLOOR
    return inputs @ layer.mean + variance.sqrt() * noise
