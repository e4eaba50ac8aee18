"""Training of a generator against a critic: WGAN-GP, or hinge loss with spectral normalisation, with weight averaging.

``wgan_gp``: Gulrajani and others, "Improved Training of Wasserstein GANs", NeurIPS 2017, algorithm 1. ``hinge``: Lim and Ye,
"Geometric GAN", 2017, and Miyato and others, "Spectral Normalization for Generative Adversarial Networks", ICLR 2018.
Shapes: B batch, d latent coordinates, D values per datum.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import pairwise

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.nn.utils.parametrizations import spectral_norm

from envs.errors import ManifoldError, UnknownNameError
from envs.manifolds.prior import Prior
from envs.runtime.progress import progress_bar

LOSSES = ("wgan_gp", "hinge")


@dataclass(frozen=True)
class Recipe:
    """Training settings of a GAN.

    Args:
        loss: ``wgan_gp`` covers classes most evenly and takes several critic steps. ``hinge`` (spectral normalisation) is
            cheaper per step; its raw weights oscillate, but only their average is used.
        steps: Generator steps.
        batch_size: Rows per minibatch.
        critic_steps: Critic steps per generator step; default: 3 for ``wgan_gp``, 1 for ``hinge``.
        learning_rate: Learning rate of the generator. The critic's is the same, or twice as large for ``hinge``. Both fall
            linearly to zero over the second half.
        penalty: Weight of the gradient penalty (``wgan_gp``).
        ema: Decay of the running average of the generator's weights, which is the result. The decay grows from 0.1 to this
            value in the first steps. Values too near 1 lag behind in a short training.
        encoder_steps: Steps of the encoder that is fitted to the finished generator.

    Raises:
        UnknownNameError: If there is no such loss.
        ManifoldError: If a number is out of range.

    Example:
        >>> Recipe(loss="hinge").critic_repeats
        1
    """

    loss: str = "wgan_gp"
    steps: int = 3000
    batch_size: int = 64
    critic_steps: int | None = None
    learning_rate: float = 4e-4
    penalty: float = 10.0
    ema: float = 0.998
    encoder_steps: int = 2000

    def __post_init__(self) -> None:
        if self.loss not in LOSSES:
            raise UnknownNameError("GAN loss", self.loss, LOSSES)
        if min(self.steps, self.batch_size, 1 if self.critic_steps is None else self.critic_steps) < 1:
            raise ManifoldError(f"a GAN needs at least one step of each kind and one row a batch: {self}")
        if not (self.learning_rate > 0 and self.penalty >= 0 and 0 <= self.ema < 1):
            raise ManifoldError(f"a GAN needs a positive rate, a penalty >= 0 and an average in [0, 1): {self}")

    @property
    def critic_repeats(self) -> int:
        """Critic steps per generator step."""
        return self.critic_steps if self.critic_steps is not None else {"wgan_gp": 3, "hinge": 1}[self.loss]


def mlp_critic(sizes: Sequence[int], spectral: bool) -> nn.Sequential:
    """Linear layers of these widths with LeakyReLU between them: (B, D) to (B, 1).

    Args:
        sizes: Widths from input to output.
        spectral: Apply spectral normalisation.
    """
    layers: list[nn.Module] = []
    for a, b in pairwise(sizes):
        linear = nn.Linear(a, b)
        layers += [spectral_norm(linear) if spectral else linear, nn.LeakyReLU(0.2)]
    return nn.Sequential(*layers[:-1])


def critic_loss(critic: nn.Module, real: Tensor, fake: Tensor, recipe: Recipe, generator: torch.Generator) -> Tensor:
    """Loss of the critic on real and generated rows (B, D): a scalar."""
    if recipe.loss == "hinge":
        return F.relu(1 - critic(real)).mean() + F.relu(1 + critic(fake)).mean()
    return critic(fake).mean() - critic(real).mean() + recipe.penalty * gradient_penalty(critic, real, fake, generator)


def gradient_penalty(critic: nn.Module, real: Tensor, fake: Tensor, generator: torch.Generator) -> Tensor:
    """Mean of (|dD/dx| - 1)^2 at random points between real and generated rows (B, D)."""
    share = torch.rand(len(real), 1, generator=generator)
    between = torch.lerp(fake, real, share).requires_grad_(True)
    (gradient,) = torch.autograd.grad(critic(between).sum(), between, create_graph=True)
    return (gradient.norm(dim=1) - 1).square().mean()


def train(
    network: nn.Module, critic: nn.Module, prior: Prior, x: Tensor, recipe: Recipe, generator: torch.Generator, progress: bool
) -> None:
    """Train a generator against a critic. The generator ends with the running average of its weights.

    On Ctrl-C it keeps the average so far, and the KeyboardInterrupt is raised again.

    Args:
        network: Maps codes (B, d) to flat data (B, D).
        critic: Maps flat data (B, D) to scores (B, 1).
        prior: Distribution of the codes.
        x: Flat data, (N, D).
        recipe: Settings.
        generator: Draws codes and rows.
        progress: Show a progress bar.
    """
    repeats = recipe.critic_repeats
    betas = (0.0, 0.9) if recipe.loss == "wgan_gp" else (0.5, 0.9)
    faster = 1.0 if recipe.loss == "wgan_gp" else 2.0
    slow = torch.optim.Adam(network.parameters(), lr=recipe.learning_rate, betas=betas)
    fast = torch.optim.Adam(critic.parameters(), lr=faster * recipe.learning_rate, betas=betas)
    schedules = [torch.optim.lr_scheduler.LambdaLR(each, partial(_falling, recipe.steps)) for each in (slow, fast)]
    parameters = list(network.parameters())
    average = [parameter.detach().clone() for parameter in parameters]
    rows = _rows(len(x), recipe.batch_size, generator)
    try:
        for step in progress_bar(range(recipe.steps), f"training the GAN ({recipe.loss})", progress):
            for _ in range(repeats):
                real = x[next(rows)]
                with torch.no_grad():
                    fake = network(prior.sample(len(real), generator))
                loss = critic_loss(critic, real, fake, recipe, generator)
                fast.zero_grad()
                loss.backward()
                fast.step()
            critic.requires_grad_(False)
            loss = -critic(network(prior.sample(recipe.batch_size, generator))).mean()
            slow.zero_grad()
            loss.backward()
            slow.step()
            critic.requires_grad_(True)
            for schedule in schedules:
                schedule.step()
            decay = min(recipe.ema, (1 + step) / (10 + step))
            torch._foreach_lerp_(average, [parameter.detach() for parameter in parameters], 1 - decay)
    finally:
        with torch.no_grad():
            for parameter, value in zip(parameters, average, strict=True):
                parameter.copy_(value)


def _falling(steps: int, t: int) -> float:
    """Factor of the learning rate at step t: 1 in the first half, then falling linearly to zero."""
    return min(1.0, 2 * (1 - t / steps))


def _rows(n: int, batch_size: int, generator: torch.Generator) -> Iterator[Tensor]:
    """Endless row indices of minibatches of one size, one permutation after the other."""
    size = min(batch_size, n)
    while True:
        order = torch.randperm(n, generator=generator)
        yield from order[: n - n % size].split(size)
