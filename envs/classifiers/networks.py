"""Small torch classifiers and their training: the black boxes of the registered environments."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from itertools import pairwise

import torch
from torch import Tensor, nn

from envs.runtime.progress import progress_bar
from envs.runtime.torch_defaults import in_usual_torch

Loss = Callable[[nn.Module, Tensor, Tensor, torch.Generator], Tensor]


def mlp_classifier(sizes: Sequence[int]) -> nn.Sequential:
    """Flatten, then linear layers of these widths with ReLU between them; gives logits."""
    layers: list[nn.Module] = [nn.Flatten()]
    for a, b in pairwise(sizes):
        layers += [nn.Linear(a, b), nn.ReLU()]
    return nn.Sequential(*layers[:-1])


def cnn_classifier(data_shape: Sequence[int], classes: int, channels: Sequence[int], hidden: int) -> nn.Sequential:
    """Two stride-2 convolutions and two linear layers with ReLU between them, for grey pictures (H, W); gives logits."""
    first, second = channels
    height, width = (-(-side // 4) for side in data_shape)
    return nn.Sequential(
        nn.Unflatten(1, (1, data_shape[0])),
        nn.Conv2d(1, first, 5, 2, 2),
        nn.ReLU(),
        nn.Conv2d(first, second, 3, 2, 1),
        nn.ReLU(),
        nn.Flatten(),
        nn.Linear(second * height * width, hidden),
        nn.ReLU(),
        nn.Linear(hidden, classes),
    )


@in_usual_torch
def fit_classifier(
    module: nn.Module,
    x: Tensor,
    y: Tensor,
    *,
    epochs: int = 60,
    batch_size: int = 64,
    learning_rate: float = 1e-3,
    weight_decay: float = 1e-4,
    label_smoothing: float = 0.0,
    cosine: bool = False,
    seed: int = 0,
    progress: bool = False,
    loss: Loss | None = None,
) -> nn.Module:
    """Training on x (N, \\*shape) and classes y (N,) with AdamW; returns the module in eval mode.

    `loss` gets the module, a batch of rows and of classes, and the generator of the training; None: cross-entropy.
    `cosine`: the learning rate falls to zero along half a cosine.
    """
    generator = torch.Generator().manual_seed(seed)
    optimizer = torch.optim.AdamW(module.parameters(), lr=learning_rate, weight_decay=weight_decay)
    steps = epochs * math.ceil(len(x) / batch_size)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, steps) if cosine else None
    asked = cross_entropy if loss is None else loss
    module.train()
    for _ in progress_bar(range(epochs), "training the classifier", progress):
        for index in torch.randperm(len(x), generator=generator).split(batch_size):
            value = asked(module, x[index], y[index], generator)
            optimizer.zero_grad()
            value.backward()
            optimizer.step()
            if schedule is not None:
                schedule.step()
    return module.eval().requires_grad_(False)


def cross_entropy(module: nn.Module, x: Tensor, y: Tensor, generator: torch.Generator) -> Tensor:
    """The plain loss of `fit_classifier`."""
    return nn.functional.cross_entropy(module(x), y)


def accuracy(module: nn.Module, x: Tensor, y: Tensor) -> float:
    """Share of rows whose largest logit is at the true class."""
    with torch.inference_mode():
        return float((module(x).argmax(1) == y).float().mean())
