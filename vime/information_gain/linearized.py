r"""Information gain of a transition, exact for the network linearised in its weights; forward passes alone.

Linearise the prediction at the posterior mean, m_d(x; w) = m_d(x) + J_d(x) (w - mean). Under a normal posterior each output
is then a normal model with a known prior variance, S_d = J_d Cov[w] J_d^T (the epistemic variance), noise variance v_d and
residual r_d = y_d - m_d. Its posterior after y_d is normal too, and the KL between the two is exact:

    gain = 1/2 sum_d [ ln(1 + S_d / v_d) - S_d / (S_d + v_d) + r_d^2 S_d / (S_d + v_d)^2 ]

The first two terms are what is learned about the spread, the last is the shift of the mean. Where S << v the gain is the
second-order one; where the likelihood is sharp (S >> v) it grows as the logarithm of S / v, where second order grows as S / v
squared. In expectation over y it is the expected gain, 1/2 sum_d ln(1 + S_d / v_d).

For a mean-field network S_d is exact, without draws. A layer's weights contribute v_j = sum_i h_i^2 s_ij^2 to the
pre-activation j (local reparameterization [1]), and J_d Cov[w] J_d^T = sum over layers and units of v_j (dm_d / dz_j)^2; with
ReLU units the derivatives dm_d / dz_j are products of the mean weights of the later layers, masked. The outputs are treated
one by one: weights of hidden layers move several outputs together, so that the sum over d is exact where outputs share no
weights (no hidden layer, or a posterior over the last layer), and never below the joint log-determinant elsewhere.

References:

[1] Kingma, Salimans, Welling, "Variational Dropout and the Local Reparameterization Trick", 2015, section 2.2.
[2] MacKay, "Information-Based Objective Functions for Active Data Selection", 1992 (gains of linearised networks).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor

from vime.bnn.dynamics import Head
from vime.bnn.gaussian_weights import LayerWeights, affine
from vime.information_gain.draws import chunks


class Moments(NamedTuple):
    """What a posterior knows of the targets of B transitions, in whitened units; (B, D) each.

    Attributes:
        mean: Predicted means.
        epistemic: Variances of the prediction under the posterior over the weights.
        noise: Variances of the noise.
    """

    mean: Tensor
    epistemic: Tensor
    noise: Tensor


def gain_of_moments(moments: Moments, targets: Tensor, *, mask: Tensor | None = None) -> Tensor:
    """Exact gain of normal models, see the module's formula.

    Args:
        moments: Of the targets, before they are known.
        targets: (B, D).
        mask: (D,) or (B, D), which targets count; None: all.

    Returns:
        Gains (B,) in nats, at least 0.

    Example:
        >>> import torch
        >>> from vime.information_gain import Moments, gain_of_moments
        >>> one = torch.ones(1, 1)
        >>> gain_of_moments(Moments(0 * one, one, one), 2 * one)  # (ln 2 - 1/2 + 4/4) / 2
        tensor([0.5966])
    """
    mean, epistemic, noise = moments
    total = epistemic + noise
    share = epistemic / total
    per_target = torch.log1p(epistemic / noise) - share + (targets - mean).square() * share / total
    if mask is not None:
        per_target = per_target * mask
    return 0.5 * per_target.sum(-1).clamp(min=0.0)


def expected_gain_of_moments(moments: Moments, *, mask: Tensor | None = None) -> Tensor:
    """Mean of :func:`gain_of_moments` over the next observation: 1/2 sum_d ln(1 + S_d / v_d), (B,) in nats."""
    per_target = torch.log1p(moments.epistemic / moments.noise)
    return 0.5 * (per_target if mask is None else per_target * mask).sum(-1)


def mean_field_moments(layers: Sequence[LayerWeights], head: Head, inputs: Tensor) -> Moments:
    """Moments of a mean-field network, linearised at its mean weights.

    Args:
        layers: The posterior, plain tensors.
        head: Maps outputs to a normal over the target.
        inputs: (B, I), whitened.

    Returns:
        Moments (B, D) each.

    Example:
        >>> import torch
        >>> from vime import DynamicsBNN
        >>> from vime.information_gain import mean_field_moments
        >>> bnn = DynamicsBNN(inputs=3, targets=2, hidden=(16, 16), noise=0.3)
        >>> mean_field_moments(bnn.frozen_posterior(), bnn.head, torch.randn(5, 3)).epistemic.shape
        torch.Size([5, 2])
    """
    with torch.no_grad():
        squared = [k.scale.square() for k in layers]
        parts = [_moments_of_chunk(layers, squared, head, inputs[rows]) for rows in chunks(len(inputs))]
    if not parts:
        empty = inputs.new_zeros(0, head.targets)
        return Moments(empty, empty, empty)
    return Moments(*(torch.cat(part) for part in zip(*parts, strict=True)))


def linearized_gain(
    layers: Sequence[LayerWeights], head: Head, inputs: Tensor, targets: Tensor, *, mask: Tensor | None = None
) -> Tensor:
    """Information gain of each transition, exact for the linearised mean-field network.

    Args:
        layers: The posterior, plain tensors.
        head: Maps outputs to a normal over the target.
        inputs: (B, I), whitened.
        targets: (B, D), whitened.
        mask: (D,) or (B, D), which targets count; None: all.

    Returns:
        Gains (B,) in nats.

    Example:
        >>> import torch
        >>> from vime import DynamicsBNN, linearized_gain
        >>> bnn = DynamicsBNN(inputs=3, targets=2, hidden=(16,), noise=0.3)
        >>> linearized_gain(bnn.frozen_posterior(), bnn.head, torch.randn(5, 3), torch.randn(5, 2)).shape
        torch.Size([5])
    """
    return gain_of_moments(mean_field_moments(layers, head, inputs), targets, mask=mask)


def hidden_features(layers: Sequence[LayerWeights], inputs: Tensor) -> Tensor:
    """Inputs of the last layer under the mean weights, (B, H), with a constant column of ones if it has a bias."""
    hidden = inputs
    for layer in layers[:-1]:
        hidden = torch.relu(affine(hidden, layer.mean, layer.bias))
    return torch.cat([hidden, hidden.new_ones(len(hidden), 1)], 1) if layers[-1].bias else hidden


def _moments_of_chunk(layers: Sequence[LayerWeights], squared: Sequence[Tensor], head: Head, inputs: Tensor) -> Moments:
    """Forward: means and the variances that each layer adds. Backward: derivatives of the D means, without a graph."""
    hidden, added, active = inputs, [], []
    for k, layer in enumerate(layers):
        pre = affine(hidden, layer.mean, layer.bias)
        if k == len(layers) - 1:
            break
        added.append(affine(hidden.square(), squared[k], layer.bias))
        active.append((pre > 0).to(pre.dtype))
        hidden = pre * active[-1]
    last = layers[-1]
    epistemic = affine(hidden.square(), squared[-1][:, : head.targets], last.bias)
    slopes = last.mean[: hidden.shape[1], : head.targets]  # dm_d / dh_j, (H, D), the same for all rows
    if len(layers) > 1:
        epistemic = epistemic + (added[-1] * active[-1]) @ slopes.square()
    batched = slopes.unsqueeze(1)  # (H, B or 1, D)
    for k in range(len(layers) - 3, -1, -1):
        weights = layers[k + 1].mean[: active[k].shape[1]]
        masked = active[k + 1].T.unsqueeze(-1) * batched
        batched = (weights @ masked.flatten(1)).view(len(weights), len(inputs), head.targets)
        epistemic = epistemic + torch.einsum("bh,hbd->bd", added[k] * active[k], batched.square())
    mean, log_sd = head.split(pre)
    return Moments(mean, epistemic, (2.0 * log_sd).exp())
