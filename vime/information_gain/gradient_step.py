"""Information gain by gradient steps on a copy of the posterior: slower than the closed form, with the exact KL.

Each transition gets its own copy of the posterior, which takes natural-gradient steps on

    l(phi') = KL[q(.; phi') || q(.; phi)] - E_q log p(y | x, w)                              ([1] eq. 13)

and the gain is the KL between the copy and the original. Neither the network nor its optimizer is changed. (In the original
code these steps leaked into the moments of the optimizer.)

References:

[1] Houthooft et al., "VIME: Variational Information Maximizing Exploration", 2016, sections 2.3 to 2.5.
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
from vime.errors import OptionError

Direction = Literal["gain", "compression", "both"]
MAX_STEP = 4.0
"""Largest change of a rho in one step; otherwise an outlier could shrink a standard deviation to zero and make the KL
infinite."""

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
    """Return -E_q log N(y; m, s^2) of one transition up to a constant, as a scalar tensor, differentiable in ``phi``.

    Args:
        phi: Mean and rho of each layer.
        biases: Whether each layer has a bias.
        head: Maps outputs to a normal over the target.
        x: Input (I,).
        y: Target (D,).
        noise: One tensor (S, O) for each layer.
        mask: (D,), which targets count; None: all.
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
    """KL in nats between the posterior after and before imagined natural-gradient steps on each transition.

    Computed in float64, because float32 rounding would exceed the KL of a small step.

    Args:
        layers: The posterior, plain tensors.
        head: Maps outputs to a normal over the target.
        inputs: (B, I), whitened.
        targets: (B, D), whitened.
        noise: One tensor (S, B or 1, O) for each layer, see :func:`vime.information_gain.draw_noise`.
        mask: (D,) or (B, D), which targets count; None: all.
        step_length: Length of a step. Well below 1 if there are many steps.
        steps: Number of steps. One step measures what :func:`vime.closed_form_gain` expands; many approach the minimum of l.
        direction: "gain": KL[new || old] ([1] eq. 3). "compression": KL[old || new] ([1] section 2.4). "both": their sum. The
            two agree to second order in the step.
        chunk: Transitions per chunk, each with its own copy of the posterior in memory.

    Returns:
        Gains (B,) in nats, float32.

    Raises:
        OptionError: Unknown ``direction``, or ``steps`` below 1.
    """
    if direction not in ("gain", "compression", "both"):
        raise OptionError(f'direction must be "gain", "compression" or "both", got {direction!r}')
    if steps < 1:
        raise OptionError(f"steps must be at least 1, got {steps}")
    biases = [k.bias for k in layers]
    old: Phi = [(k.mean.double(), inverse_softplus(k.scale.double())) for k in layers]
    fisher = [fisher_diagonal(k.scale.double(), rho) for k, (_, rho) in zip(layers, old, strict=True)]

    counts = (torch.ones_like(targets) if mask is None else mask).expand_as(targets)

    def objective(phi: Phi, x: Tensor, y: Tensor, m: Tensor, eps: Sequence[Tensor]) -> Tensor:
        return _kl(phi, old) + transition_loss(phi, biases, head, x, y, eps, m)

    def one(x: Tensor, y: Tensor, m: Tensor, *eps: Tensor) -> Tensor:
        phi = old
        for _ in range(steps):
            slopes = grad(objective)(phi, x, y, m, eps)
            phi = [
                (mean - step_length * g_mean / h_mean, rho - (step_length * g_rho / h_rho).clamp(-MAX_STEP, MAX_STEP))
                for (mean, rho), (g_mean, g_rho), (h_mean, h_rho) in zip(phi, slopes, fisher, strict=True)
            ]
        gain = _kl(phi, old) if direction != "compression" else x.new_zeros(())
        return gain + _kl(old, phi) if direction != "gain" else gain

    # torch.func.grad does not work in inference mode.
    with torch.inference_mode(False), torch.no_grad():
        results = []
        for start in range(0, len(inputs), chunk):
            rows = slice(start, start + chunk)
            eps = [n.expand(-1, len(inputs), -1)[:, rows].transpose(0, 1).double() for n in noise]
            results.append(vmap(one)(inputs[rows].double(), targets[rows].double(), counts[rows], *eps))
    gains = torch.cat(results).float() if results else torch.zeros(0, dtype=torch.float32)
    return gains.clamp(max=math.sqrt(torch.finfo(torch.float32).max))


def _kl(new: Phi, old: Phi) -> Tensor:
    softplus = torch.nn.functional.softplus
    parts = [diagonal_kl(m1, softplus(r1), m0, softplus(r0)).sum() for (m1, r1), (m0, r0) in zip(new, old, strict=True)]
    return torch.stack(parts).sum()
