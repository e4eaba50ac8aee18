"""White-box rivals on pictures, small implementations: REVISE and ECCCo, which descend by the network's gradients.

References
----------
.. Joshi and others, "Towards Realistic Individual Recourse and Actionable Explanations in Black-Box Decision Making Systems",
   2019 (REVISE): descent in the latent space of a generative model.
.. Altmeyer and others, "Faithful Model Explanations through Energy-Constrained Conformal Counterfactuals", AAAI 2024 (ECCCo),
   equation 7: descent in data space with a distance, an energy and a conformal penalty; pictures in [-1, 1].
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor, nn

from envs.manifolds.base import Manifold

STEPS, RATE = 300, 0.05
CLOSENESS = 0.1  # REVISE: of the mean absolute change
DISTANCE, ENERGY, SETS, ALPHA, TEMPERATURE = 0.1, 0.1, 0.05, 0.05, 0.1  # ECCCo


def descended(
    begin: Tensor,
    show: Callable[[Tensor], Tensor],
    loss: Callable[[Tensor, Tensor], Tensor],
    network: nn.Module,
    target: Tensor,
    tau: float,
) -> Tensor:
    """Adam on each item until p(target) >= tau, at most `STEPS` steps; (N, H, W) in [0, 1].

    Args:
        begin: (N, ...) what is optimised.
        show: what is optimised -> pictures in [0, 1].
        loss: pictures and their logits -> (N,).
        network: of the classifier.
        target: (N,).
        tau: where an item stops.
    """  # fmt: skip
    place, rows = begin.clone().requires_grad_(True), torch.arange(len(begin))
    optimizer, ends = torch.optim.Adam([place], lr=RATE), show(begin)
    going = torch.ones(len(begin), dtype=torch.bool)
    for _ in range(STEPS):
        shown = show(place)
        logits = network(shown)
        ends = torch.where(going[:, None, None], shown.detach(), ends)
        going &= logits.detach().softmax(1)[rows, target] < tau
        if not going.any():
            break
        optimizer.zero_grad()
        loss(shown, logits)[going].sum().backward()
        optimizer.step()
    return ends.detach()


def revise(x: Tensor, target: Tensor, network: nn.Module, manifold: Manifold, tau: float) -> Tensor:
    """Ends (N, H, W) of REVISE for x (N, H, W)."""

    def loss(shown: Tensor, logits: Tensor) -> Tensor:
        return nn.functional.cross_entropy(logits, target, reduction="none") + CLOSENESS * (shown - x).abs().flatten(1).mean(1)

    with torch.no_grad():
        begin = manifold.encode(x)
    with torch.enable_grad():
        return descended(begin, manifold.decode, loss, network, target, tau)


def eccco(x: Tensor, target: Tensor, network: nn.Module, known: Tensor, label: Tensor, tau: float) -> Tensor:
    """Ends (N, H, W) of ECCCo for x (N, H, W); `known` pictures with their labels calibrate the conformal sets."""
    with torch.no_grad():
        score = 1 - network(known).softmax(1)[torch.arange(len(known)), label]
        quantile = score.quantile(1 - ALPHA)

    def loss(shown: Tensor, logits: Tensor) -> Tensor:
        wanted = logits.gather(1, target[:, None])[:, 0]
        p = logits.softmax(1)
        sets = torch.sigmoid((p - (1 - quantile)) / TEMPERATURE).sum(1)
        away = 2 * (shown - x).abs().flatten(1).sum(1)  # on [-1, 1]
        entropy = nn.functional.cross_entropy(logits, target, reduction="none")
        return entropy + DISTANCE * away / 10 - ENERGY * wanted + SETS * (sets - 1).clamp_min(0)

    def show(place: Tensor) -> Tensor:
        return (place.clamp(-1, 1) + 1) / 2

    with torch.enable_grad():
        return descended(2 * x - 1, show, loss, network, target, tau)
