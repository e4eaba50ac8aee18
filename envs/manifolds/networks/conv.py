"""Convolutional encoder, decoder and critic of images, with the interface of `MLP`: flat rows in and out."""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import pairwise

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.nn.utils.parametrizations import spectral_norm

from envs.errors import ManifoldError

SMALLEST = 8  # pixels of a side from which on no further level halves it
FIRST, WIDEST = 16, 128  # channels of the first level, which double from level to level, and at most so many


def picture_axes(data_shape: Sequence[int]) -> tuple[int, int, int]:
    """(channels, height, width) of images (H, W) or (C, H, W).

    Raises:
        ManifoldError: If the shape is another one.
    """
    shape = tuple(data_shape)
    axes = (1, *shape) if len(shape) == 2 else shape
    if len(axes) != 3 or axes[0] not in (1, 3, 4) or min(axes[1:]) < 4:
        raise ManifoldError(
            f"convolutions here take pictures (H, W) or (C, H, W) with 1, 3 or 4 channels and sides of at least 4 pixels, "
            f"not {shape}; use the MLP ('vae')"
        )
    return axes


def channels_of(data_shape: Sequence[int]) -> tuple[int, ...]:
    """Channels of stride-2 levels that bring an image down to at most 8 x 8 pixels; at least two levels.

    Example:
        >>> channels_of((28, 28)), channels_of((64, 64)), channels_of((3, 128, 96))
        ((16, 32), (16, 32, 64), (16, 32, 64, 128))
    """
    longest = max(picture_axes(data_shape)[1:])
    levels = max(2, math.ceil(math.log2(longest / SMALLEST)))
    return tuple(min(FIRST * 2**level, WIDEST) for level in range(levels))


def _small(axes: tuple[int, int, int], levels: int) -> tuple[int, int]:
    """(height, width) after `levels` halvings, rounded up."""
    return -(-axes[1] // 2**levels), -(-axes[2] // 2**levels)


class ConvEncoder(nn.Module):
    """Stride-2 convolutions and two linear layers with SiLU between them: flat images (B, D) to (B, out).

    Sides that the levels do not divide are padded by their last pixels.

    Args:
        data_shape: (H, W) or (C, H, W).
        channels: Channels of the convolutions, one a level.
        width: Width of the hidden linear layer.
        out: Number of outputs.
        spectral: Apply spectral normalisation to all weights, for the critic of a hinge GAN.

    Example:
        >>> encoder = ConvEncoder((8, 8), channels=(2, 4), width=16, out=3)
        >>> tuple(encoder(torch.zeros(5, 64)).shape)
        (5, 3)
    """

    def __init__(
        self, data_shape: Sequence[int], channels: Sequence[int], width: int, out: int, spectral: bool = False
    ) -> None:
        super().__init__()
        self.axes = picture_axes(data_shape)
        height, breadth = _small(self.axes, len(channels))
        layers: list[nn.Module] = [nn.Conv2d(a, b, 4, 2, 1) for a, b in pairwise((self.axes[0], *channels))]
        layers += [nn.Linear(channels[-1] * height * breadth, width), nn.Linear(width, out)]
        self.padding = (0, (breadth << len(channels)) - self.axes[2], 0, (height << len(channels)) - self.axes[1])
        self.layers = nn.ModuleList(spectral_norm(layer) if spectral else layer for layer in layers)

    def forward(self, x: Tensor) -> Tensor:
        """Output (B, out) for flat images (B, D)."""
        *convolutions, hidden, last = self.layers
        h = x.reshape(len(x), *self.axes)
        h = F.pad(h, self.padding, mode="replicate") if any(self.padding) else h
        for layer in convolutions:
            h = F.silu(layer(h))
        return last(F.silu(hidden(h.flatten(1))))


class Pushed(nn.Module):
    """A decoder whose derivatives are made by torch, for all rows at once: rows are independent.

    Example:
        >>> class Double(Pushed):
        ...     def forward(self, z):
        ...         return 2 * z
        >>> Double().jacobian(torch.zeros(1, 2)).tolist()
        [[[2.0, 0.0], [0.0, 2.0]]]
    """

    def forward(self, z: Tensor) -> Tensor:
        """Output (B, D) of codes (B, d)."""
        raise NotImplementedError

    def logits(self, z: Tensor) -> Tensor:
        """Output (B, D) before a sigmoid, if there is one."""
        return self.forward(z)

    def jacobian(self, z: Tensor) -> Tensor:
        """Jacobian (B, D, d) of the output, one Jacobian-vector product per coordinate for all rows at once."""
        unit = torch.eye(z.shape[1])
        columns = [self.jvp(z, direction.expand_as(z)) for direction in unit]
        return torch.stack(columns, dim=2)

    def jvp(self, z: Tensor, tangent: Tensor) -> Tensor:
        """Change (B, D) along code tangents (B, d). Rows are independent, so one pass serves all."""
        return torch.func.jvp(self.forward, (z,), (tangent,))[1]

    def vjp(self, z: Tensor, cotangent: Tensor) -> Tensor:
        """Gradient (B, d) of <cotangent, output> for cotangents (B, D)."""
        return torch.func.vjp(self.forward, z)[1](cotangent)[0]


class ConvDecoder(Pushed):
    """Two linear layers and transposed convolutions with SiLU between them: codes (B, d) to flat images (B, D).

    Args:
        latent_dim: Number of latent coordinates d.
        width: Width of the hidden linear layer, as in `ConvEncoder`.
        channels: Channels of the convolutions, as in `ConvEncoder`, at least two.
        data_shape: (H, W) or (C, H, W).

    Example:
        >>> decoder = ConvDecoder(3, width=16, channels=(2, 4), data_shape=(8, 8))
        >>> tuple(decoder(torch.zeros(5, 3)).shape)
        (5, 64)
    """

    def __init__(self, latent_dim: int, width: int, channels: Sequence[int], data_shape: Sequence[int]) -> None:
        super().__init__()
        self.axes = picture_axes(data_shape)
        self.small = (channels[-1], *_small(self.axes, len(channels)))
        self.hidden = nn.Linear(latent_dim, width)
        self.spread = nn.Linear(width, math.prod(self.small))
        deeper = pairwise(reversed(channels[1:]))
        self.deeper = nn.ModuleList(nn.ConvTranspose2d(a, b, 4, 2, 1) for a, b in deeper)
        self.grow = nn.ConvTranspose2d(channels[1], channels[0], 4, 2, 1)
        self.last = nn.ConvTranspose2d(channels[0], self.axes[0], 4, 2, 1)

    def logits(self, z: Tensor) -> Tensor:
        """Pixels (B, D) before the sigmoid."""
        h = F.silu(self.spread(F.silu(self.hidden(z)))).view(len(z), *self.small)
        for layer in (*self.deeper, self.grow):
            h = F.silu(layer(h))
        return self.last(h)[..., : self.axes[1], : self.axes[2]].flatten(1)

    def forward(self, z: Tensor) -> Tensor:
        """Pixels (B, D) in [0, 1]."""
        return torch.sigmoid(self.logits(z))
