"""Shared steps of `fit`: check the data, draw the first weights, run the training loop."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import TypeVar

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from envs.errors import ManifoldError
from envs.runtime.progress import progress_bar

Built = TypeVar("Built")


def check_fit(model: str, x: Tensor, latent_dim: int) -> None:
    """Refuse data from which no model can be fitted.

    Args:
        model: The model's name with its article, for the message.
        x: Data, (N, \\*data_shape).
        latent_dim: Number of latent coordinates.

    Raises:
        ManifoldError: If there are fewer than two rows, or `latent_dim` is not between 1 and the size of one datum.
    """
    size = math.prod(x.shape[1:])
    if len(x) < 2:
        raise ManifoldError(f"{model} needs at least 2 rows, got {len(x)}")
    if not 1 <= latent_dim <= size:
        raise ManifoldError(f"latent_dim must be between 1 and the {size} data dimensions, not {latent_dim}")


def untrained(build: Callable[[], Built], seed: int) -> Built:
    """Build a model whose first weights depend on `seed` alone. Torch's global generator stays as it was."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return build()


def descend(
    module: nn.Module,
    loss: Callable[[Tensor], Tensor],
    rows: int,
    *,
    epochs: int,
    batch_size: int,
    learning_rate: float,
    generator: torch.Generator,
    label: str = "",
    progress: bool = False,
    weight_decay: float = 0.0,
    cosine: bool = True,
) -> None:
    """Train a module with AdamW on minibatches, then freeze it in eval mode.

    Args:
        module: The module to train, in place.
        loss: Maps row indices (b,) of a minibatch to a scalar loss.
        rows: Number of training rows.
        epochs: Passes over the rows.
        batch_size: Rows per minibatch.
        learning_rate: Learning rate of the first step.
        generator: Draws the order of the rows. The loss may draw from it, too.
        label: Label of the progress bar.
        progress: Show a progress bar.
        weight_decay: Decoupled weight decay (Loshchilov and Hutter, "Decoupled Weight Decay Regularization", ICLR 2019).
        cosine: Let the learning rate fall to zero along half a cosine; otherwise it stays constant.
    """
    module.train()
    optimizer = torch.optim.AdamW(module.parameters(), lr=learning_rate, weight_decay=weight_decay)
    steps = epochs * math.ceil(rows / batch_size)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, steps) if cosine else None
    with torch.enable_grad():
        for _ in progress_bar(range(epochs), label, progress):
            for index in torch.randperm(rows, generator=generator).split(batch_size):
                value = loss(index)
                optimizer.zero_grad()
                value.backward()
                optimizer.step()
                if schedule is not None:
                    schedule.step()
    module.eval().requires_grad_(False)


def reconstruction(logits: Tensor, x: Tensor, modality: str) -> Tensor:
    """Mean reconstruction loss, a scalar: Bernoulli cross-entropy for images, squared error for table rows.

    Args:
        logits: Output of a decoder before its sigmoid, (B, D).
        x: Flat data, (B, D).
        modality: ``image`` or ``table``.
    """
    return F.binary_cross_entropy_with_logits(logits, x) if modality == "image" else F.mse_loss(logits, x)
