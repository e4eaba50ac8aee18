"""Variational auto-encoder of pictures or table rows (Kingma and Welling, "Auto-Encoding Variational Bayes", 2014)."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, Self

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from envs.errors import ManifoldError
from envs.manifolds.base import NetworkManifold, Pull
from envs.manifolds.fitting import descend
from envs.manifolds.networks.conv import ConvDecoder
from envs.manifolds.networks.dense import MLP
from envs.manifolds.prior import Prior
from envs.runtime.torch_defaults import in_usual_torch


class VAE(NetworkManifold):
    """Gaussian encoder, MLP decoder, normal prior.

    Pictures have a Bernoulli likelihood on grey values, table rows a Gaussian one whose noise is the optimal, calibrated
    one (Rybkin and others, "Simple and Effective VAE Training with Calibrated Decoders", 2021, section 4): no scale to tune.

    Args:
        data_shape: shape of one datum.
        latent_dim: d.
        hidden: widths of the hidden layers, encoder order; the decoder mirrors them.
        modality: ``image`` or ``table``.
    """

    kind = "vae"
    low: Tensor
    high: Tensor

    def __init__(
        self,
        data_shape: Sequence[int],
        latent_dim: int = 8,
        hidden: Sequence[int] = (128,),
        modality: str = "image",
    ) -> None:
        super().__init__(latent_dim)
        self.data_shape = tuple(data_shape)
        self.hidden = tuple(hidden)
        self.modality = modality
        self.prior = Prior("normal", latent_dim)
        size = math.prod(self.data_shape)
        self.encoder: nn.Module = MLP((size, *self.hidden, 2 * latent_dim))
        self.decoder: MLP | ConvDecoder = MLP((latent_dim, *reversed(self.hidden), size), squash=modality == "image")
        # Table columns stay inside the range that was seen.
        self.register_buffer("low", torch.full((size,), -math.inf))
        self.register_buffer("high", torch.full((size,), math.inf))

    @property
    def settings(self) -> dict[str, Any]:
        """See `Manifold.settings`."""
        return {
            "data_shape": list(self.data_shape),
            "latent_dim": self.latent_dim,
            "hidden": list(self.hidden),
            "modality": self.modality,
        }

    def posterior(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Mean and log variance of q(z | x), each (B, d)."""
        mean, log_variance = self.encoder(x.reshape(len(x), -1)).chunk(2, dim=1)
        return mean, log_variance

    def encode(self, x: Tensor) -> Tensor:
        """Posterior means (B, d), kept inside the typical set."""
        return self.prior.project(self.posterior(x)[0])

    def decode(self, z: Tensor) -> Tensor:
        """Means of p(x | z), (B, \\*data_shape)."""
        x = self.decoder(z)
        if self.modality == "table":
            x = x.clamp(self.low, self.high)
        return x.view(len(z), *self.data_shape)

    def linearized(self, z: np.ndarray, factual: Tensor | None = None) -> tuple[np.ndarray, Pull]:
        """See `Manifold.linearized`."""
        if not isinstance(self.decoder, MLP):
            return super().linearized(z, factual)
        x, pull = self.decoder.linearized(z)
        if self.modality == "table":
            x = np.clip(x, self.low.numpy(), self.high.numpy())
        return x.reshape(len(z), *self.data_shape), pull

    def loss(self, x: Tensor, beta: float, generator: torch.Generator) -> Tensor:
        """Negative evidence lower bound per item (scalar, nats) with the KL term weighted by `beta` (Higgins 2017)."""
        mean, log_variance = self.posterior(x)
        noise = torch.randn(mean.shape, generator=generator)
        logits = self.decoder.logits(mean + (0.5 * log_variance).exp() * noise)
        return self.bound(logits, x, mean, log_variance, beta)

    def bound(self, logits: Tensor, x: Tensor, mean: Tensor, log_variance: Tensor, beta: float) -> Tensor:
        """The loss of decoded `logits` (B, D) of a draw from the posterior N(mean, exp(log_variance)) of data x; scalar."""
        flat = x.reshape(len(x), -1)
        if self.modality == "image":
            reconstruction = F.binary_cross_entropy_with_logits(logits, flat, reduction="sum") / len(x)
        else:
            reconstruction = 0.5 * flat.shape[1] * (logits - flat).square().mean().clamp_min(1e-4).log()
        divergence = 0.5 * (mean.square() + log_variance.exp() - 1 - log_variance).sum() / len(x)
        return reconstruction + beta * divergence

    def keep_range(self, x: Tensor) -> None:
        """Note the range of a table's columns, which decoded rows never leave."""
        if self.modality == "table":
            flat = x.reshape(len(x), -1)
            self.low.copy_(flat.amin(0))
            self.high.copy_(flat.amax(0))

    @classmethod
    @in_usual_torch
    def fit(
        cls,
        x: Tensor,
        *,
        latent_dim: int = 8,
        hidden: Sequence[int] = (128,),
        modality: str = "image",
        beta: float = 0.3,
        epochs: int = 150,
        batch_size: int = 32,
        learning_rate: float = 2e-3,
        seed: int = 0,
        progress: bool = False,
        **architecture: Any,
    ) -> Self:
        """Train a VAE on data (N, \\*data_shape); Adam with cosine decay.

        `beta` < 1 trades the bound for reconstructions that keep the class, which an explanation needs. `architecture` holds
        further arguments of the class.

        Raises:
            ManifoldError: fewer than two rows, or a latent dimension beyond the data's.
        """
        size = math.prod(x.shape[1:])
        if len(x) < 2:
            raise ManifoldError(f"a VAE needs at least 2 rows, got {len(x)}")
        if not 1 <= latent_dim <= size:
            raise ManifoldError(f"latent_dim must be between 1 and the {size} data dimensions, not {latent_dim}")
        generator = torch.Generator().manual_seed(seed)
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            vae = cls(x.shape[1:], latent_dim, hidden, modality, **architecture)
        vae.keep_range(x)
        descend(
            vae, lambda index: vae.loss(x[index], beta, generator), len(x), epochs=epochs, batch_size=batch_size,
            learning_rate=learning_rate, generator=generator, label="fitting the manifold", progress=progress,
        )  # fmt: skip
        with torch.no_grad():
            vae.remember_codes(vae.encode(x))
        return vae
