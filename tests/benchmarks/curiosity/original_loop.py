"""What vime is timed against, written plainly: the original's loop over transitions, and a fit step without Pyro.

The original (openai/vime) judges one transition at a time: it takes the gradient g of the expected negative
log-likelihood in all means and rhos, and multiplies 1/2 g^T H^-1 g out. Here all draws of a transition share one forward
pass and H^-1 is computed once for the whole batch, which the original does for every transition anew: the loop is
faster than its model. The gains share no code with vime but the head; the fit step is vime's own network, its loss
written out (it spares, beside Pyro, the two R2 and the new draws that a whole ``VIME.fit`` ends with).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from vime.bnn.gaussian_weights import kl_to_prior

Layers = Sequence[Any]  # vime's LayerWeights: mean and scale (I + 1, O), the last row the bias
Phi = list[tuple[Tensor, Tensor]]  # mean and rho of every layer


def phi_of(layers: Layers) -> Phi:
    """Means and rhos as fresh leaves, softplus(rho) = scale."""
    return [(k.mean.clone(), k.scale + torch.log(-torch.expm1(-k.scale))) for k in layers]


def inverse_hessian(phi: Phi) -> list[Tensor]:
    """Diagonal of the inverse Hessian of KL[phi' || phi], in the order mean, rho, mean, rho, ..."""
    parts: list[Tensor] = []
    for _, rho in phi:
        squared = torch.nn.functional.softplus(rho).square()
        parts += [squared, squared / (2.0 * torch.sigmoid(rho).square())]
    return parts


def expected_loss(phi: Phi, head: Any, x: Tensor, y: Tensor, noise: Sequence[Tensor], mask: Tensor) -> Tensor:
    """-E_q log N(y; m(x), s(x)^2) of one transition x (I,), y (D,), over the draws of ``noise``, one (S, O) a layer."""
    hidden = x.expand(len(noise[0]), -1)
    for k, (mean, rho) in enumerate(phi):
        scale = torch.nn.functional.softplus(rho)
        centre = hidden @ mean[:-1] + mean[-1]
        variance = hidden.square() @ scale[:-1].square() + scale[-1].square()
        hidden = centre + variance.sqrt() * noise[k]
        if k < len(phi) - 1:
            hidden = torch.relu(hidden)
    centre, log_sd = head.split(hidden)
    loss = 0.5 * ((y - centre) / log_sd.exp()).square() + log_sd + 0.5 * math.log(2.0 * math.pi)
    return (loss * mask).sum(-1).mean(0)


def gain_by_loop(layers: Layers, head: Any, inputs: Tensor, targets: Tensor, noise: Sequence[Tensor], mask: Tensor) -> Tensor:
    """1/2 g^T H^-1 g, (B,) in nats: one transition after another, its gradient by autograd."""
    phi = phi_of(layers)
    leaves = [leaf.requires_grad_() for pair in phi for leaf in pair]
    inverse = inverse_hessian([(mean.detach(), rho.detach()) for mean, rho in phi])
    draws = [n[:, 0] for n in noise]  # as in VIME, a draw's noise is shared by all transitions
    gains = []
    for x, y in zip(inputs, targets, strict=True):
        slopes = torch.autograd.grad(expected_loss(phi, head, x, y, draws, mask), leaves)
        gains.append(0.5 * sum(float((h * g.square()).sum()) for g, h in zip(slopes, inverse, strict=True)))
    return torch.tensor(gains)


def gain_by_vmap(layers: Layers, head: Any, inputs: Tensor, targets: Tensor, noise: Sequence[Tensor], mask: Tensor) -> Tensor:
    """The same with torch.func.vmap in chunks of 512: what a user of today's torch would write first."""
    phi = phi_of(layers)
    inverse = inverse_hessian(phi)
    draws = [n[:, 0] for n in noise]

    def one(x: Tensor, y: Tensor) -> Tensor:
        slopes = torch.func.grad(expected_loss)(phi, head, x, y, draws, mask)
        flat = [part for pair in slopes for part in pair]
        return 0.5 * torch.stack([(h * g.square()).sum() for g, h in zip(flat, inverse, strict=True)]).sum()

    return torch.func.vmap(one, chunk_size=512)(inputs, targets)


def fit_without_pyro(bonus: Any, optimizer: torch.optim.Optimizer, updates: int) -> None:
    """The steps of ``VIME.fit``, their loss written by hand: the same network, pool, draws and Adam, no Pyro."""
    population, mask = len(bonus.pool), bonus.target_whitener.varies
    count = min(bonus.batch_size, population)
    for _ in range(updates):
        inputs, targets = bonus.whitened(bonus.pool.sample(count, bonus.random.generator))
        layers = bonus.bnn.posterior()
        mean, log_sd = bonus.bnn.predict_with(layers, inputs)
        cost = 0.5 * ((targets - mean) * torch.exp(-log_sd)).square() + log_sd + 0.5 * math.log(2.0 * math.pi)
        loss = (cost * mask).sum() / count + kl_to_prior(layers, bonus.bnn.prior_sd) / population
        bonus.check_loss(loss, 0)
        optimizer.zero_grad(set_to_none=True)
        loss.backward()
        optimizer.step()
