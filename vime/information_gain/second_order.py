"""Information gain of a transition in nats: how far the posterior would move if it learned from that transition alone.

The gain is KL[q(w; phi') || q(w; phi)], where phi' follows from phi by one natural-gradient step of length lambda on the
transition's own loss. To second order (the KL's Hessian H at phi is diagonal and known) it is

    1/2 lambda^2 g^T H^-1 g = 1/2 lambda^2 sum_ij [ s_ij^2 g_mean_ij^2 + s_ij^2 / (2 sigmoid(rho_ij)^2) g_rho_ij^2 ]

With local reparameterization the gradients of one transition are outer products of a layer's input h and the gradient d of
the loss at its pre-activations,

    g_mean_ij = h_i d_j,        g_rho_ij = h_i^2 s_ij sigmoid(rho_ij) e_j,        e_j = d_j eps_j / sqrt(v_j),

so that the sum over the weights takes two matrix products per layer for the whole batch, and no per-transition gradient is
stored:

    1/2 lambda^2 { (h^2) [s^2] (d^2) + 1/2 (h^4) [s^4] (e^2) }

At lambda = 1 this is the exact gain of a conjugate Gaussian model to leading order in weight variance over noise variance,
hence the unit nats. Where the likelihood is sharp (weight variance far above noise variance) it overestimates without bound;
:mod:`vime.information_gain.linearized` does not. With S draws
the gradient is their mean, and the squares above become products over pairs of draws.

References:

[1] Houthooft et al., "VIME: Variational Information Maximizing Exploration", 2016, section 2.5, eq. 14 to 18.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from vime.bnn.dynamics import LOG_SD_RANGE, Head
from vime.bnn.gaussian_weights import LayerWeights, affine
from vime.errors import OptionError
from vime.information_gain.draws import LayerPass, chunks, forward, rows_of

SMALL_BATCH = 64
"""Up to this number of transitions, all pairs of draws are in one product: fewer, larger operations."""


def closed_form_gain(
    layers: Sequence[LayerWeights],
    head: Head,
    inputs: Tensor,
    targets: Tensor,
    noise: Sequence[Tensor],
    *,
    mask: Tensor | None = None,
    step_length: float = 1.0,
    unbiased: bool = False,
) -> Tensor:
    """Information gain of each transition to second order ([1] section 2.5), without building a graph.

    The cost is linear in B: two products of (S^2 / 2) B rows for each layer; of B rows for the first layer, whose input is
    the same for all draws.

    Args:
        layers: The posterior, plain tensors.
        head: Maps outputs to a normal over the target.
        inputs: (B, I), whitened.
        targets: (B, D), whitened.
        noise: One tensor (S, B or 1, O) for each layer, see :func:`draw_noise`. The same noise gives the same gains.
        mask: (D,) or (B, D), which targets count; None: all.
        step_length: lambda of [1].
        unbiased: Leave out the pairs of a draw with itself. The squared mean gradient is then estimated without bias, but
            the estimate may be negative, and with few draws it ranks transitions worse. Needs S >= 2.

    Returns:
        Gains (B,) in nats.

    Raises:
        OptionError: ``unbiased`` with one draw.

    Example:
        >>> import torch
        >>> from vime import DynamicsBNN, closed_form_gain
        >>> from vime.information_gain import draw_noise
        >>> bnn = DynamicsBNN(inputs=3, targets=2, hidden=(16,))
        >>> layers = bnn.frozen_posterior()
        >>> noise = draw_noise(layers, draws=2, batch=1, generator=torch.Generator().manual_seed(0), antithetic=True)
        >>> closed_form_gain(layers, bnn.head, torch.randn(5, 3), torch.randn(5, 2), noise).shape
        torch.Size([5])
    """
    draws = noise[0].shape[0]
    if unbiased and draws < 2:
        raise OptionError(f"the unbiased estimate needs at least 2 draws, got {draws}: pass draws=2 or unbiased=False")
    with torch.no_grad():
        squared = [k.scale.square() for k in layers]
        fourth = [s.square() for s in squared]
        gains = []
        for rows in chunks(len(inputs)):
            record, outputs = forward(layers, squared, inputs[rows], [rows_of(n, rows) for n in noise])
            counts = mask[rows] if mask is not None and mask.ndim == 2 else mask
            delta = _loss_gradient(head, outputs, targets[rows], counts)
            gains.append(_backward_sum(layers, squared, fourth, record, delta, unbiased))
    return 0.5 * step_length**2 * torch.cat(gains) if gains else inputs.new_zeros(0)


def _loss_gradient(head: Head, outputs: Tensor, targets: Tensor, mask: Tensor | None) -> Tensor:
    """Return d(-log N(y; m, s^2)) / d(outputs) in the shape of ``outputs`` (S, B, D or 2 D)."""
    mean, log_sd = head.split(outputs)
    error = (targets - mean) * torch.exp(-log_sd)
    d_mean = -error * torch.exp(-log_sd)
    if mask is not None:
        d_mean = d_mean * mask
    if head.fixed_sd is not None:
        return d_mean
    low, high = LOG_SD_RANGE
    share = (log_sd - low) / (high - low)  # the sigmoid of the raw output
    d_raw = (1.0 - error.square()) * ((high - low) * share * (1.0 - share))
    if mask is not None:
        d_raw = d_raw * mask
    return torch.cat([d_mean, d_raw], dim=-1)


def _backward_sum(
    layers: Sequence[LayerWeights],
    squared: Sequence[Tensor],
    fourth: Sequence[Tensor],
    record: Sequence[LayerPass],
    delta: Tensor,
    unbiased: bool,
) -> Tensor:
    """Return g^T H^-1 g of every row, (B,), from the ``delta`` of the last layer back to the first."""
    total = delta.new_zeros(delta.shape[1])
    for k in range(len(layers) - 1, -1, -1):
        layer, bias = record[k], layers[k].bias
        e = delta * layer.noise_ratio
        squares = layer.inputs.square()
        total += _pair_sum(layer.inputs, squared[k], delta, bias, unbiased)
        total += 0.5 * _pair_sum(squares, fourth[k], e, bias, unbiased)
        if k > 0:
            mean, variance = layers[k].mean, squared[k]
            if bias:
                mean, variance = mean[:-1], variance[:-1]
            upstream = delta @ mean.T + layer.inputs * (e @ variance.T)
            delta = upstream * (record[k - 1].pre_activation > 0)
    return total


def _pair_sum(left: Tensor, weights: Tensor, right: Tensor, bias: bool, unbiased: bool) -> Tensor:
    """Mean over pairs (a, c) of draws of sum_ij (left_a left_c)_i weights_ij (right_a right_c)_j: (B,).

    left (S or 1, B, I), weights (I [+ 1], O), right (S, B, O). All S^2 pairs, or those with a != c if ``unbiased``.
    """
    draws = len(right)
    if len(left) == 1:
        # The left side is common: the sum over pairs is the square of the sum over draws.
        product = right.sum(0).square()
        if unbiased:
            product = product - right.square().sum(0)
        pairs = draws * (draws - 1) if unbiased else draws * draws
        return (affine(left[0].square(), weights, bias) * product).sum(-1) / pairs
    first, second, weight = _pairs(draws, unbiased)
    if right.shape[1] <= SMALL_BATCH:
        products = affine(left[first] * left[second], weights, bias) * (right[first] * right[second])
        return torch.einsum("pbo,p->b", products, right.new_tensor(weight))
    # With many rows an array (pairs, B, .) would not fit in the cache: one pair at a time.
    total = right.new_zeros(right.shape[1])
    for a, c, w in zip(first, second, weight, strict=True):
        total.add_((affine(left[a] * left[c], weights, bias) * (right[a] * right[c])).sum(-1), alpha=w)
    return total


def _pairs(draws: int, unbiased: bool) -> tuple[list[int], list[int], list[float]]:
    """Return unordered pairs of draws and their weights, which sum to one."""
    count = draws * (draws - 1) if unbiased else draws * draws
    listed = [(a, c) for a in range(draws) for c in range(a, draws) if not (unbiased and a == c)]
    weights = [(1.0 if a == c else 2.0) / count for a, c in listed]
    return [a for a, _ in listed], [c for _, c in listed], weights
