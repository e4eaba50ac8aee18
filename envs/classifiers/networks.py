"""Small torch classifiers and their training: the black boxes of the registered environments."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import pairwise

import torch
from torch import Tensor, nn

from envs.manifolds.fitting import descend
from envs.runtime.torch_defaults import in_usual_torch

Loss = Callable[[nn.Module, Tensor, Tensor, torch.Generator], Tensor]


def mlp_classifier(sizes: Sequence[int]) -> nn.Sequential:
    """Flatten, then linear layers of these widths with ReLU between them: data to logits."""
    layers: list[nn.Module] = [nn.Flatten()]
    for a, b in pairwise(sizes):
        layers += [nn.Linear(a, b), nn.ReLU()]
    return nn.Sequential(*layers[:-1])


def cnn_classifier(data_shape: Sequence[int], classes: int, channels: Sequence[int], hidden: int) -> nn.Sequential:
    """Two stride-2 convolutions and two linear layers with ReLU between them: grey images (H, W) to logits.

    Args:
        data_shape: (H, W).
        classes: Number of classes K.
        channels: Channels of the two convolutions.
        hidden: Width of the hidden linear layer.
    """
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


def series_classifier(shape: Sequence[int], classes: int, channels: int = 16) -> nn.Sequential:
    """Two stride-2 convolutions in time, the mean over coarse intervals, and a linear layer: flat series (C T,) to logits.

    Args:
        shape: (C, T).
        classes: Number of classes K.
        channels: Channels of the convolutions.
    """
    return nn.Sequential(
        nn.Unflatten(1, tuple(shape)),
        nn.Conv1d(shape[0], channels, 7, 2, 3),
        nn.ReLU(),
        nn.Conv1d(channels, 2 * channels, 5, 2, 2),
        nn.ReLU(),
        nn.AdaptiveAvgPool1d(min(8, -(-shape[1] // 4))),
        nn.Flatten(),
        nn.Dropout(0.2),
        nn.Linear(2 * channels * min(8, -(-shape[1] // 4)), classes),
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
    cosine: bool = False,
    seed: int = 0,
    progress: bool = False,
    loss: Loss | None = None,
) -> nn.Module:
    """Train a classifier with AdamW.

    Args:
        module: Maps data (B, \\*data_shape) to logits (B, K). It is trained in place.
        x: Data, (N, \\*data_shape).
        y: Class indices, (N,) int64.
        epochs: Passes over the data.
        batch_size: Rows per minibatch.
        learning_rate: Learning rate of the first step.
        weight_decay: Decoupled weight decay.
        cosine: Let the learning rate fall to zero along half a cosine.
        seed: Seed of the order of the rows, of dropout, and of whatever `loss` draws.
        progress: Show a progress bar.
        loss: Maps the module, a minibatch of rows, their classes and a random generator to a scalar; default: `cross_entropy`.

    Returns:
        The module, frozen and in eval mode.

    Example:
        >>> x, y = torch.tensor([[0.0], [1.0]] * 8), torch.tensor([0, 1] * 8)
        >>> module = fit_classifier(mlp_classifier((1, 2)), x, y, epochs=20, learning_rate=0.5)
        >>> accuracy(module, x, y)
        1.0
    """
    generator = torch.Generator().manual_seed(seed)
    chosen = cross_entropy if loss is None else loss
    with torch.random.fork_rng(devices=[]):  # dropout draws from torch's own generator
        torch.manual_seed(seed)
        descend(
            module, lambda index: chosen(module, x[index], y[index], generator), len(x), epochs=epochs, batch_size=batch_size,
            learning_rate=learning_rate, generator=generator, label="training the classifier", progress=progress,
            weight_decay=weight_decay, cosine=cosine,
        )  # fmt: skip
    return module


def cross_entropy(module: nn.Module, x: Tensor, y: Tensor, generator: torch.Generator) -> Tensor:
    """Mean cross-entropy, the default loss of `fit_classifier`."""
    return nn.functional.cross_entropy(module(x), y)


def accuracy(module: nn.Module, x: Tensor, y: Tensor) -> float:
    """Share of rows whose largest logit belongs to the true class.

    Args:
        module: Maps data (N, \\*data_shape) to logits (N, K).
        x: Data, (N, \\*data_shape).
        y: Class indices, (N,).
    """
    with torch.inference_mode():
        return float((module(x).argmax(1) == y).float().mean())
