"""Codes of given data under a generator: gradient descent on the reconstruction error, in batches.

    minimise over z:  mean (G(z) - x)^2 - prior_weight * log p(z) / d

Creswell and Bharath, "Inverting the Generator of a Generative Adversarial Network", IEEE TNNLS 30(7), 2019, equation 4 and
section III (the prior term averaged over the coordinates, as in the authors' own runs). B batch, d latent, R starts an item.

The items of a batch do not touch each other: every generator here answers row by row, Adam works coordinate by coordinate, and
the random starts are the same codes for every item. So a batch gives what single calls give.
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
    """What inversion finds.

    Attributes:
        z: (B, d) the best code of each item.
        error: (B,) mean squared error a value of its decoded code: large for data that the generator cannot make.
    """

    z: Tensor
    error: Tensor


@dataclass(frozen=True)
class Inversion:
    """How to invert.

    Args:
        start: ``random`` codes of the prior, the ``encoder``'s code, or ``both``.
        restarts: R, how many random codes each item starts from; the best end is kept. More never makes the error worse.
        steps: of Adam; 0 leaves the starts as they are. The rate falls to zero along half a cosine.
        learning_rate: 0.05 to 0.1 for small generators; smaller takes more steps, larger jumps over narrow valleys.
        prior_weight: weight of the prior's log density (normal prior); 0 lets codes leave the typical shell, up to its wall.
        box: for the uniform prior: ``clip`` coordinates that leave the box, or ``redraw`` them (Lipton and Tripathi, "Precise
            Recovery of Latent Vectors from Generative Adversarial Networks", 2017: stochastic clipping).
        seed: of the random starts and redrawn coordinates.

    Raises:
        ManifoldError: a number that cannot be.
        UnknownNameError: no such start or box handling.
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
    """Codes of data x (B, \\*data_shape) under a generator that maps codes (n, d) to data (n, \\*data_shape).

    Every step ends in the prior's typical set. The generator's parameters and their gradients stay as they are.

    Raises:
        ManifoldError: the generator normalises by batch statistics, so that items would change each other's codes; or an
            encoder start without an encoder.
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
    """Refuse a generator whose rows depend on each other, or on chance.

    Raises:
        ManifoldError: batch normalisation or dropout in training mode, or batch normalisation without running statistics.
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
                f"the generator's layer {name!r} ({type(module).__name__}) keeps no running statistics, so codes of a batch "
                "cannot be told apart; train it with track_running_stats=True, or use another normalisation"
            )


def _invert_part(
    generator: Callable[[Tensor], Tensor],
    prior: Prior,
    x: Tensor,
    how: Inversion,
    encoder: Callable[[Tensor], Tensor] | None,
) -> Inverse:
    """`invert` of as many items as are held at once."""
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
    """One step of Adam (Kingma and Ba 2015, algorithm 1) at a rate that falls along half a cosine; moments are updated."""
    first, second = 0.9, 0.999
    mean.lerp_(gradient, 1 - first)
    square.lerp_(gradient.square(), 1 - second)
    rate = how.learning_rate * 0.5 * (1 + torch.cos(torch.tensor(torch.pi * step / how.steps)).item())
    corrected = mean / (1 - first ** (step + 1))
    return z.detach() - rate * corrected / ((square / (1 - second ** (step + 1))).sqrt() + 1e-8)


def prior_step(prior: Prior, z: Tensor, how: Inversion, rng: torch.Generator) -> Tensor:
    """Codes moved back into the typical set; coordinates out of the uniform prior's box may be drawn anew instead."""
    if how.box == "redraw" and prior.kind == "uniform":
        fresh = prior.sample(1, rng)  # one draw for all items: a batch stays what single calls give
        return torch.where(z.abs() > 1, fresh, z)
    return prior.project(z)
