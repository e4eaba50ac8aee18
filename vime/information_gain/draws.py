"""Draws of the network for the estimators: the noise, and one forward pass of all draws by local reparameterization."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import NamedTuple

import torch
from torch import Tensor

from vime.bnn.gaussian_weights import LayerWeights, pre_activation_moments

CHUNK = 512
"""Transitions per chunk, so that the intermediate arrays (S, CHUNK, width) fit in the processor's cache."""


class LayerPass(NamedTuple):
    """Forward pass of one layer.

    Attributes:
        inputs: (S or 1, B, I).
        pre_activation: (S, B, O).
        noise_ratio: eps / sqrt(v), (S, B, O).
    """

    inputs: Tensor
    pre_activation: Tensor
    noise_ratio: Tensor


def draw_noise(
    layers: Sequence[LayerWeights], draws: int, batch: int, generator: torch.Generator, *, antithetic: bool = False
) -> list[Tensor]:
    """Draw the noise of a gain: independent standard normals for every draw, row and unit.

    Args:
        layers: The posterior.
        draws: S, the number of draws of the network.
        batch: B, the number of rows. With 1 all rows share the noise of a draw (common random numbers): the gain is then a
            function of the transition alone, and transitions are compared under the same draws.
        generator: Random generator.
        antithetic: The second half of the draws is minus the first, so that errors of odd order in the mean gradient cancel:
            two such draws rank transitions better than four independent ones. Not with ``unbiased``, which needs
            independent draws.

    Returns:
        One tensor (S, B, O) for each layer.
    """
    free = (draws + 1) // 2 if antithetic else draws
    dtype = layers[0].mean.dtype
    noise = [torch.randn(free, batch, k.mean.shape[1], generator=generator, dtype=dtype) for k in layers]
    return [torch.cat([n, -n])[:draws] for n in noise] if antithetic else noise


def chunks(batch: int) -> Iterator[slice]:
    """Slices of at most :data:`CHUNK` of ``batch`` rows."""
    return (slice(start, start + CHUNK) for start in range(0, batch, CHUNK))


def rows_of(noise: Tensor, rows: slice) -> Tensor:
    """The noise of ``rows``; noise that all rows share is returned whole."""
    return noise if noise.shape[1] == 1 else noise[:, rows]


def forward(
    layers: Sequence[LayerWeights], squared: Sequence[Tensor], inputs: Tensor, noise: Sequence[Tensor]
) -> tuple[list[LayerPass], Tensor]:
    """Run all draws at once; the moments of the first layer are computed once, as its input is the same for all draws."""
    record = []
    hidden = inputs.unsqueeze(0)
    for k, layer in enumerate(layers):
        mean, variance = pre_activation_moments(layer, hidden)
        ratio = noise[k] * variance.rsqrt()
        outputs = mean + variance * ratio  # sqrt(v) eps = v (eps / sqrt(v))
        record.append(LayerPass(hidden, outputs, ratio))
        hidden = torch.relu(outputs) if k < len(layers) - 1 else outputs
    return record, hidden
