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
hence the unit nats. Where the likelihood is sharp (weight variance far above noise variance) it overestimates. With S draws
the gradient is their mean, and the squares above become products over pairs of draws.

References:

[1] Houthooft et al., "VIME: Variational Information Maximizing Exploration", 2016, section 2.5, eq. 14 to 18.
[2] Houlsby et al., "Bayesian Active Learning for Classification and Preference Learning", 2011.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import NamedTuple

import torch
from torch import Tensor

from vime.bnn.dynamics import LOG_SD_RANGE, Head
from vime.bnn.gaussian_weights import LayerWeights, affine, pre_activation_moments
from vime.errors import OptionError

CHUNK = 512
"""Transitions per chunk, so that the intermediate arrays (S, CHUNK, width) fit in the processor's cache."""

SMALL_BATCH = 64
"""Up to this number of transitions, all pairs of draws are in one product: fewer, larger operations."""


class LayerPass(NamedTuple):
    """Forward pass of one layer.

    Attributes:
        inputs: (S or 1, B, I).
        pre_activation: (S, B, O).
        noise_ratio: eps / sqrt(v), (S, B, O).
    """

    inputs: Tensor
    pre_activation: Tensor
    noise_ratio: Tensor


def draw_noise(
    layers: Sequence[LayerWeights], draws: int, batch: int, generator: torch.Generator, *, antithetic: bool = False
) -> list[Tensor]:
    """Draw the noise of a gain: independent standard normals for every draw, row and unit.

    Args:
        layers: The posterior.
        draws: S, the number of draws of the network.
        batch: B, the number of rows. With 1 all rows share the noise of a draw (common random numbers): the gain is then a
            function of the transition alone, and transitions are compared under the same draws.
        generator: Random generator.
        antithetic: The second half of the draws is minus the first, so that errors of odd order in the mean gradient cancel:
            two such draws rank transitions better than four independent ones. Not with ``unbiased``, which needs
            independent draws.

    Returns:
        One tensor (S, B, O) for each layer.
    """
    free = (draws + 1) // 2 if antithetic else draws
    dtype = layers[0].mean.dtype
    noise = [torch.randn(free, batch, k.mean.shape[1], generator=generator, dtype=dtype) for k in layers]
    return [torch.cat([n, -n])[:draws] for n in noise] if antithetic else noise


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
        for rows in _chunks(len(inputs)):
            record, outputs = _forward(layers, squared, inputs[rows], [_rows_of(n, rows) for n in noise])
            counts = mask[rows] if mask is not None and mask.ndim == 2 else mask
            delta = _loss_gradient(head, outputs, targets[rows], counts)
            gains.append(_backward_sum(layers, squared, fourth, record, delta, unbiased))
    return 0.5 * step_length**2 * torch.cat(gains) if gains else inputs.new_zeros(0)


def _chunks(batch: int) -> Iterator[slice]:
    return (slice(start, start + CHUNK) for start in range(0, batch, CHUNK))


def _rows_of(noise: Tensor, rows: slice) -> Tensor:
    return noise if noise.shape[1] == 1 else noise[:, rows]


def _forward(
    layers: Sequence[LayerWeights], squared: Sequence[Tensor], inputs: Tensor, noise: Sequence[Tensor]
) -> tuple[list[LayerPass], Tensor]:
    """Run all draws at once; the moments of the first layer are computed once, as its input is the same for all draws."""
    record = []
    hidden = inputs.unsqueeze(0)
    for k, layer in enumerate(layers):
        mean, variance = pre_activation_moments(layer, hidden)
        ratio = noise[k] * variance.rsqrt()
        outputs = mean + variance * ratio  # sqrt(v) eps = v (eps / sqrt(v))
        record.append(LayerPass(hidden, outputs, ratio))
        hidden = torch.relu(outputs) if k < len(layers) - 1 else outputs
    return record, hidden


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


def expected_gain(
    layers: Sequence[LayerWeights],
    head: Head,
    inputs: Tensor,
    noise: Sequence[Tensor],
    *,
    mask: Tensor | None = None,
) -> Tensor:
    """Expected information gain before the next observation is known (BALD [2]).

    It is the entropy of the predictive distribution minus the mean entropy of the noise, with normal marginals:
    1/2 sum_d [ ln(Var_w[m_d] + E_w[s_d^2]) - E_w[ln s_d^2] ]. The weights of the last layer are integrated out exactly:
    Var_w[m_d] is the mean of the last layer's variance plus the variance of its mean over draws.

    Args:
        layers: The posterior, plain tensors.
        head: Maps outputs to a normal over the target.
        inputs: (B, I), whitened.
        noise: One tensor (S, B or 1, O) for each layer, independent draws. S >= 2 if there are hidden layers.
        mask: (D,), which targets count; None: all.

    Returns:
        Expected gains (B,) in nats, at least 0.

    Raises:
        OptionError: One draw for a network with hidden layers.

    Example:
        >>> import torch
        >>> from vime import DynamicsBNN, expected_gain
        >>> from vime.information_gain import draw_noise
        >>> bnn = DynamicsBNN(inputs=3, targets=2, hidden=(16,))
        >>> layers = bnn.frozen_posterior()
        >>> noise = draw_noise(layers, draws=8, batch=1, generator=torch.Generator().manual_seed(0))
        >>> bool((expected_gain(layers, bnn.head, torch.randn(5, 3), noise) >= 0).all())
        True
    """
    draws = noise[0].shape[0]
    if len(layers) > 1 and draws < 2:
        raise OptionError(f"the expected gain of a network with hidden layers needs at least 2 draws, got {draws}")
    with torch.no_grad():
        squared = [k.scale.square() for k in layers]
        gains = []
        for rows in _chunks(len(inputs)):
            record, outputs = _forward(layers, squared, inputs[rows], [_rows_of(n, rows) for n in noise])
            centre, spread = pre_activation_moments(layers[-1], record[-1].inputs)
            targets = head.targets
            epistemic = spread[..., :targets].mean(0)
            if len(centre) > 1:
                epistemic = epistemic + centre[..., :targets].var(0, correction=1)
            _, log_sd = head.split(outputs)
            per_target = 0.5 * torch.log(epistemic + (2.0 * log_sd).exp().mean(0)) - log_sd.mean(0)
            if mask is not None:
                per_target = per_target * mask
            gains.append(per_target.sum(-1))
    return torch.cat(gains) if gains else inputs.new_zeros(0)
