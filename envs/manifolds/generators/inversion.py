"""Inversion of a generator: gradient descent on the reconstruction error, in batches.

    minimise over z:  mean (G(z) - x)^2 - prior_weight * log p(z) / d

Source: Creswell and Bharath, "Inverting the Generator of a Generative Adversarial Network", IEEE TNNLS 30(7), 2019, equation 4
and section III (with the prior term averaged over coordinates, as in the authors' experiments). Shapes: B batch, d latent
coordinates, R starts per datum.

Data in a batch do not affect each other: generators work row by row, Adam works coordinate by coordinate, and the random
starts are the same for each datum. A batch gives the same codes as single calls.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor, nn

from envs.errors import ManifoldError, UnknownNameError
from envs.manifolds.prior import Prior
from envs.runtime.progress import progress_bar

STARTS = ("random", "encoder", "both")
BOXES = ("clip", "redraw")
BATCH = 4096  # codes that descend at once


class Inverse(NamedTuple):
    """The result of an inversion.

    Attributes:
        z: Best code of each datum, (B, d).
        error: Mean squared error of its decoded data, (B,). It is large for data that the generator cannot produce.

    Example:
        >>> how = Inversion(start="random", steps=300, prior_weight=0.0)
        >>> found = invert(lambda z: 2 * z, Prior("normal", 1), torch.tensor([[1.0]]), how)
        >>> found.z.round(decimals=1)
        tensor([[0.5000]])
    """

    z: Tensor
    error: Tensor


@dataclass(frozen=True)
class Inversion:
    """Settings of an inversion.

    Args:
        start: ``random`` codes of the prior, the ``encoder``'s code, or ``both``.
        restarts: Number of random starts R per datum; the best result is used. More starts never increase the error.
        steps: Steps of Adam; 0 returns the starts. The learning rate falls to zero along half a cosine.
        learning_rate: 0.05 to 0.1 for small generators. Smaller values need more steps, larger ones miss narrow valleys.
        prior_weight: Weight of the normal prior's log density. With 0, codes may leave the typical shell up to its boundary.
        box: Treatment of coordinates outside the uniform prior's box: ``clip``, or ``redraw`` (stochastic clipping: Lipton and
            Tripathi, "Precise Recovery of Latent Vectors from Generative Adversarial Networks", ICLR workshop 2017).
        seed: Seed of the random starts and redrawn coordinates.

    Raises:
        ManifoldError: If a number is out of range.
        UnknownNameError: If there is no such start or box treatment.

    Example:
        >>> Inversion(start="random", restarts=4).steps
        100
    """

    start: str = "both"
    restarts: int = 1
    steps: int = 100
    learning_rate: float = 0.1
    prior_weight: float = 0.001
    box: str = "clip"
    seed: int = 0

    def __post_init__(self) -> None:
        if self.start not in STARTS:
            raise UnknownNameError("start of an inversion", self.start, STARTS)
        if self.box not in BOXES:
            raise UnknownNameError("box handling", self.box, BOXES)
        if self.restarts < 1 or self.steps < 0 or not self.learning_rate > 0 or not self.prior_weight >= 0:
            raise ManifoldError(f"an inversion needs restarts >= 1, steps >= 0, a positive rate and a weight >= 0: {self}")


def invert(
    generator: nn.Module | Callable[[Tensor], Tensor],
    prior: Prior,
    x: Tensor,
    how: Inversion | None = None,
    encoder: Callable[[Tensor], Tensor] | None = None,
    progress: bool = False,
) -> Inverse:
    """Find the codes of data under a generator.

    Each step ends in the prior's typical set. The generator's parameters and their gradients do not change.

    Args:
        generator: Maps codes (n, d) to data (n, \\*data_shape).
        prior: Distribution of the codes.
        x: Data, (B, \\*data_shape).
        how: Settings.
        encoder: Maps data to codes, for the starts ``encoder`` and ``both``.
        progress: Show a progress bar.

    Raises:
        ManifoldError: If the generator uses batch statistics, so that data would affect each other's codes, or an encoder
            start is requested without an encoder.
    """
    how = how or Inversion()
    if isinstance(generator, nn.Module):
        check_generator(generator)
    if how.start != "random" and encoder is None:
        raise ManifoldError(f"start={how.start!r} needs an encoder; this generator has none: use start='random'")
    parts = x.split(max(1, BATCH // (how.restarts + 1)))
    # Callers may be in inference mode, whose tensors autograd refuses; hence the copies.
    with torch.inference_mode(False), torch.enable_grad():
        bar = progress_bar(parts, "inverting", progress)
        found = [_invert_part(generator, prior, part.clone(), how, encoder) for part in bar]
    return Inverse(torch.cat([part.z for part in found]), torch.cat([part.error for part in found]))


def check_generator(generator: nn.Module) -> None:
    """Refuse a generator whose rows depend on each other or on chance.

    Raises:
        ManifoldError: If batch normalisation or dropout is in training mode, or batch normalisation has no running statistics.
    """
    for name, module in generator.named_modules():
        batch_norm = isinstance(module, nn.modules.batchnorm._BatchNorm)
        dropout = isinstance(module, nn.modules.dropout._DropoutNd)
        if (batch_norm or dropout) and module.training:
            raise ManifoldError(
                f"the generator's layer {name!r} ({type(module).__name__}) is in training mode: its output depends on "
                "the rest of the batch or on chance; call generator.eval() first"
            )
        if batch_norm and module.running_mean is None:
            raise ManifoldError(
                f"the generator's layer {name!r} ({type(module).__name__}) keeps no running statistics, so data of a batch "
                "affect each other; train it with track_running_stats=True, or use another normalisation"
            )


def _invert_part(
    generator: Callable[[Tensor], Tensor],
    prior: Prior,
    x: Tensor,
    how: Inversion,
    encoder: Callable[[Tensor], Tensor] | None,
) -> Inverse:
    """`invert` for as many data as fit in one batch."""
    rng = torch.Generator().manual_seed(how.seed)
    z = _starts(prior, x, how, encoder, rng)  # (R, B, d)
    count, rows, d = z.shape
    z = z.reshape(count * rows, d)
    wanted = x.flatten(1).repeat(count, 1)
    mean, square = torch.zeros_like(z), torch.zeros_like(z)
    for step in range(how.steps):
        z.requires_grad_(True)
        error = (generator(z).flatten(1) - wanted).square().mean(1)
        objective = error
        if how.prior_weight and prior.kind == "normal":  # the other priors are flat inside their typical sets
            objective = error + how.prior_weight * 0.5 * z.square().mean(1)
        (gradient,) = torch.autograd.grad(objective.sum(), z)
        with torch.no_grad():
            z = prior_step(prior, _adam(z, gradient, mean, square, step, how), how, rng)
    with torch.no_grad():
        error = (generator(z).flatten(1) - wanted).square().mean(1).view(count, rows)
        best = error.argmin(0)
        every = torch.arange(rows)
        return Inverse(z.view(count, rows, d)[best, every].detach(), error[best, every])


def _starts(
    prior: Prior, x: Tensor, how: Inversion, encoder: Callable[[Tensor], Tensor] | None, rng: torch.Generator
) -> Tensor:
    """Start codes (R, B, d). Random ones are drawn one by one, so that R of them are the first of R + 1."""
    starts = []
    if encoder is not None and how.start != "random":
        with torch.no_grad():
            starts.append(prior.project(encoder(x)))
    if how.start != "encoder":
        starts += [prior.project(prior.sample(1, rng)).expand(len(x), -1) for _ in range(how.restarts)]
    return torch.stack(starts)


def _adam(z: Tensor, gradient: Tensor, mean: Tensor, square: Tensor, step: int, how: Inversion) -> Tensor:
    """One step of Adam (Kingma and Ba, ICLR 2015, algorithm 1) on a half-cosine schedule; updates the moments."""
    first, second = 0.9, 0.999
    mean.lerp_(gradient, 1 - first)
    square.lerp_(gradient.square(), 1 - second)
    rate = how.learning_rate * 0.5 * (1 + torch.cos(torch.tensor(torch.pi * step / how.steps)).item())
    corrected = mean / (1 - first ** (step + 1))
    return z.detach() - rate * corrected / ((square / (1 - second ** (step + 1))).sqrt() + 1e-8)


def prior_step(prior: Prior, z: Tensor, how: Inversion, rng: torch.Generator) -> Tensor:
    """Move codes back into the typical set; coordinates outside the uniform prior's box may be redrawn instead."""
    if how.box == "redraw" and prior.kind == "uniform":
        fresh = prior.sample(1, rng)  # one draw for all items: a batch stays what single calls give
        return torch.where(z.abs() > 1, fresh, z)
    return prior.project(z)
