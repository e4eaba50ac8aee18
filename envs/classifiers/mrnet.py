"""Classifiers that are smooth along the data: MRnet's manifold regularisation, and adversarial training for comparison.

MRnet [1]_ trains a network so that a sample and its adversarial neighbour have similar hidden embeddings. With hidden layers
h_1 .. h_L, labels t, and labels t' permuted at random within the batch:

    x' = clip(x - step g / |g|_2),   g = gradient by x of CE(f(x), t')
    loss = CE(f(x), t) + weight / 2 sum_l mean_i |h_l(x_i) - h_l(x'_i)|_2^2 / 2^(L - l)

The neighbour lies one L2 step towards a random other label. The gradient of the penalty flows through both branches.
Adversarial training [2]_ averages the cross-entropy of x and of x' = clip(x + step g / |g|_2), with the gradient for the true
label. Both leave the layers as they are: the result is a plain torch classifier.

References:
    .. [1] Lee, Choi and Yoon, "Manifold Regularized Deep Neural Networks using Adversarial Examples", arXiv 1511.06381, 2016,
       section 3.
    .. [2] Goodfellow, Shlens and Szegedy, "Explaining and Harnessing Adversarial Examples", ICLR 2015, section 6; in its L2
    form,
       the fast gradient method (FGM): Miyato, Dai and Goodfellow, "Adversarial Training Methods for Semi-Supervised Text
       Classification", ICLR 2017, section 3.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from envs.classifiers.networks import fit_classifier
from envs.errors import ManifoldError, UnknownNameError

#: Layers whose outputs count as hidden embeddings.
ACTIVATIONS = (nn.ReLU, nn.LeakyReLU, nn.ELU, nn.GELU, nn.SiLU, nn.Tanh, nn.Sigmoid, nn.Softplus)
LAYERS = ("all", "last")
PICTURE = (0.0, 1.0)


def fit_mrnet(
    module: nn.Module,
    x: Tensor,
    y: Tensor,
    *,
    weight: float = 0.3,
    step: float = 1.0,
    layers: str = "all",
    bounds: tuple[float, float] | None = PICTURE,
    **training: Any,
) -> nn.Module:
    """Train a classifier with manifold regularisation.

    Args:
        module: Maps data to logits (N, K); its activations are modules of types in `ACTIVATIONS`.
        x: Data, (N, \\*shape).
        y: Class indices, (N,).
        weight: Weight of the penalty on embeddings; 0 is plain training. Typical values are 0.01 to 1; large ones flatten the
            network.
        step: L2 length of the step to the adversarial neighbour; about half the distance from a sample to the nearest one of
            another class.
        layers: ``all`` hidden layers, or only the ``last``.
        bounds: Range to which neighbours are clipped; None for data without a range.
        **training: Further arguments of `fit_classifier`.

    Returns:
        The module, frozen and in eval mode.

    Raises:
        UnknownNameError: If `layers` is another value.
        ManifoldError: If the module has no activation layers, the weight is negative, or the step is not positive.
    """
    if layers not in LAYERS:
        raise UnknownNameError("choice of layers", layers, LAYERS)
    if weight < 0:
        raise ManifoldError(f"weight of the penalty must be at least 0, not {weight}")
    _check_step(step)

    def loss(net: nn.Module, rows: Tensor, labels: Tensor, generator: torch.Generator) -> Tensor:
        others = labels[torch.randperm(len(labels), generator=generator)]
        near = stepped(net, rows, others, -step, bounds)
        logits, here = embeddings(net, rows)
        _, there = embeddings(net, near)
        pairs = list(zip(here, there, strict=True))[0 if layers == "all" else -1 :]
        # Halved with each earlier layer: the last embedding should stay, the first may move.
        parts = ((a - b).flatten(1).square().sum(1).mean() / 2**k for k, (a, b) in enumerate(reversed(pairs)))
        penalty = sum(parts, torch.zeros(()))
        return F.cross_entropy(logits, labels) + weight / 2 * penalty

    return fit_classifier(module, x, y, loss=loss, **training)


def fit_adversarial(
    module: nn.Module,
    x: Tensor,
    y: Tensor,
    *,
    step: float = 0.5,
    bounds: tuple[float, float] | None = PICTURE,
    **training: Any,
) -> nn.Module:
    """Train on each sample and its FGM neighbour. Arguments and errors are those of `fit_mrnet`."""
    _check_step(step)

    def loss(net: nn.Module, rows: Tensor, labels: Tensor, generator: torch.Generator) -> Tensor:
        near = stepped(net, rows, labels, step, bounds)
        return (F.cross_entropy(net(rows), labels) + F.cross_entropy(net(near), labels)) / 2

    return fit_classifier(module, x, y, loss=loss, **training)


def stepped(module: nn.Module, x: Tensor, labels: Tensor, step: float, bounds: tuple[float, float] | None = PICTURE) -> Tensor:
    """One FGM step up the cross-entropy (down, if `step` is negative).

    Rows whose gradient vanishes do not move. Clipping may shorten a step.

    Args:
        module: Maps data to logits (N, K).
        x: Data, (N, \\*shape).
        labels: Class indices, (N,).
        step: Signed L2 length.
        bounds: Range to which the result is clipped.

    Returns:
        Moved data, (N, \\*shape).
    """
    with torch.enable_grad():
        rows = x.detach().clone().requires_grad_(True)
        # The sum, not the mean: each row's gradient is its own.
        [gradient] = torch.autograd.grad(F.cross_entropy(module(rows), labels, reduction="sum"), rows)
    norm = gradient.flatten(1).norm(dim=1).clamp_min(1e-12).reshape(-1, *[1] * (x.ndim - 1))
    moved = x.detach() + step * gradient / norm
    return moved if bounds is None else moved.clamp(*bounds)


def fgm_accuracy(
    module: nn.Module, x: Tensor, y: Tensor, radius: float, bounds: tuple[float, float] | None = PICTURE
) -> float:
    """Accuracy after one FGM step against the true class.

    Args:
        module: Maps data to logits (N, K).
        x: Data, (N, \\*shape).
        y: Class indices, (N,).
        radius: L2 length of the step.
        bounds: Range of the data.
    """
    near = stepped(module, x, y, radius, bounds) if radius else x
    with torch.inference_mode():
        return float((module(near).argmax(1) == y).float().mean())


def embeddings(module: nn.Module, x: Tensor) -> tuple[Tensor, list[Tensor]]:
    """Logits (N, K), and the outputs of the module's activation layers in the order of the forward pass.

    Raises:
        ManifoldError: If there are no activation layers.
    """
    found: list[Tensor] = []
    hooks = [
        layer.register_forward_hook(lambda _layer, _inputs, output: found.append(output))
        for layer in module.modules()
        if isinstance(layer, ACTIVATIONS)
    ]
    try:
        logits = module(x)
    finally:
        for hook in hooks:
            hook.remove()
    if not found:
        kinds = ", ".join(kind.__name__ for kind in ACTIVATIONS)
        raise ManifoldError(f"{type(module).__name__} has no activation layers (modules: {kinds}), so no hidden embeddings")
    return logits, found


def _check_step(step: float) -> None:
    if not step > 0:
        raise ManifoldError(f"the step to the adversarial neighbour must be positive, not {step}")
