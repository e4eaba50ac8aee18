"""Information gain by taking the step and measuring it: slower than the closed form, exact in the KL.

Every transition gets its own copy of the posterior, which takes natural-gradient steps on

    l(phi') = KL[q(.; phi') || q(.; phi)] - E_q log p(y | x, w)                              ([1] eq. 13)

and the KL between the copy and the original is read off. The copies live only here: neither the network nor its
optimizer is touched (in the original code these steps leaked into the optimizer's moments).

References: [1] Houthooft et al., "VIME", 2016, sections 2.3 to 2.5.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Literal

import torch
from torch import Tensor
from torch.func import grad, vmap

from vime.bnn.dynamics import Head
from vime.bnn.gaussian_weights import (
    LayerWeights,
    diagonal_kl,
    fisher_diagonal,
    inverse_softplus,
    sample_layer,
)

Direction = Literal["gain", "compression", "both"]
MAX_STEP = 4.0
"""Largest change of a rho in one step.

An outlier could else shrink a weight's deviation to zero and its KL to infinity.
"""

Phi = list[tuple[Tensor, Tensor]]  # (mean, rho) of every layer


def transition_loss(
    phi: Phi,
    biases: Sequence[bool],
    head: Head,
    x: Tensor,
    y: Tensor,
    noise: Sequence[Tensor],
    mask: Tensor | None = None,
) -> Tensor:
    """-E_q log N(y; m, s^2) of one transition up to a constant, over the draws in ``noise`` (one (S, O) tensor a
    layer).

    x (I,), y (D,). Differentiable in ``phi``; a scalar tensor.
    """
    hidden = x.expand(noise[0].shape[0], -1)
    for k, (mean, rho) in enumerate(phi):
        layer = LayerWeights(mean, torch.nn.functional.softplus(rho), biases[k])
        hidden = sample_layer(layer, hidden, noise[k])
        if k < len(phi) - 1:
            hidden = torch.relu(hidden)
    mean, log_sd = head.split(hidden)
    loss = 0.5 * ((y - mean) * torch.exp(-log_sd)).square() + log_sd
    if mask is not None:
        loss = loss * mask
    return loss.sum(-1).mean(0)


def gradient_step_gain(
    layers: Sequence[LayerWeights],
    head: Head,
    inputs: Tensor,
    targets: Tensor,
    noise: Sequence[Tensor],
    *,
    mask: Tensor | None = None,
    step_length: float = 1.0,
    steps: int = 1,
    direction: Direction = "gain",
    chunk: int = 64,
) -> Tensor:
    """KL in nats between the posterior after and before ``steps`` imagined natural-gradient steps, (B,) float32.

    direction: "gain" is KL[new || old] ([1] eq. 3), "compression" KL[old || new] ([1] section 2.4), "both" their sum;
    the two agree to second order in the step. steps: 1 measures what :func:`vime.information_gain.closed_form_gain`
    expands; more of them, with a ``step_length`` well below 1, go towards the minimum of l. noise as in
    ``closed_form_gain``. Computed in float64, because the KL of a small step drowns in float32's rounding; ``chunk``
    transitions hold ``chunk`` copies of the posterior at once.
    """
    if direction not in ("gain", "compression", "both"):
        raise ValueError(f'direction must be "gain", "compression" or "both", got {direction!r}')
    if steps < 1:
        raise ValueError(f"steps must be at least 1, got {steps}")
    biases = [k.bias for k in layers]
    old: Phi = [(k.mean.double(), inverse_softplus(k.scale.double())) for k in layers]
    fisher = [fisher_diagonal(k.scale.double(), rho) for k, (_, rho) in zip(layers, old, strict=True)]

    def objective(phi: Phi, x: Tensor, y: Tensor, eps: Sequence[Tensor]) -> Tensor:
        return _kl(phi, old) + transition_loss(phi, biases, head, x, y, eps, mask)

    def one(x: Tensor, y: Tensor, *eps: Tensor) -> Tensor:
        phi = old
        for _ in range(steps):
            slopes = grad(objective)(phi, x, y, eps)
            phi = [
                (mean - step_length * g_mean / h_mean, rho - (step_length * g_rho / h_rho).clamp(-MAX_STEP, MAX_STEP))
                for (mean, rho), (g_mean, g_rho), (h_mean, h_rho) in zip(phi, slopes, fisher, strict=True)
            ]
        gain = _kl(phi, old) if direction != "compression" else x.new_zeros(())
        return gain + _kl(old, phi) if direction != "gain" else gain

    # Gradients are needed whatever mode the caller is in, inference mode included.
    with torch.inference_mode(False), torch.no_grad():
        results = []
        for start in range(0, len(inputs), chunk):
            rows = slice(start, start + chunk)
            eps = [n.expand(-1, len(inputs), -1)[:, rows].transpose(0, 1).double() for n in noise]
            results.append(vmap(one)(inputs[rows].double(), targets[rows].double(), *eps))
    gains = torch.cat(results).float() if results else torch.zeros(0, dtype=torch.float32)
    return gains.clamp(max=math.sqrt(torch.finfo(torch.float32).max))


def _kl(new: Phi, old: Phi) -> Tensor:
    softplus = torch.nn.functional.softplus
    parts = [diagonal_kl(m1, softplus(r1), m0, softplus(r0)).sum() for (m1, r1), (m0, r0) in zip(new, old, strict=True)]
    return torch.stack(parts).sum()
