"""Variational auto-encoder with convolutions, which generalises better on images than an MLP does."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from envs.errors import ManifoldError, UnknownNameError
from envs.manifolds.networks.conv import ConvDecoder, ConvEncoder
from envs.manifolds.networks.dense import MLP
from envs.manifolds.vae import VAE

DECODERS = ("conv", "mlp")


class ConvVAE(VAE):
    """`VAE` of images with a convolutional encoder and a convolutional or MLP decoder.

    A walk decodes at every step but encodes once. The MLP decoder is several times faster on one core, with closed-form
    derivatives; the convolutional one has fewer weights.

    Args:
        data_shape: (H, W) or (C, H, W), with sides divisible by 4.
        latent_dim: Number of latent coordinates d.
        hidden: Widths of the hidden linear layers. The last one is the width of the encoder's.
        modality: ``image``, the only choice.
        channels: Channels of the two convolutions.
        decoder: ``conv`` or ``mlp``.

    Raises:
        ManifoldError: If the modality is not ``image``, or the sides are not divisible by 4.
        UnknownNameError: If there is no such decoder.

    Example:
        >>> import torch
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
        channels: Sequence[int] = (16, 32),
        decoder: str = "conv",
    ) -> None:
        if modality != "image":
            raise ManifoldError(f"a convolutional VAE needs images, not modality {modality!r}; use 'vae'")
        if decoder not in DECODERS:
            raise UnknownNameError("decoder", decoder, DECODERS)
        super().__init__(data_shape, latent_dim, hidden, modality)
        self.channels = tuple(channels)
        self.decoder_kind = decoder
        width = self.hidden[-1]
        self.encoder = ConvEncoder(data_shape, self.channels, width, 2 * latent_dim)
        if decoder == "conv":
            self.decoder = ConvDecoder(latent_dim, width, self.channels, data_shape)
        else:
            self.decoder = MLP((latent_dim, *reversed(self.hidden), math.prod(self.data_shape)), squash=True)

    @property
    def settings(self) -> dict[str, Any]:
        """JSON-serialisable arguments that build an untrained copy."""
        return {**super().settings, "channels": list(self.channels), "decoder": self.decoder_kind}
