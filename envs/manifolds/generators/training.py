"""Training of a generator against a critic: WGAN-GP or hinge with spectral normalisation, averaged over the training.

Gulrajani and others, "Improved Training of Wasserstein GANs", NeurIPS 2017, algorithm 1 (``wgan_gp``). Lim and Ye, "Geometric
GAN", 2017, and Miyato and others, "Spectral Normalization for Generative Adversarial Networks", ICLR 2018 (``hinge``).
B batch, d latent.
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
    """How a GAN is trained.

    Args:
        loss: ``wgan_gp`` (covers the classes most evenly, several critic steps) or ``hinge`` (spectral norm, cheaper a step;
            its raw weights oscillate, the average is what counts).
        steps: of the generator.
        batch_size: B.
        critic_steps: critic steps for each of the generator's; default 3 for ``wgan_gp``, 1 for ``hinge``.
        learning_rate: of the generator; the critic has the same, and twice it for ``hinge``. Falls linearly to zero over the
            second half.
        penalty: weight of the gradient penalty (``wgan_gp``).
        ema: decay of the running average of the generator's weights, which is what is kept. Too near 1 for a short training
            and it lags behind: the decay grows from 0.1 to this in the first steps.
        encoder_steps: of the encoder that is fitted to the finished generator.

    Raises:
        UnknownNameError: no such loss.
        ManifoldError: a number that cannot be.
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
        """Critic steps for each of the generator's."""
        return self.critic_steps if self.critic_steps is not None else {"wgan_gp": 3, "hinge": 1}[self.loss]


def mlp_critic(sizes: Sequence[int], spectral: bool) -> nn.Sequential:
    """Linear layers of these widths with LeakyReLU between them, spectrally normalised if asked; (B, D) to (B, 1)."""
    layers: list[nn.Module] = []
    for a, b in pairwise(sizes):
        linear = nn.Linear(a, b)
        layers += [spectral_norm(linear) if spectral else linear, nn.LeakyReLU(0.2)]
    return nn.Sequential(*layers[:-1])


def critic_loss(critic: nn.Module, real: Tensor, fake: Tensor, recipe: Recipe, generator: torch.Generator) -> Tensor:
    """What the critic minimises on real and generated rows (B, D): a scalar."""
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
    """Train `network` (codes (B, d) to flat data (B, D)) against `critic` on data x (N, D); it ends as its running average.

    Interrupted, it leaves the average so far in `network` and raises the KeyboardInterrupt again.
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
    """Share of the learning rate at step t: 1 in the first half, then falling linearly to zero."""
    return min(1.0, 2 * (1 - t / steps))


def _rows(n: int, batch_size: int, generator: torch.Generator) -> Iterator[Tensor]:
    """Indices of batches without end: one permutation after the other, all batches of one size."""
    size = min(batch_size, n)
    while True:
        order = torch.randperm(n, generator=generator)
        yield from order[: n - n % size].split(size)
