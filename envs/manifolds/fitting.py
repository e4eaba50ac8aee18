"""The one training loop of the small networks of manifolds."""

from __future__ import annotations

import math
from collections.abc import Callable

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from envs.runtime.progress import progress_bar


def descend(
    module: nn.Module,
    loss: Callable[[Tensor], Tensor],
    rows: int,
    *,
    epochs: int,
    batch_size: int,
    learning_rate: float,
    generator: torch.Generator,
    label: str,
    progress: bool,
) -> None:
    """Adam with cosine decay on `loss(index)`, index (b,) of a batch of `rows` rows; the module ends up frozen.

    Args:
        module: whose parameters are trained.
        loss: the scalar loss of the rows of an index.
        generator: of the order of rows; the loss may draw from it too.
        label, progress: of the bar.
    """
    module.train()
    optimizer = torch.optim.Adam(module.parameters(), lr=learning_rate)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, epochs * math.ceil(rows / batch_size))
    for _ in progress_bar(range(epochs), label, progress):
        for index in torch.randperm(rows, generator=generator).split(batch_size):
            value = loss(index)
            optimizer.zero_grad()
            value.backward()
            optimizer.step()
            schedule.step()
    module.eval().requires_grad_(False)


def reconstruction(logits: Tensor, x: Tensor, modality: str) -> Tensor:
    """Mean loss (scalar) of a decoder's logits (B, D) against flat data: Bernoulli for pictures, squares for table rows."""
    return F.binary_cross_entropy_with_logits(logits, x) if modality == "image" else F.mse_loss(logits, x)
