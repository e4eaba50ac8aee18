"""The variational auto-encoder with convolutions: an encoder that generalises better on pictures than an MLP does."""

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
    """`VAE` of pictures with a convolutional encoder, and a decoder that is convolutional or an MLP.

    Walking asks the decoder and its derivatives at every step, and the encoder once: the MLP decoder is several times quicker
    on one core, with derivatives in closed form; the convolutional one is smaller.

    Args:
        data_shape: (H, W) or (C, H, W), sides divisible by 4.
        latent_dim: d.
        hidden: width of the hidden linear layer (encoder, and decoder either way).
        channels: of the two convolutions.
        decoder: ``conv`` or ``mlp``.
        modality: ``image``; nothing else has neighbouring pixels.
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
            raise ManifoldError(f"a convolutional VAE is for pictures, not for modality {modality!r}; use 'vae'")
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
        """See `Manifold.settings`."""
        return {**super().settings, "channels": list(self.channels), "decoder": self.decoder_kind}
