"""Generative adversarial networks as manifolds: the generator decodes, its inversion encodes."""

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
SAMPLES = 2000  # samples that are searched for lost classes
REMEMBERED = 2000  # rows whose codes define typicality: each needs an inversion


class FitInterrupted(KeyboardInterrupt):
    """Training was interrupted.

    Args:
        manifold: The GAN so far: the running average of its generator, and an untrained encoder.

    Example:
        >>> FitInterrupted(GAN((4,), latent_dim=2, modality="table")).manifold.latent_dim
        2
    """

    def __init__(self, manifold: GAN) -> None:
        super().__init__("the GAN's training was interrupted; .manifold holds what was learned")
        self.manifold = manifold


class GAN(NetworkManifold):
    """A generator trained against a critic (Goodfellow and others, "Generative Adversarial Nets", NeurIPS 2014).

    A GAN has no posterior. `encode` inverts the generator: a small encoder provides the start, and gradient descent on the
    reconstruction error refines it (`inversion`), at the cost of that descent for each input. The prior is exact, as the
    distribution-preserving operations on codes require. The losses are in `envs.manifolds.generators.training`.

    Args:
        data_shape: Shape of one datum.
        latent_dim: Number of latent coordinates d.
        hidden: Widths of the generator's hidden layers; critic and encoder mirror them.
        prior: ``normal`` or ``uniform``.
        modality: ``image`` or ``table``.
        network: ``mlp``, or ``conv`` for images. Convolutions give far better images after the same training, but slower
            walks.
        channels: Channels of the convolutions.
        inversion: Settings of `Inversion` for `encode` that differ from its defaults.

    Raises:
        UnknownNameError: If there is no such network.
        ManifoldError: If the prior is another one, or convolutions are requested for tables.

    Example:
        >>> gan = GAN(data_shape=(8, 8), latent_dim=4, hidden=(16,), inversion={"steps": 5})
        >>> x = gan.decode(torch.zeros(2, 4))
        >>> tuple(x.shape), tuple(gan.invert(x).error.shape)
        ((2, 8, 8), (2,))
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
            raise ManifoldError(f"a convolutional GAN needs images, not modality {modality!r}; use network='mlp'")
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
            "prior": self.prior.kind,
            "modality": self.modality,
            "network": self.network,
            "channels": list(self.channels),
            "inversion": asdict(self.inversion),
        }

    def invert(self, x: Tensor, how: Inversion | None = None, progress: bool = False) -> Inverse:
        """Invert the generator.

        Args:
            x: Data, (B, \\*data_shape).
            how: Settings; default: those of the GAN.
            progress: Show a progress bar.

        Returns:
            Codes and reconstruction errors. A large error means that x is off the manifold.
        """
        return invert(self.decode, self.prior, x, how or self.inversion, self.guess, progress)

    def guess(self, x: Tensor) -> Tensor:
        """The encoder's codes (B, d) of data (B, \\*data_shape): the start of the inversion."""
        return self.prior.project(self.encoder(x.reshape(len(x), -1)))

    def encode(self, x: Tensor) -> Tensor:
        """Codes (B, d) by inversion, inside the typical set. The same data give the same codes."""
        return self.invert(x).z

    def decode(self, z: Tensor) -> Tensor:
        """Generated data (B, \\*data_shape) at codes (B, d)."""
        x = self.generator(z)
        if self.modality == "table":
            x = x.clamp(self.low, self.high)
        return x.view(len(z), *self.data_shape)

    @property
    def decoder(self) -> nn.Module:
        """The generator, under the name that `NetworkManifold` uses."""
        return self.generator

    def critic(self, spectral: bool) -> nn.Module:
        """An untrained critic of the generator's size: flat data (B, D) to scores (B, 1).

        Args:
            spectral: Apply spectral normalisation.
        """
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
        """Train a GAN, then an encoder for it.

        Args:
            x: Data, (N, \\*data_shape).
            latent_dim: Number of latent coordinates d.
            hidden: See the class.
            prior: See the class.
            modality: See the class.
            network: See the class.
            channels: See the class.
            inversion: See the class.
            recipe: Training settings: a `Recipe`, or those of its fields that differ from the defaults.
            epochs: Passes over the data, if no recipe is given.
            classify: Maps data to class indices (B,), to detect lost classes; default: the nearest of ten clusters.
            seed: Seed of everything random.
            progress: Show progress bars.

        Returns:
            The GAN, frozen and in eval mode.

        Raises:
            ManifoldError: If there are fewer than two rows, `latent_dim` exceeds the data's dimension, or training diverges.
            CollapsedError: If classes of the data are missing among the samples. The error holds the GAN.
            FitInterrupted: On Ctrl-C. The exception holds the GAN so far.
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
    """The recipe; a command line gives a mapping of its settings."""
    if isinstance(given, Recipe):
        return given
    known = [field.name for field in fields(Recipe)]
    for name in given or {}:
        if name not in known:
            raise UnknownNameError("setting of the recipe", name, known)
    return Recipe(**(given or {}))


def fit_encoder(gan: GAN, flat: Tensor, steps: int, generator: torch.Generator, progress: bool) -> None:
    """Train the GAN's encoder on generated pairs (G(z), z), and on real rows by their reconstruction.

    The pairs teach where codes lie; real rows teach what to do with data that the generator never produces. The generator is
    fixed.

    Args:
        gan: The GAN whose encoder is trained.
        flat: Real rows, (N, D).
        steps: Gradient steps.
        generator: Draws codes and rows.
        progress: Show a progress bar.
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
