"""Variational auto-encoder of mixed tables: numbers and categories in one latent space."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from envs.errors import ManifoldError
from envs.manifolds.base import Manifold
from envs.manifolds.networks.dense import MLP
from envs.manifolds.prior import Prior
from envs.runtime.progress import progress_bar
from envs.runtime.torch_defaults import in_usual_torch

MOST_LOGIT = 30.0  # beyond it a category's share is 0 or 1 in float32 anyway, and its exponential would overflow


class TableVAE(Manifold):
    """Gaussian encoder, MLP decoder, normal prior; a softmax head for every choice between categories.

    Numbers have a Gaussian likelihood whose noise is each column's optimal, calibrated one (Rybkin and others, "Simple and
    Effective VAE Training with Calibrated Decoders", 2021, section 4), categories a categorical one: after Xu and others,
    "Modeling Tabular Data using Conditional GAN", 2019, section 4.4 (TVAE), without its mixture encoding of numbers.

    Args:
        size: D, places of an encoded row (see `envs.modalities.table`).
        blocks: (first place, number of places) of every choice between categories; the other places are numbers.
        latent_dim: d.
        hidden: widths of the encoder's hidden layers; the decoder mirrors them.
    """

    kind = "table_vae"
    low: Tensor
    high: Tensor
    held: Tensor
    member: Tensor
    is_number: Tensor

    def __init__(
        self, size: int, blocks: Sequence[Sequence[int]], latent_dim: int = 8, hidden: Sequence[int] = (128, 128)
    ) -> None:
        super().__init__(latent_dim)
        self.data_shape = (size,)
        self.modality = "table"
        self.blocks = [(int(first), int(count)) for first, count in blocks]
        self.hidden = tuple(hidden)
        self.prior = Prior("normal", latent_dim)
        self.encoder = MLP((size, *self.hidden, 2 * latent_dim))
        self.decoder = MLP((latent_dim, *reversed(self.hidden), size))
        self.register_buffer("low", torch.full((size,), -math.inf))
        self.register_buffer("high", torch.full((size,), math.inf))
        self.register_buffer("held", torch.zeros(size, dtype=torch.bool))
        member = torch.zeros(size, len(self.blocks))
        for k, (first, count) in enumerate(self.blocks):
            member[first : first + count, k] = 1.0
        self.register_buffer("member", member, persistent=False)
        self.register_buffer("is_number", member.sum(1) == 0, persistent=False)

    @property
    def settings(self) -> dict[str, Any]:
        """See `Manifold.settings`."""
        return {
            "size": self.data_shape[0],
            "blocks": [list(block) for block in self.blocks],
            "latent_dim": self.latent_dim,
            "hidden": list(self.hidden),
        }

    def posterior(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Mean and log variance of q(z | x), each (B, d)."""
        mean, log_variance = self.encoder(x).chunk(2, dim=1)
        return mean, log_variance.clamp(-10, 10)

    def encode(self, x: Tensor) -> Tensor:
        """Posterior means (B, d), kept inside the typical set."""
        return self.prior.project(self.posterior(x)[0])

    def decode(self, z: Tensor) -> Tensor:
        """Soft rows (B, D): numbers inside their ranges, the share of each category."""
        raw = self.decoder.logits(z)
        return torch.where(self.is_number, raw.clamp(self.low, self.high), self._shares(raw))

    def _shares(self, logits: Tensor) -> Tensor:
        """Softmax over each block (B, D); the places of numbers hold 0."""
        weight = logits.clamp(-MOST_LOGIT, MOST_LOGIT).exp() * ~self.is_number
        return weight / ((weight @ self.member) @ self.member.T + self.is_number)

    def _slope(self, shares: Tensor, tangent: Tensor) -> Tensor:
        """J tangent = J^T tangent (B, D) of the heads: identity for numbers, diag(s) - s s^T for a block; 0 where held."""
        pull = shares * (tangent - (shares * tangent) @ self.member @ self.member.T)
        return torch.where(self.is_number, tangent, pull)

    def jacobian(self, z: Tensor) -> Tensor:
        """See `Manifold.jacobian`; the clamp to the ranges is left out, and held places do not move."""
        shares = self._shares(self.decoder.logits(z))
        inner = self.decoder.jacobian(z)  # (B, D, d)
        mixed = self.member @ (self.member.T @ (shares[:, :, None] * inner))
        outer = torch.where(self.is_number[:, None], inner, shares[:, :, None] * (inner - mixed))
        return outer * ~self.held[:, None]

    def jvp(self, z: Tensor, tangent: Tensor) -> Tensor:
        """See `Manifold.jvp`; held places do not move."""
        shares = self._shares(self.decoder.logits(z))
        return self._slope(shares, self.decoder.jvp(z, tangent)) * ~self.held

    def vjp(self, z: Tensor, cotangent: Tensor) -> Tensor:
        """See `Manifold.vjp`; held places do not move."""
        shares = self._shares(self.decoder.logits(z))
        return self.decoder.vjp(z, self._slope(shares, cotangent * ~self.held))

    def loss(self, x: Tensor, beta: float, generator: torch.Generator) -> Tensor:
        """Negative evidence lower bound per item (scalar, nats) with the KL term weighted by `beta`."""
        mean, log_variance = self.posterior(x)
        noise = torch.randn(mean.shape, generator=generator)
        raw = self.decoder.logits(mean + (0.5 * log_variance).exp() * noise)
        error = (raw - x)[:, self.is_number].square().mean(0)
        numbers = 0.5 * error.clamp_min(1e-3).log().sum()
        choices = -(x * self._shares(raw).clamp_min(1e-12).log() * ~self.is_number).sum() / len(x)
        divergence = 0.5 * (mean.square() + log_variance.exp() - 1 - log_variance).sum() / len(x)
        return numbers + choices + beta * divergence

    @classmethod
    @in_usual_torch
    def fit(
        cls,
        x: Tensor,
        *,
        blocks: Sequence[Sequence[int]],
        low: Tensor,
        high: Tensor,
        held: Tensor | None = None,
        latent_dim: int = 8,
        hidden: Sequence[int] = (128, 128),
        beta: float = 0.3,
        epochs: int = 150,
        batch_size: int = 128,
        learning_rate: float = 2e-3,
        seed: int = 0,
        progress: bool = False,
        **_: Any,
    ) -> TableVAE:
        """Train on encoded rows x (N, D); Adam with cosine decay.

        Args:
            blocks, low, high, held: of `envs.modalities.table.TableUnits`.

        Raises:
            ManifoldError: fewer than two rows, or a latent dimension beyond the data's.
        """
        size = x.shape[1]
        if len(x) < 2:
            raise ManifoldError(f"a VAE needs at least 2 rows, got {len(x)}")
        if not 1 <= latent_dim <= size:
            raise ManifoldError(f"latent_dim must be between 1 and the {size} places of an encoded row, not {latent_dim}")
        generator = torch.Generator().manual_seed(seed)
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            vae = cls(size, blocks, latent_dim, hidden)
        vae.low.copy_(low)
        vae.high.copy_(high)
        if held is not None:
            vae.held.copy_(held)
        optimizer = torch.optim.Adam(vae.parameters(), lr=learning_rate)
        schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, epochs * math.ceil(len(x) / batch_size))
        for _epoch in progress_bar(range(epochs), "fitting the manifold", progress):
            for index in torch.randperm(len(x), generator=generator).split(batch_size):
                loss = vae.loss(x[index], beta, generator)
                optimizer.zero_grad()
                loss.backward()
                optimizer.step()
                schedule.step()
        vae.eval().requires_grad_(False)
        with torch.no_grad():
            vae.remember_codes(vae.encode(x))
        return vae
