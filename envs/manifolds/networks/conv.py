"""Convolutional encoder, decoder and critic of small images, with the interface of `MLP`: flat rows in and out."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.nn.utils.parametrizations import spectral_norm

from envs.errors import ManifoldError


def picture_axes(data_shape: Sequence[int]) -> tuple[int, int, int]:
    """(channels, height, width) of images (H, W) or (C, H, W).

    Raises:
        ManifoldError: If the shape is another one, or a side is not divisible by 4.
    """
    shape = tuple(data_shape)
    axes = (1, *shape) if len(shape) == 2 else shape
    if len(axes) != 3 or axes[0] not in (1, 3) or axes[1] % 4 or axes[2] % 4:
        raise ManifoldError(
            f"convolutions here take pictures (H, W) or (C, H, W) with 1 or 3 channels and sides divisible by 4, not {shape}; "
            "use the MLP ('vae'), or pad the pictures"
        )
    return axes


class ConvEncoder(nn.Module):
    """Two stride-2 convolutions and two linear layers with SiLU between them: flat images (B, D) to (B, out).

    Args:
        data_shape: (H, W) or (C, H, W).
        channels: Channels of the two convolutions.
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
        first, second = channels
        layers = [
            nn.Conv2d(self.axes[0], first, 4, 2, 1),
            nn.Conv2d(first, second, 4, 2, 1),
            nn.Linear(second * self.axes[1] * self.axes[2] // 16, width),
            nn.Linear(width, out),
        ]
        self.layers = nn.ModuleList(spectral_norm(layer) if spectral else layer for layer in layers)

    def forward(self, x: Tensor) -> Tensor:
        """Output (B, out) for flat images (B, D)."""
        first, second, hidden, last = self.layers
        h = F.silu(second(F.silu(first(x.reshape(len(x), *self.axes)))))
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
    """Two linear layers and two transposed convolutions with SiLU between them: codes (B, d) to flat images (B, D).

    Args:
        latent_dim: Number of latent coordinates d.
        width: Width of the hidden linear layer, as in `ConvEncoder`.
        channels: Channels of the two convolutions, as in `ConvEncoder`.
        data_shape: (H, W) or (C, H, W).

    Example:
        >>> decoder = ConvDecoder(3, width=16, channels=(2, 4), data_shape=(8, 8))
        >>> tuple(decoder(torch.zeros(5, 3)).shape)
        (5, 64)
    """

    def __init__(self, latent_dim: int, width: int, channels: Sequence[int], data_shape: Sequence[int]) -> None:
        super().__init__()
        pixels, height, breadth = picture_axes(data_shape)
        first, second = channels
        self.small = (second, height // 4, breadth // 4)
        self.hidden = nn.Linear(latent_dim, width)
        self.spread = nn.Linear(width, second * height * breadth // 16)
        self.grow = nn.ConvTranspose2d(second, first, 4, 2, 1)
        self.last = nn.ConvTranspose2d(first, pixels, 4, 2, 1)

    def logits(self, z: Tensor) -> Tensor:
        """Pixels (B, D) before the sigmoid."""
        h = F.silu(self.spread(F.silu(self.hidden(z))))
        h = F.silu(self.grow(h.view(len(z), *self.small)))
        return self.last(h).flatten(1)

    def forward(self, z: Tensor) -> Tensor:
        """Pixels (B, D) in [0, 1]."""
        return torch.sigmoid(self.logits(z))
