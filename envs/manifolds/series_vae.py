"""Variational auto-encoder with convolutions in time."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from envs.errors import ManifoldError
from envs.manifolds.networks.series import SeriesDecoder, SeriesEncoder
from envs.manifolds.vae import VAE


class SeriesVAE(VAE):
    """`VAE` of time series with a convolutional encoder and decoder, and the Gaussian likelihood of table rows.

    Args:
        data_shape: (C T,), flat series as in data space.
        latent_dim: Number of latent coordinates d.
        hidden: Widths of the hidden linear layers. The last one is used.
        modality: ``series``, the only choice.
        shape: (C, T): channels and points. Default: one channel.
        channels: Channels of the two convolutions.

    Raises:
        ManifoldError: If the modality is not ``series``, or the shape holds another number of values.

    Example:
        >>> import torch
        >>> vae = SeriesVAE(data_shape=(20,), latent_dim=3, hidden=(16,), shape=(2, 10), channels=(2, 4))
        >>> tuple(vae.decode(torch.zeros(1, 3)).shape)
        (1, 20)
    """

    kind = "series_vae"

    def __init__(
        self,
        data_shape: Sequence[int],
        latent_dim: int = 8,
        hidden: Sequence[int] = (64,),
        modality: str = "series",
        shape: Sequence[int] | None = None,
        channels: Sequence[int] = (16, 32),
    ) -> None:
        if modality != "series":
            raise ManifoldError(f"a VAE of series needs series, not modality {modality!r}; use 'vae'")
        super().__init__(data_shape, latent_dim, hidden, modality)
        size = self.data_shape[0]
        self.shape = (1, size) if shape is None else tuple(shape)
        if len(self.data_shape) != 1 or len(self.shape) != 2 or self.shape[0] * self.shape[1] != size:
            raise ManifoldError(f"shape {self.shape} is (channels, points) of flat series of shape {self.data_shape}")
        self.channels = tuple(channels)
        self.encoder = SeriesEncoder(self.shape, self.channels, self.hidden[-1], 2 * latent_dim)
        self.decoder = SeriesDecoder(latent_dim, self.hidden[-1], self.channels, self.shape)

    @property
    def settings(self) -> dict[str, Any]:
        """JSON-serialisable arguments that build an untrained copy."""
        return {**super().settings, "shape": list(self.shape), "channels": list(self.channels)}
