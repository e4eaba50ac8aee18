"""How an action moves a code. One function a move; a new move is one function and one line in `MOVES`.

Every function takes codes z (B, d), actions a (B, d) inside the unit ball and a length (of a full action), and gives new
codes (B, d). The caller projects them into the prior's typical set and bounds the step in data space (`envs.core.dynamics`).
"""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
import torch
from torch import Tensor

from envs.geometry.interpolation import sphere_step
from envs.geometry.transport import root_mean_square, vicinity
from envs.manifolds.base import Manifold
from envs.manifolds.networks.arrays import norm

Move = Callable[[Manifold, Tensor, Tensor, float], Tensor]

METRIC_FLOOR = 0.05


def euclidean(manifold: Manifold, z: Tensor, action: Tensor, length: float) -> Tensor:
    """z + length * a: a full action moves `length` in the latent space."""
    return torch.add(z, action, alpha=length)


def spherical(manifold: Manifold, z: Tensor, action: Tensor, length: float) -> Tensor:
    """Along the great circle by the action's tangential part, outwards or inwards by its radial part.

    A purely tangential action keeps |z|, as slerp does (White, "Sampling Generative Networks", 2016, section 2); it turns z
    by the angle length * |a| / |z|. Near the origin, where no sphere is left, the move is euclidean.
    """
    return sphere_step(z, action, length)


def matched(manifold: Manifold, z: Tensor, action: Tensor, length: float) -> Tensor:
    """Matched vicinity step: z + eps u carried back to the prior's law, with u = r a and eps = length / r.

    r = sqrt(d E[z_i^2]) is the root mean square norm of the prior's codes. If u were drawn from the prior the step would
    keep the prior exactly: for N(0, I) it is (z + eps u) / sqrt(1 + eps^2). See `envs.geometry.transport.vicinity`. A
    learned policy's actions depend on z, so the guarantee is that of a random walker; the typical set is enforced as for
    every move.
    """
    prior = manifold.prior
    scale = math.sqrt(z.shape[1]) * root_mean_square(prior)
    return vicinity(prior, z, action * scale, length / scale)


def pullback(manifold: Manifold, z: Tensor, action: Tensor, length: float) -> Tensor:
    """z + length * G(z)^(-1/2) a: to first order, a full action moves `length` in *data space* whatever its direction.

    G is the pullback metric of the decoder, its eigenvalues floored at a share of their mean so that directions which the
    decoder ignores do not fling the walk away. It asks the decoder for its Jacobian and the classifier for nothing.
    """
    eigenvalues, vectors = torch.linalg.eigh(manifold.metric(z))
    # The second floor is for a decoder that ignores the code altogether: its metric is zero.
    floor = (METRIC_FLOOR * eigenvalues.mean(1, keepdim=True)).clamp_min(1e-12)
    scaled = vectors.transpose(1, 2) @ action[:, :, None] / torch.maximum(eigenvalues, floor).sqrt()[:, :, None]
    return z + length * (vectors @ scaled)[:, :, 0]


def arc(manifold: Manifold, z: Tensor, action: Tensor, length: float) -> Tensor:
    """The euclidean direction at a length measured in *data space*: to first order, the frame moves `length` * |a|.

    One Jacobian-vector product a step, an eighth of the work of `pullback` at eight dimensions. A direction that the decoder
    ignores moves no further than `euclidean` would with ten times the length.
    """
    speed, size = norm(manifold.jvp(z, action).numpy()), norm(action.numpy())
    share = length * size / np.maximum(np.maximum(speed, 0.1 * size), 1e-9)
    return torch.from_numpy(z.numpy() + action.numpy() * share[:, None])


MOVES: dict[str, Move] = {
    "euclidean": euclidean,
    "spherical": spherical,
    "matched": matched,
    "pullback": pullback,
    "arc": arc,
}
# Moves whose length is one in data space already: nothing to calibrate.
IN_DATA_SPACE = ("pullback", "arc")
