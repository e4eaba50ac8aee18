"""Latent LIME: which latent directions change the prediction, by weighted ridge regression on neighbours on the manifold.

LIME [1]_ perturbs the input itself, and its neighbours are unlike data. Here the neighbours are decoded codes z_t + dz around
the code z_t of a frame, so every query is a sample of the generative model, and d coefficients are fitted instead of one per
pixel. The most similar published method samples from a VAE, too [2]_, but does not fit along a path.

For frame t and the probability p of the target, with draws dz_i ~ N(0, s^2 I), in pairs +-dz_i so that terms even in dz
cancel:

    minimise  sum_i w_i (p(z_t + dz_i) - b - beta . dz_i)^2 + ridge * w * s^2 |beta|^2,
    w_i = exp(-|dz_i|^2 / (2 (width s)^2 d)),  w = sum_i w_i

All frames share the draws, so slopes change along a path because of the classifier, not of chance. The world gives s: the
latent length whose median decoded change is `neighbourhood` times that of a full action.

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
ROWS = 65_536  # decoded and predicted at once


class Slopes(NamedTuple):
    """Local linear models of p at F frames.

    Attributes:
        latent: (F, d) change of p by each latent coordinate, per unit of the code.
        intercept: (F,) the model's p at the frame.
        r2: (F,) weighted share of p's variance among the neighbours that the model explains; `nan` where p is constant.
        queries: classifier queries of this analysis, which are part of no path's queries.

    Example:
        >>> from envs import make_world
        >>> world = make_world(data="digits")
        >>> z = world.reference.z[:2]
        >>> latent_slopes(world, z, world.reference.x[:2], torch.tensor([4, 9]), samples=50).latent.shape
        torch.Size([2, 8])
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
    """Fit local linear models at F codes, with all queries in one batch.

    Args:
        world: decoder and classifier.
        z: (F, d) codes.
        factual: the input (F, *data_shape) of each frame's walk, from which unchanged and immutable values are taken.
        columns: (F,) the class whose probability is explained; -k-1 means the largest probability of a class other than k.
        samples: S, neighbours per frame; even and more than d.
        neighbourhood: median decoded change of a neighbour, as a share of that of a full action.
        seed: of the draws.

    Returns:
        The slopes.

    Raises:
        ManifoldError: a classifier that returns only labels, or too few or an odd number of samples.
    """
    if world.label_only:
        raise ManifoldError("latent LIME fits probabilities; this classifier returns only labels")
    count, d = z.shape
    if samples <= d or samples % 2:
        raise ManifoldError(f"samples {samples}: an even number above the {d} latent dimensions is needed")
    spread = neighbourhood * _action_length(world) / d**0.5
    half = torch.randn(samples // 2, d, generator=torch.Generator().manual_seed(seed)) * spread
    draws = torch.cat([half, -half])  # (S, d)
    home = factual if isinstance(factual, Factual) else world.factual_of(factual)
    predictions = _predicted(world, z, home, draws, columns)  # (F, S)
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
    """Convert latent slopes (F, d) at codes z (F, d) to slopes by each value of the datum, (F, *data_shape).

    The smallest g with J^T g = beta, J the decoder's Jacobian: g = J (J^T J)^-1 beta. So g . dx = beta . dz for every
    dx = J dz on the manifold, and directions off the manifold, which were not sampled, get slope zero.
    """
    with torch.inference_mode():
        jacobian = world.manifold.jacobian(z)  # (F, D, d)
        metric = jacobian.transpose(1, 2) @ jacobian
        # A coordinate that the decoder ignores makes J^T J singular, so a little damping relative to its size is added.
        grain = 1e-4 * torch.diagonal(metric, dim1=1, dim2=2).mean(1)[:, None, None] + 1e-12
        solved = torch.linalg.solve(metric + grain * torch.eye(z.shape[1]), latent[:, :, None])
        return (jacobian @ solved)[:, :, 0].reshape(len(z), *world.manifold.data_shape)


def _action_length(world: World) -> float:
    """Latent length of a full action."""
    from agents.walkers.follow import latent_step

    return latent_step(world)


def _predicted(world: World, z: Tensor, factual: Factual, draws: Tensor, columns: Tensor) -> Tensor:
    """The explained probability (F, S) at every neighbour, in as few batches as memory allows."""
    per = max(1, ROWS // len(draws))
    parts = []
    with torch.inference_mode():
        for low in range(0, len(z), per):
            codes = (z[low : low + per, None] + draws).reshape(-1, z.shape[1])
            inputs = factual.chosen(torch.arange(low, min(low + per, len(z)))).repeated(len(draws))
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
