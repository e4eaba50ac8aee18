"""Variational auto-encoder of images or table rows (Kingma and Welling, "Auto-Encoding Variational Bayes", ICLR 2014)."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, Self

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from envs.manifolds.base import NetworkManifold, Pull
from envs.manifolds.fitting import check_fit, descend, untrained
from envs.manifolds.networks.conv import Pushed
from envs.manifolds.networks.dense import MLP
from envs.manifolds.prior import Prior
from envs.runtime.torch_defaults import in_usual_torch


class VAE(NetworkManifold):
    """Variational auto-encoder with a Gaussian encoder, an MLP decoder and a standard normal prior.

    Images have a Bernoulli likelihood on grey values. Table rows have a Gaussian likelihood with the optimal, calibrated noise
    (Rybkin, Daniilidis and Levine, "Simple and Effective VAE Training with Calibrated Sigma Decoders", ICML 2021, section 4),
    so there is no scale to tune.

    Args:
        data_shape: Shape of one datum.
        latent_dim: Number of latent coordinates d.
        hidden: Widths of the encoder's hidden layers; the decoder mirrors them.
        modality: ``image`` or ``table``.

    Example:
        >>> x = torch.rand(64, 6, 6, generator=torch.Generator().manual_seed(0))
        >>> vae = VAE.fit(x, latent_dim=2, hidden=(16,), epochs=2)
        >>> z = vae.encode(x[:3])
        >>> tuple(z.shape), tuple(vae.decode(z).shape)
        ((3, 2), (3, 6, 6))
    """

    kind = "vae"
    fitted_by_name = True
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
        self.decoder: MLP | Pushed = MLP((latent_dim, *reversed(self.hidden), size), squash=modality == "image")
        # Table columns stay inside the observed range.
        self.register_buffer("low", torch.full((size,), -math.inf))
        self.register_buffer("high", torch.full((size,), math.inf))

    @property
    def settings(self) -> dict[str, Any]:
        """JSON-serialisable arguments that build an untrained copy."""
        return {
            "data_shape": list(self.data_shape),
            "latent_dim": self.latent_dim,
            "hidden": list(self.hidden),
            "modality": self.modality,
        }

    def posterior(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Mean and log variance of q(z | x), each (B, d), for data (B, \\*data_shape)."""
        mean, log_variance = self.encoder(x.reshape(len(x), -1)).chunk(2, dim=1)
        return mean, log_variance

    def encode(self, x: Tensor) -> Tensor:
        """Posterior means (B, d), projected into the typical set."""
        if isinstance(self.encoder, MLP) and torch.is_inference_mode_enabled() and x.device.type == "cpu":
            return torch.from_numpy(
                self.prior.projected(self.encoder.on_arrays(x.numpy().reshape(len(x), -1))[:, : self.latent_dim])
            )
        return self.prior.project(self.posterior(x)[0])

    def decode(self, z: Tensor) -> Tensor:
        """Means (B, \\*data_shape) of p(x | z) at codes (B, d). Table values stay inside the observed range."""
        x = self.decoder(z)
        if self.modality == "table":
            x = x.clamp(self.low, self.high)
        return x.view(len(z), *self.data_shape)

    def linearized(self, z: np.ndarray, factual: Tensor | None = None) -> tuple[np.ndarray, Pull]:
        """Decoded data and pullback in one pass, see `Manifold.linearized`."""
        if not isinstance(self.decoder, MLP):
            return super().linearized(z, factual)
        x, pull = self.decoder.linearized(z)
        if self.modality == "table":
            x = np.clip(x, self.low.numpy(), self.high.numpy())
        return x.reshape(len(z), *self.data_shape), pull

    def loss(self, x: Tensor, beta: float, generator: torch.Generator) -> Tensor:
        """Negative evidence lower bound per datum.

        Args:
            x: Data, (B, \\*data_shape).
            beta: Weight of the KL term (Higgins and others, "beta-VAE", ICLR 2017, equation 4).
            generator: Draws the noise of the codes.

        Returns:
            Scalar, in nats.
        """
        mean, log_variance = self.posterior(x)
        noise = torch.randn(mean.shape, generator=generator)
        logits = self.decoder.logits(mean + (0.5 * log_variance).exp() * noise)
        return self.bound(logits, x, mean, log_variance, beta)

    def bound(self, logits: Tensor, x: Tensor, mean: Tensor, log_variance: Tensor, beta: float) -> Tensor:
        """The loss of one draw from the posterior N(mean, exp(log_variance)).

        Args:
            logits: Decoder output of the draw before its sigmoid, (B, D).
            x: Data, (B, \\*data_shape).
            mean: Posterior means, (B, d).
            log_variance: Posterior log variances, (B, d).
            beta: Weight of the KL term.

        Returns:
            Scalar, in nats per datum.
        """
        flat = x.reshape(len(x), -1)
        if self.modality == "image":
            reconstruction = F.binary_cross_entropy_with_logits(logits, flat, reduction="sum") / len(x)
        else:
            reconstruction = 0.5 * flat.shape[1] * (logits - flat).square().mean().clamp_min(1e-4).log()
        divergence = 0.5 * (mean.square() + log_variance.exp() - 1 - log_variance).sum() / len(x)
        return reconstruction + beta * divergence

    def keep_range(self, x: Tensor) -> None:
        """Record the range of each table column in data x (N, D); decoded rows stay inside it."""
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
        """Train a VAE with Adam and a cosine learning rate.

        Args:
            x: Data, (N, \\*data_shape).
            latent_dim: Number of latent coordinates d.
            hidden: Widths of the encoder's hidden layers.
            modality: ``image`` or ``table``.
            beta: Weight of the KL term. Values below 1 favour reconstructions that keep the class, which explanations need.
            epochs: Passes over the data.
            batch_size: Rows per minibatch.
            learning_rate: Learning rate of the first step.
            seed: Seed of weights, minibatches and noise.
            progress: Show a progress bar.
            **architecture: Further arguments of the class.

        Returns:
            The VAE, frozen and in eval mode.

        Raises:
            ManifoldError: If there are fewer than two rows, or `latent_dim` exceeds the data's dimension.
        """
        check_fit("a VAE", x, latent_dim)
        generator = torch.Generator().manual_seed(seed)
        vae = untrained(lambda: cls(x.shape[1:], latent_dim, hidden, modality, **architecture), seed)
        vae.keep_range(x)
        descend(
            vae, lambda index: vae.loss(x[index], beta, generator), len(x), epochs=epochs, batch_size=batch_size,
            learning_rate=learning_rate, generator=generator, label="fitting the manifold", progress=progress,
        )  # fmt: skip
        with torch.no_grad():
            vae.remember_codes(vae.encode(x))
        return vae
