"""Generative adversarial networks as manifolds: the generator decodes, inverting it encodes."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, fields
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from envs.errors import ManifoldError, UnknownNameError
from envs.manifolds.base import NetworkManifold
from envs.manifolds.collapse import CollapsedError, check_modes, nearest_mode
from envs.manifolds.fitting import check_fit, untrained
from envs.manifolds.generators import training as gan_training
from envs.manifolds.generators.inversion import Inverse, Inversion, invert
from envs.manifolds.generators.training import Recipe
from envs.manifolds.networks.conv import ConvDecoder, ConvEncoder
from envs.manifolds.networks.dense import MLP
from envs.manifolds.prior import Prior
from envs.runtime.progress import progress_bar
from envs.runtime.torch_defaults import in_usual_torch

FITTED_PRIORS = ("normal", "uniform")
NETWORKS = ("mlp", "conv")
SAMPLES = 2000  # drawn to look for lost classes
REMEMBERED = 2000  # rows whose codes tell what is typical: each takes an inversion


class FitInterrupted(KeyboardInterrupt):
    """A fit was interrupted; `manifold` is the GAN so far: its generator's running average, and an untrained encoder."""

    def __init__(self, manifold: GAN) -> None:
        super().__init__("the GAN's training was interrupted; .manifold holds what was learned")
        self.manifold = manifold


class GAN(NetworkManifold):
    """A generator trained against a critic (Goodfellow and others 2014; the losses stand in `gan_training`).

    It has no posterior. `encode` inverts it: a small encoder gives the start, gradient descent on the reconstruction error
    does the rest (`inversion`), at the price of that descent for every input. Its prior is exact, which is what the operations
    on latent codes are about.

    Args:
        data_shape: shape of one datum.
        latent_dim: d.
        hidden: widths of the generator's hidden layers; the critic and the encoder mirror them.
        prior: ``normal`` or ``uniform``.
        modality: ``image`` or ``table``.
        network: ``mlp``, or ``conv`` for pictures: far better ones after as much training, and slower to walk on one core.
        channels: of the convolutions.
        inversion: settings of `Inversion` for `encode`, where they differ from its defaults.
    """

    kind = "gan"
    fitted_by_name = True
    low: Tensor
    high: Tensor

    def __init__(
        self,
        data_shape: Sequence[int],
        latent_dim: int = 32,
        hidden: Sequence[int] = (256, 256),
        prior: str = "normal",
        modality: str = "image",
        network: str = "mlp",
        channels: Sequence[int] = (16, 32),
        inversion: dict[str, Any] | None = None,
    ) -> None:
        super().__init__(latent_dim)
        if prior not in FITTED_PRIORS:
            raise ManifoldError(f"a GAN draws its codes from a normal or a uniform prior, not {prior!r}")
        if network not in NETWORKS:
            raise UnknownNameError("network", network, NETWORKS)
        if network == "conv" and modality != "image":
            raise ManifoldError(f"a convolutional GAN is for pictures, not for modality {modality!r}; use network='mlp'")
        self.data_shape = tuple(data_shape)
        self.hidden = tuple(hidden)
        self.modality = modality
        self.prior = Prior(prior, latent_dim)
        self.inversion = Inversion(**{"start": "encoder", **(inversion or {})})
        self.network = network
        self.channels = tuple(channels)
        size, width = math.prod(self.data_shape), self.hidden[-1]
        if network == "conv":
            self.generator: MLP | ConvDecoder = ConvDecoder(latent_dim, width, self.channels, self.data_shape)
            self.encoder: nn.Module = ConvEncoder(self.data_shape, self.channels, width, latent_dim)
        else:
            self.generator = MLP((latent_dim, *self.hidden, size), squash=modality == "image")
            self.encoder = MLP((size, width, latent_dim))
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
            "prior": self.prior.kind,
            "modality": self.modality,
            "network": self.network,
            "channels": list(self.channels),
            "inversion": asdict(self.inversion),
        }

    def invert(self, x: Tensor, how: Inversion | None = None, progress: bool = False) -> Inverse:
        """Codes of data x (B, \\*data_shape) and their reconstruction errors (B,), a score of lying off the manifold."""
        return invert(self.decode, self.prior, x, how or self.inversion, self.guess, progress)

    def guess(self, x: Tensor) -> Tensor:
        """The encoder's code (B, d) of data: where inversion starts."""
        return self.prior.project(self.encoder(x.reshape(len(x), -1)))

    def encode(self, x: Tensor) -> Tensor:
        """Codes (B, d) by inversion, inside the typical set. The same data give the same codes."""
        return self.invert(x).z

    def decode(self, z: Tensor) -> Tensor:
        """Generated data (B, \\*data_shape)."""
        x = self.generator(z)
        if self.modality == "table":
            x = x.clamp(self.low, self.high)
        return x.view(len(z), *self.data_shape)

    @property
    def decoder(self) -> nn.Module:
        """The generator, under the name that `NetworkManifold` knows."""
        return self.generator

    def critic(self, spectral: bool) -> nn.Module:
        """An untrained critic (flat data (B, D) to (B, 1)) of the generator's size."""
        if self.network == "conv":
            return ConvEncoder(self.data_shape, self.channels, self.hidden[-1], 1, spectral)
        return gan_training.mlp_critic((math.prod(self.data_shape), *reversed(self.hidden), 1), spectral)

    @classmethod
    @in_usual_torch
    def fit(
        cls,
        x: Tensor,
        *,
        latent_dim: int = 32,
        hidden: Sequence[int] = (256, 256),
        prior: str = "normal",
        modality: str = "image",
        network: str = "mlp",
        channels: Sequence[int] = (16, 32),
        inversion: dict[str, Any] | None = None,
        recipe: Recipe | Mapping[str, Any] | None = None,
        epochs: int | None = None,
        classify: Callable[[Tensor], Tensor] | None = None,
        seed: int = 0,
        progress: bool = False,
    ) -> GAN:
        """Train a GAN on data (N, \\*data_shape), then an encoder for it.

        Args:
            x: the data.
            latent_dim, hidden, prior, modality, network, channels, inversion: see `GAN`.
            recipe: how to train: a `Recipe`, or its settings that differ from the defaults.
            epochs: passes over the data, where no recipe is given.
            classify: tells the class (B,) of data, to look for lost classes; default: the nearest of ten clusters.
            seed: of everything random.
            progress: show bars.

        Raises:
            ManifoldError: fewer than two rows, a latent dimension beyond the data's, or weights that became NaN.
            CollapsedError: classes of the data are missing among the samples; it holds the GAN.
            FitInterrupted: a KeyboardInterrupt; it holds the GAN so far.
        """
        check_fit("a GAN", x, latent_dim)
        given, recipe = recipe, _recipe(recipe)
        if epochs is not None and not given:
            recipe = Recipe(steps=epochs * math.ceil(len(x) / recipe.batch_size))
        generator = torch.Generator().manual_seed(seed)

        def build() -> tuple[GAN, nn.Module]:
            made = cls(x.shape[1:], latent_dim, hidden, prior, modality, network, channels, inversion)
            return made, made.critic(spectral=recipe.loss == "hinge")

        gan, critic = untrained(build, seed)
        flat = x.reshape(len(x), -1)
        if modality == "table":
            gan.low.copy_(flat.amin(0))
            gan.high.copy_(flat.amax(0))
        try:
            gan_training.train(gan.generator, critic, gan.prior, flat, recipe, generator, progress)
        except KeyboardInterrupt:
            raise FitInterrupted(gan.eval().requires_grad_(False)) from None
        gan.generator.requires_grad_(False)
        if not all(torch.isfinite(parameter).all() for parameter in gan.generator.parameters()):
            raise ManifoldError(f"the GAN's training diverged (weights are NaN); lower learning_rate={recipe.learning_rate}")
        fit_encoder(gan, flat, recipe.encoder_steps, generator, progress)
        gan.eval().requires_grad_(False)
        spread = torch.linspace(0, len(x) - 1, min(len(x), REMEMBERED)).long()  # the data may be sorted by class
        gan.remember_codes(gan.encode(x[spread]))
        classify = classify or nearest_mode(x, seed)
        samples = gan.decode(gan.prior.sample(SAMPLES, generator))
        try:
            check_modes(classify(x), classify(samples))
        except CollapsedError as error:
            error.manifold = gan
            raise
        return gan


def _recipe(given: Recipe | Mapping[str, Any] | None) -> Recipe:
    """The recipe; a mapping of its settings is what a command line gives."""
    if isinstance(given, Recipe):
        return given
    known = [field.name for field in fields(Recipe)]
    for name in given or {}:
        if name not in known:
            raise UnknownNameError("setting of the recipe", name, known)
    return Recipe(**(given or {}))


def fit_encoder(gan: GAN, flat: Tensor, steps: int, generator: torch.Generator, progress: bool) -> None:
    """Train the GAN's encoder on generated pairs (G(z), z), and on real rows (N, D) by their reconstruction.

    The pairs teach where codes lie, the real rows what to do with data that the generator never makes. Its generator is fixed.
    """
    batch = 128
    optimizer = torch.optim.Adam(gan.encoder.parameters(), lr=2e-3)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, steps)
    scale = flat.var(0).mean().clamp_min(1e-6)
    for _ in progress_bar(range(steps), "training the encoder", progress):
        z = gan.prior.sample(batch, generator)
        real = flat[torch.randint(len(flat), (batch,), generator=generator)]
        made = gan.generator(z)
        codes = gan.encoder(torch.cat((made, real)))
        again = gan.generator(gan.prior.project(codes))
        loss = F.mse_loss(codes[:batch], z) + F.mse_loss(again, torch.cat((made, real))) / scale
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        schedule.step()
