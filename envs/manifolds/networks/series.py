"""Convolutional encoder and decoder of series, with the interface of `MLP`: flat rows in and out."""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor, nn
from torch.nn import functional as F

from envs.manifolds.networks.conv import Pushed

STRIDE = 4  # of all convolutions together


class SeriesEncoder(nn.Module):
    """Two stride-2 convolutions and two linear layers with SiLU between them: flat series (B, C T) to (B, out).

    Args:
        shape: (C, T).
        channels: Channels of the two convolutions.
        width: Width of the hidden linear layer.
        out: Number of outputs.

    Example:
        >>> import torch
        >>> encoder = SeriesEncoder((2, 10), channels=(2, 4), width=16, out=3)
        >>> tuple(encoder(torch.zeros(5, 20)).shape)
        (5, 3)
    """

    def __init__(self, shape: Sequence[int], channels: Sequence[int], width: int, out: int) -> None:
        super().__init__()
        self.shape = tuple(shape)
        first, second = channels
        self.first = nn.Conv1d(self.shape[0], first, 5, 2, 2)
        self.second = nn.Conv1d(first, second, 5, 2, 2)
        self.hidden = nn.Linear(second * -(-self.shape[1] // STRIDE), width)
        self.last = nn.Linear(width, out)

    def forward(self, x: Tensor) -> Tensor:
        """Output (B, out) for flat series (B, C T)."""
        h = F.silu(self.second(F.silu(self.first(x.reshape(len(x), *self.shape)))))
        return self.last(F.silu(self.hidden(h.flatten(1))))


class SeriesDecoder(Pushed):
    """Two linear layers and two transposed convolutions with SiLU between them: codes (B, d) to flat series (B, C T).

    Args:
        latent_dim: Number of latent coordinates d.
        width: Width of the hidden linear layer, as in `SeriesEncoder`.
        channels: Channels of the two convolutions, as in `SeriesEncoder`.
        shape: (C, T). The convolutions make a multiple of 4 points, of which the first T are kept.

    Example:
        >>> import torch
        >>> decoder = SeriesDecoder(3, width=16, channels=(2, 4), shape=(2, 10))
        >>> tuple(decoder(torch.zeros(5, 3)).shape)
        (5, 20)
    """

    def __init__(self, latent_dim: int, width: int, channels: Sequence[int], shape: Sequence[int]) -> None:
        super().__init__()
        self.shape = tuple(shape)
        first, second = channels
        self.small = (second, -(-self.shape[1] // STRIDE))
        self.hidden = nn.Linear(latent_dim, width)
        self.spread = nn.Linear(width, self.small[0] * self.small[1])
        self.grow = nn.ConvTranspose1d(second, first, 6, 2, 2)
        self.last = nn.ConvTranspose1d(first, self.shape[0], 6, 2, 2)

    def forward(self, z: Tensor) -> Tensor:
        """Series (B, C T)."""
        h = F.silu(self.spread(F.silu(self.hidden(z))))
        h = F.silu(self.grow(h.view(len(z), *self.small)))
        return self.last(h)[..., : self.shape[1]].flatten(1)
