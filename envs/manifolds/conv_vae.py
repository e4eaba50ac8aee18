"""Variational auto-encoder with convolutions, which generalises better on images than an MLP does."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F

from envs.errors import ManifoldError, UnknownNameError
from envs.manifolds.networks.conv import ConvDecoder, ConvEncoder, channels_of, picture_axes
from envs.manifolds.networks.dense import MLP
from envs.manifolds.vae import VAE

DECODERS = ("conv", "mlp")
SIZES = 3  # at which edges are compared


class ConvVAE(VAE):
    """`VAE` of images with a convolutional encoder and a convolutional or MLP decoder.

    A walk decodes at every step but encodes once. The MLP decoder is several times faster on one core, with closed-form
    derivatives; the convolutional one has fewer weights.

    Args:
        data_shape: (H, W) or (C, H, W).
        latent_dim: Number of latent coordinates d.
        hidden: Widths of the hidden linear layers. The last one is the width of the encoder's.
        modality: ``image``, the only choice.
        channels: Channels of the stride-2 convolutions, one a level. Default: as many levels as bring the image down to at
            most 8 x 8 pixels, see `channels_of`.
        decoder: ``conv`` or ``mlp``.
        detail: Weight of a loss of edges beside the likelihood, see `edge_loss`: 0 for none. It sharpens large pictures.
        shift: Pixels by which the pictures of a minibatch are shifted at random while fitting: more pictures than there are.

    Raises:
        ManifoldError: If the modality is not ``image``, the convolutions do not fit the shape, or a number is out of range.
        UnknownNameError: If there is no such decoder.

    Example:
        >>> vae = ConvVAE(data_shape=(8, 8), latent_dim=3, hidden=(16,), channels=(2, 4))
        >>> tuple(vae.decode(torch.zeros(1, 3)).shape)
        (1, 8, 8)
    """

    kind = "conv_vae"

    def __init__(
        self,
        data_shape: Sequence[int],
        latent_dim: int = 8,
        hidden: Sequence[int] = (128,),
        modality: str = "image",
        channels: Sequence[int] | None = None,
        decoder: str = "conv",
        detail: float = 0.0,
        shift: int = 0,
    ) -> None:
        if modality != "image":
            raise ManifoldError(f"a convolutional VAE needs images, not modality {modality!r}; use 'vae'")
        if decoder not in DECODERS:
            raise UnknownNameError("decoder", decoder, DECODERS)
        if detail < 0 or shift < 0 or (channels is not None and len(channels) < 2):
            raise ManifoldError(
                f"detail={detail} and shift={shift} are 0 or more, and channels={channels} has at least two numbers"
            )
        super().__init__(data_shape, latent_dim, hidden, modality)
        self.channels = channels_of(data_shape) if channels is None else tuple(channels)
        self.decoder_kind = decoder
        self.detail, self.shift = float(detail), int(shift)
        width = self.hidden[-1]
        self.encoder = ConvEncoder(data_shape, self.channels, width, 2 * latent_dim)
        if decoder == "conv":
            self.decoder = ConvDecoder(latent_dim, width, self.channels, data_shape)
        else:
            self.decoder = MLP((latent_dim, *reversed(self.hidden), math.prod(self.data_shape)), squash=True)

    @property
    def settings(self) -> dict[str, Any]:
        """JSON-serialisable arguments that build an untrained copy."""
        own = {"channels": list(self.channels), "decoder": self.decoder_kind, "detail": self.detail, "shift": self.shift}
        return {**super().settings, **own}

    def loss(self, x: Tensor, beta: float, generator: torch.Generator) -> Tensor:
        """See `VAE.loss`; pictures are shifted first."""
        if self.shift:
            x = shifted(x, self.shift, generator)
        return super().loss(x, beta, generator)

    def bound(self, logits: Tensor, x: Tensor, mean: Tensor, log_variance: Tensor, beta: float) -> Tensor:
        """See `VAE.bound`; the loss of edges is added."""
        found = super().bound(logits, x, mean, log_variance, beta)
        if not self.detail:
            return found
        axes = picture_axes(self.data_shape)
        made, real = (part.reshape(-1, *axes) for part in (torch.sigmoid(logits), x))
        return found + self.detail * edge_loss(made, real)


def shifted(x: Tensor, most: int, generator: torch.Generator) -> Tensor:
    """Pictures (B, \\*data_shape), each shifted by up to `most` pixels along both sides; its border is repeated."""
    height, width = x.shape[-2:]
    by = torch.randint(-most, most + 1, (2, len(x), 1), generator=generator)
    rows = (torch.arange(height) + by[0]).clamp(0, height - 1)
    columns = (torch.arange(width) + by[1]).clamp(0, width - 1)
    flat = x.reshape(len(x), -1, height, width)
    flat = flat.gather(2, rows[:, None, :, None].expand_as(flat))
    return flat.gather(3, columns[:, None, None, :].expand_as(flat)).reshape(x.shape)


def edge_loss(made: Tensor, real: Tensor) -> Tensor:
    """Squared differences of the edges of pictures (B, C, H, W), at three sizes, a scalar per picture.

    Edges are differences between neighbouring pixels. Each size is half the one before; its pixels count four times.
    """
    gap, total = made - real, made.new_zeros(())
    for size in range(SIZES):
        edges = gap.diff(dim=2).square().sum() + gap.diff(dim=3).square().sum()
        total = total + 4**size * edges
        gap = F.avg_pool2d(gap, 2, ceil_mode=True)
    return total / len(made)
