"""Latent LIME: which latent directions move the answer here, by weighted ridge regression on neighbours that lie on
the manifold.

LIME [1]_ perturbs the input itself, and what it asks about looks like no data. Here neighbours are decoded codes
z_t + dz around a frame's code z_t, so all that is asked about is of the generative model's making, and d coefficients
are fitted in place of one a pixel. The nearest published relatives sample from a VAE, too [2]_; neither fits along a
path.

Fit for the frame t and the share p asked for, with draws dz_i ~ N(0, s^2 I), taken in pairs +-dz_i so that whatever
is even in dz cancels:

    minimise  sum_i w_i (p(z_t + dz_i) - b - beta . dz_i)^2 + ridge * w * s^2 |beta|^2,
    w_i = exp(-|dz_i|^2 / (2 (width s)^2 d)),  w = sum_i w_i

The same draws serve every frame: slopes then change along a path because the classifier does, not because the dice
do. s is set by the world: the latent length whose median decoded move is `neighbourhood` times a full action.

Symbols: F frames, d latent dimensions, S samples, D values of one datum.

References
----------
.. [1] Ribeiro, Singh, Guestrin, "Why Should I Trust You?", KDD 2016, section 3, equation 1.
.. [2] Schockaert, Macher, Schmitz, "VAE-LIME", arXiv 2007.09028.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import torch
from torch import Tensor

from envs.core.factual import Factual
from envs.errors import ManifoldError

if TYPE_CHECKING:
    from envs.core.world import World

SAMPLES = 200
NEIGHBOURHOOD = 0.5
RIDGE = 1e-3
WIDTH = 1.0
ROWS = 65_536  # decoded and asked at once


class Slopes(NamedTuple):
    """Local linear models of p at F frames.

    Attributes:
        latent: (F, d) change of p by each latent coordinate, per unit of the code.
        intercept: (F,) the model's p at the frame.
        r2: (F,) weighted share of p's variance among the neighbours that the model explains; `nan` where p is constant.
        queries: rows asked of the classifier, for analysis alone: no path's own queries.
    """

    latent: Tensor
    intercept: Tensor
    r2: Tensor
    queries: int


def latent_slopes(
    world: World,
    z: Tensor,
    factual: Factual | Tensor,
    columns: Tensor,
    *,
    samples: int = SAMPLES,
    neighbourhood: float = NEIGHBOURHOOD,
    seed: int = 0,
) -> Slopes:
    """Fit at codes z (F, d), each for the probability of its class `columns` (F,); one batch of questions for all.

    Args:
        world: decoder and classifier.
        z: codes.
        origin: the input (F, *data_shape) of each frame's walk: what has not moved, or may not, is taken from it.
        columns: a class index each; negative -k-1 stands for the largest probability of a class other than k.
        samples: S, neighbours a frame; even, more than d.
        neighbourhood: median decoded move of a neighbour, as a share of a full action's.
        seed: of the draws.

    Raises:
        ManifoldError: a classifier that shows labels alone, or too few or an odd number of samples.
    """
    if world.label_only:
        raise ManifoldError("latent LIME fits probabilities; this classifier shows labels alone")
    count, d = z.shape
    if samples <= d or samples % 2:
        raise ManifoldError(f"samples {samples}: an even number above the {d} latent dimensions is needed")
    spread = neighbourhood * _action_length(world) / d**0.5
    half = torch.randn(samples // 2, d, generator=torch.Generator().manual_seed(seed)) * spread
    draws = torch.cat([half, -half])  # (S, d)
    home = factual if isinstance(factual, Factual) else world.factual_of(factual)
    predictions = _asked(world, z, home, draws, columns)  # (F, S)
    weight = torch.exp(-draws.square().sum(1) / (2 * (WIDTH * spread) ** 2 * d)).double()
    weight /= weight.sum()
    x, y = draws.double(), predictions.double()
    mean_x, mean_y = weight @ x, y @ weight
    centred, aim = x - mean_x, y - mean_y[:, None]
    gram = (centred * weight[:, None]).T @ centred + RIDGE * spread**2 * torch.eye(d, dtype=torch.float64)
    beta = torch.linalg.solve(gram, (centred * weight[:, None]).T @ aim.T).T  # (F, d): one matrix for all frames
    left, whole = ((aim - beta @ centred.T).square() @ weight), aim.square() @ weight
    r2 = torch.where(whole > 1e-16, 1 - left / whole, torch.nan)
    return Slopes(beta.float(), (mean_y - beta @ mean_x).float(), r2.float(), count * samples)


def in_data_space(world: World, z: Tensor, latent: Tensor) -> Tensor:
    """Latent slopes (F, d) at codes z (F, d) as slopes by each value of the datum, (F, *data_shape).

    The smallest g with J^T g = beta, J the decoder's Jacobian: g = J (J^T J)^-1 beta. So g . dx = beta . dz for every
    dx = J dz that the manifold allows, and directions off the manifold, of which nothing was asked, get nothing.
    """
    with torch.inference_mode():
        jacobian = world.manifold.jacobian(z)  # (F, D, d)
        metric = jacobian.transpose(1, 2) @ jacobian
        # A coordinate that the decoder ignores makes J^T J singular: a grain of damping, relative to its size.
        grain = 1e-4 * torch.diagonal(metric, dim1=1, dim2=2).mean(1)[:, None, None] + 1e-12
        solved = torch.linalg.solve(metric + grain * torch.eye(z.shape[1]), latent[:, :, None])
        return (jacobian @ solved)[:, :, 0].reshape(len(z), *world.manifold.data_shape)


def _action_length(world: World) -> float:
    """Latent length of a full action."""
    from agents.walkers.follow import latent_step

    return latent_step(world)


def _asked(world: World, z: Tensor, factual: Factual, draws: Tensor, columns: Tensor) -> Tensor:
    """p (F, S) asked for at every neighbour, in as few batches as memory allows."""
    per = max(1, ROWS // len(draws))
    parts = []
    with torch.inference_mode():
        for low in range(0, len(z), per):
            codes = (z[low : low + per, None] + draws).reshape(-1, z.shape[1])
            inputs = Factual(*(part[low : low + per] for part in factual)).repeated(len(draws))
            prediction = world.predictions(world.decode(codes, inputs), inputs)
            own = columns[low : low + per].repeat_interleave(len(draws))
            left = own < 0
            there = torch.where(left, -own - 1, own)[:, None]
            p = prediction.gather(1, there)[:, 0]
            if bool(left.any()):
                other = prediction.scatter(1, there, -1.0).amax(1)
                p = torch.where(left, other, p)
            parts.append(p.reshape(-1, len(draws)))
    return torch.cat(parts) if parts else torch.zeros(0, len(draws))
