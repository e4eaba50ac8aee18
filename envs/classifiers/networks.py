"""Small torch classifiers and their training: the black boxes of the registered environments."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

import torch
from torch import Tensor, nn

from envs.progress import progress_bar


def mlp_classifier(sizes: Sequence[int]) -> nn.Sequential:
    """Flatten, then linear layers of these widths with ReLU between them; gives logits."""
    layers: list[nn.Module] = [nn.Flatten()]
    for a, b in pairwise(sizes):
        layers += [nn.Linear(a, b), nn.ReLU()]
    return nn.Sequential(*layers[:-1])


def fit_classifier(
    module: nn.Module,
    x: Tensor,
    y: Tensor,
    *,
    epochs: int = 60,
    batch_size: int = 64,
    learning_rate: float = 1e-3,
    weight_decay: float = 1e-4,
    seed: int = 0,
    progress: bool = False,
) -> nn.Module:
    """Cross-entropy training on x (N, \\*shape) and classes y (N,) with AdamW; returns the module in eval mode."""
    generator = torch.Generator().manual_seed(seed)
    optimizer = torch.optim.AdamW(module.parameters(), lr=learning_rate, weight_decay=weight_decay)
    module.train()
    for _ in progress_bar(range(epochs), "training the classifier", progress):
        for index in torch.randperm(len(x), generator=generator).split(batch_size):
            loss = nn.functional.cross_entropy(module(x[index]), y[index])
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
    return module.eval().requires_grad_(False)


def accuracy(module: nn.Module, x: Tensor, y: Tensor) -> float:
    """Share of rows whose largest logit is at the true class."""
    with torch.inference_mode():
        return float((module(x).argmax(1) == y).float().mean())
