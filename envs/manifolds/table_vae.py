"""Variational auto-encoder of mixed tables: numbers and categories in one latent space."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from envs.manifolds.base import Manifold
from envs.manifolds.fitting import check_fit, descend, untrained
from envs.manifolds.networks.dense import MLP
from envs.manifolds.prior import Prior
from envs.runtime.torch_defaults import in_usual_torch

CALIBRATION = 60  # corrections of a gate's biases, ever smaller
MOST_LOGIT = 30.0  # beyond it a probability is 0 or 1 in float32 anyway, and the exponential would overflow


class TableVAE(Manifold):
    """Variational auto-encoder of table rows with a softmax head per categorical column.

    Numbers have a Gaussian likelihood with the optimal, calibrated noise of each column (Rybkin, Daniilidis and Levine,
    "Simple and Effective VAE Training with Calibrated Sigma Decoders", ICML 2021, section 4), categories a categorical one.
    The model follows TVAE (Xu and others, "Modeling Tabular Data using Conditional GAN", NeurIPS 2019, section 4.4) without
    its mixture encoding of numbers.

    Args:
        size: Width D of an encoded row, see `envs.modalities.table`.
        blocks: (first position, number of positions) of each categorical choice; all other positions are numbers.
        latent_dim: Number of latent coordinates d.
        hidden: Widths of the encoder's hidden layers; the decoder mirrors them.
        gates: (position of a number, position whose choice says that it has a value) of numbers that may have none: their
            likelihood counts where they have one, see `envs.modalities.gates`.

    Example:
        >>> vae = TableVAE(size=4, blocks=[(1, 3)], latent_dim=2, hidden=(8,))  # one number, one category with three values
        >>> row = vae.decode(torch.zeros(1, 2))
        >>> tuple(row.shape), round(row[0, 1:].sum().item(), 4)
        ((1, 4), 1.0)
    """

    kind = "table_vae"
    low: Tensor
    high: Tensor
    held: Tensor
    member: Tensor
    is_number: Tensor

    def __init__(
        self,
        size: int,
        blocks: Sequence[Sequence[int]],
        latent_dim: int = 8,
        hidden: Sequence[int] = (128, 128),
        gates: Sequence[Sequence[int]] = (),
    ) -> None:
        super().__init__(latent_dim)
        self.data_shape = (size,)
        self.modality = "table"
        self.blocks = [(int(first), int(count)) for first, count in blocks]
        self.hidden = tuple(hidden)
        self.gates = [(int(number), int(opened)) for number, opened in gates]
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
        """JSON-serialisable arguments that build an untrained copy."""
        return {
            "size": self.data_shape[0],
            "blocks": [list(block) for block in self.blocks],
            "latent_dim": self.latent_dim,
            "hidden": list(self.hidden),
            **({"gates": [list(gate) for gate in self.gates]} if self.gates else {}),
        }

    def posterior(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Mean and log variance of q(z | x), each (B, d), for encoded rows (B, D)."""
        mean, log_variance = self.encoder(x).chunk(2, dim=1)
        return mean, log_variance.clamp(-10, 10)

    def encode(self, x: Tensor) -> Tensor:
        """Posterior means (B, d), projected into the typical set."""
        return self.prior.project(self.posterior(x)[0])

    def decode(self, z: Tensor) -> Tensor:
        """Soft rows (B, D): numbers inside their ranges, and the probability of each category."""
        raw = self.decoder.logits(z)
        return torch.where(self.is_number, raw.clamp(self.low, self.high), self._shares(raw))

    def _shares(self, logits: Tensor) -> Tensor:
        """Softmax over each block (B, D); the positions of numbers hold 0."""
        weight = logits.clamp(-MOST_LOGIT, MOST_LOGIT).exp() * ~self.is_number
        return weight / ((weight @ self.member) @ self.member.T + self.is_number)

    def _slope(self, shares: Tensor, tangent: Tensor) -> Tensor:
        """J tangent = J^T tangent (B, D) of the heads: identity for numbers, diag(s) - s s^T for a block."""
        pull = shares * (tangent - (shares * tangent) @ self.member @ self.member.T)
        return torch.where(self.is_number, tangent, pull)

    def jacobian(self, z: Tensor) -> Tensor:
        """Jacobian (B, D, d) at codes (B, d). It leaves out the clamp to the ranges; held positions have zero derivatives."""
        shares = self._shares(self.decoder.logits(z))
        inner = self.decoder.jacobian(z)  # (B, D, d)
        mixed = self.member @ (self.member.T @ (shares[:, :, None] * inner))
        outer = torch.where(self.is_number[:, None], inner, shares[:, :, None] * (inner - mixed))
        return outer * ~self.held[:, None]

    def jvp(self, z: Tensor, tangent: Tensor) -> Tensor:
        """Change (B, D) along code tangents (B, d); held positions do not change."""
        shares = self._shares(self.decoder.logits(z))
        return self._slope(shares, self.decoder.jvp(z, tangent)) * ~self.held

    def vjp(self, z: Tensor, cotangent: Tensor) -> Tensor:
        """Gradient (B, d) by the code for cotangents (B, D); held positions contribute nothing."""
        shares = self._shares(self.decoder.logits(z))
        return self.decoder.vjp(z, self._slope(shares, cotangent * ~self.held))

    def loss(self, x: Tensor, beta: float, generator: torch.Generator) -> Tensor:
        """Negative evidence lower bound per row.

        Args:
            x: Encoded rows, (B, D).
            beta: Weight of the KL term.
            generator: Draws the noise of the codes.

        Returns:
            Scalar, in nats.
        """
        mean, log_variance = self.posterior(x)
        noise = torch.randn(mean.shape, generator=generator)
        raw = self.decoder.logits(mean + (0.5 * log_variance).exp() * noise)
        numbers = 0.5 * self._errors(raw - x, x)[self.is_number].clamp_min(1e-3).log().sum()
        choices = -(x * self._shares(raw).clamp_min(1e-12).log() * ~self.is_number).sum() / len(x)
        divergence = 0.5 * (mean.square() + log_variance.exp() - 1 - log_variance).sum() / len(x)
        return numbers + choices + beta * divergence

    def _errors(self, difference: Tensor, x: Tensor) -> Tensor:
        """Mean squared error of each position (D,) for differences (B, D) from rows x (B, D).

        That of a number with a gate is the mean over the rows in which it has a value.
        """
        square = difference.square()
        if not self.gates:
            return square.mean(0)
        weight = torch.ones_like(square)
        at, opens = torch.tensor(self.gates).T
        weight[:, at] = x[:, opens]
        return (square * weight).sum(0) / weight.sum(0).clamp_min(1)

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
        gates: Sequence[Sequence[int]] = (),
        beta: float = 0.3,
        epochs: int = 150,
        batch_size: int = 128,
        learning_rate: float = 2e-3,
        seed: int = 0,
        progress: bool = False,
        **_: Any,
    ) -> TableVAE:
        """Train on encoded rows with Adam and a cosine learning rate.

        Args:
            x: Encoded rows, (N, D).
            blocks: As in `envs.modalities.table.TableUnits`.
            low: Smallest value of each position, (D,).
            high: Largest value of each position, (D,).
            held: Positions that walks do not change, (D,) bool.
            latent_dim: Number of latent coordinates d.
            hidden: Widths of the encoder's hidden layers.
            gates: Numbers that may have no value, see the class.
            beta: Weight of the KL term.
            epochs: Passes over the rows.
            batch_size: Rows per minibatch.
            learning_rate: Learning rate of the first step.
            seed: Seed of weights, minibatches and noise.
            progress: Show a progress bar.

        Returns:
            The VAE, frozen and in eval mode.

        Raises:
            ManifoldError: If there are fewer than two rows, or `latent_dim` exceeds D.
        """
        check_fit("a VAE", x, latent_dim)
        generator = torch.Generator().manual_seed(seed)
        vae = untrained(lambda: cls(x.shape[1], blocks, latent_dim, hidden, gates), seed)
        vae.low.copy_(low)
        vae.high.copy_(high)
        if held is not None:
            vae.held.copy_(held)
        descend(
            vae, lambda index: vae.loss(x[index], beta, generator), len(x), epochs=epochs, batch_size=batch_size,
            learning_rate=learning_rate, generator=generator, label="fitting the manifold", progress=progress,
        )  # fmt: skip
        with torch.no_grad():
            codes = vae.encode(x)
            vae._calibrate(codes, x)
            vae.remember_codes(codes)
        return vae

    def _calibrate(self, codes: Tensor, x: Tensor) -> None:
        """Shift the biases of the gates so that each state is the likeliest one as often as rows x (N, D) have it.

        The likeliest state of a rare one, such as a capital loss, would otherwise be shown far too rarely.
        """
        opens = {opened for _, opened in self.gates}
        bias = self.decoder.last.bias
        for first, count in self.blocks:
            if opens.isdisjoint(range(first, first + count)):
                continue
            places = slice(first, first + count)
            logits, wanted = self.decoder.logits(codes)[:, places], x[:, places].mean(0)
            shift = torch.zeros(count)
            for k in range(CALIBRATION):
                shown = torch.bincount((logits + shift).argmax(1), minlength=count) / len(x)
                shift += (((wanted + 1e-4) / (shown + 1e-4)).log() / (1 + 0.1 * k)).clamp(-1, 1)
            bias[places] += shift
