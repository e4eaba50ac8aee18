"""How an action moves a code. A new move is one function and one line in `MOVES`.

Every function takes the manifold, codes z (B, d), actions a (B, d) inside the unit ball and the length of a full action, and
returns new codes (B, d). `envs.core.dynamics.step` projects them to the prior's typical set and bounds the step in data space.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import torch
from torch import Tensor

from envs.core.registry import find
from envs.errors import ManifoldError
from envs.geometry.interpolation import sphere_step
from envs.geometry.transport import root_mean_square, vicinity
from envs.manifolds.base import Manifold
from envs.manifolds.networks.arrays import norm

METRIC_FLOOR = 0.05


@dataclass(frozen=True)
class Move:
    """How actions move codes.

    Args:
        function: from (manifold, z (B, d), action (B, d), length) to new codes (B, d).
        name: key in `MOVES`, or what a user's own move is called.
        length_in: what the length of a full action measures: ``latent`` (calibrated, so that a step decodes to the share
            `step` of the class distance), ``metric`` (lengths in `Manifold.metric`) or ``coordinates`` (lengths in
            `Manifold.coordinates`).
        straight: whether a code always moves in the action's own direction.
        still: whether the zero action leaves every code where it is.

    Example:
        A move of one's own is a function, by name or as it is:

        >>> from envs import make_world
        >>> def half(manifold, z, action, length):
        ...     return z + 0.5 * length * action
        >>> make_world(data="digits", move=half).move.name
        'half'
    """

    function: Callable[[Manifold, Tensor, Tensor, float], Tensor]
    name: str
    length_in: Literal["latent", "metric", "coordinates"] = "latent"
    straight: bool = False
    still: bool = True

    def __call__(self, manifold: Manifold, z: Tensor, action: Tensor, length: float) -> Tensor:
        """New codes (B, d) of codes z (B, d) under actions (B, d); a full action has this length."""
        return self.function(manifold, z, action, length)


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

    r = sqrt(d E[z_i^2]) is the root mean square norm of the prior's codes. If u were drawn from the prior, the step would
    keep the prior exactly: for N(0, I) it is (z + eps u) / sqrt(1 + eps^2). See `envs.geometry.transport.vicinity`. The
    actions of a policy depend on z, so the guarantee holds for random walks alone; codes are projected to the typical set
    after every move.
    """
    prior = manifold.prior
    scale = math.sqrt(z.shape[1]) * root_mean_square(prior)
    return vicinity(prior, z, action * scale, length / scale)


def pullback(manifold: Manifold, z: Tensor, action: Tensor, length: float) -> Tensor:
    """z + length * G(z)^(-1/2) a: to first order, a full action moves `length` in *data space* whatever its direction.

    G is the pullback metric of the decoder. Its eigenvalues are floored at 0.05 of their mean, so that a step along a
    direction that the decoder ignores stays bounded. The move needs the decoder's Jacobian and no query.
    """
    eigenvalues, vectors = torch.linalg.eigh(manifold.metric(z))
    # The second floor is for a decoder that ignores the code: its metric is zero.
    floor = (METRIC_FLOOR * eigenvalues.mean(1, keepdim=True)).clamp_min(1e-12)
    scaled = vectors.transpose(1, 2) @ action[:, :, None] / torch.maximum(eigenvalues, floor).sqrt()[:, :, None]
    return z + length * (vectors @ scaled)[:, :, 0]


def arc(manifold: Manifold, z: Tensor, action: Tensor, length: float) -> Tensor:
    """The euclidean direction at a length measured in *data space*: to first order, the frame moves `length` * |a|.

    One Jacobian-vector product a step: an eighth of the work of `pullback` in eight dimensions. Along a direction that the
    decoder ignores, a step is at most ten times as long as that of `euclidean`.
    """
    speed, size = norm(manifold.jvp(z, action).numpy()), norm(action.numpy())
    share = length * size / np.maximum(np.maximum(speed, 0.1 * size), 1e-9)
    return torch.from_numpy(z.numpy() + action.numpy() * share[:, None])


def walled(manifold: Manifold, z: Tensor, action: Tensor, length: float) -> Tensor:
    """The euclidean move in a latent space with a wall: the hyperplane where the first coordinate has its mean.

    The wall has a door, where the second coordinate is at least a standard deviation above its mean. Both means are those of
    real codes. A step that would go through the wall elsewhere is not made.

    Raises:
        ManifoldError: a latent space of one dimension, where there is no place for a door.
    """
    if manifold.latent_dim < 2:
        raise ManifoldError("the move 'walled' needs at least two latent dimensions: take move='euclidean'")
    moved = euclidean(manifold, z, action, length)
    wall, door = manifold.code_mean[0], manifold.code_mean[1] + manifold.code_scale[1]
    before, after = z[:, 0] - wall, moved[:, 0] - wall
    share = before / torch.where(before == after, 1.0, before - after)  # of the step, at the wall
    blocked = (before * after < 0) & (z[:, 1] + share * (moved[:, 1] - z[:, 1]) < door)
    return torch.where(blocked[:, None], z, moved)


MOVES: dict[str, Move] = {
    move.name: move
    for move in (
        Move(euclidean, "euclidean", straight=True),
        Move(spherical, "spherical"),
        Move(matched, "matched", still=False),
        Move(pullback, "pullback", length_in="metric"),
        Move(arc, "arc", length_in="coordinates", straight=True),
        Move(walled, "walled"),
    )
}


def make_move(move: Any = None) -> Move:
    """The move of a key of `MOVES`, a ``module:object`` name, a function or a `Move`; None: ``euclidean``.

    Raises:
        UnknownNameError, ManifoldError: no such move, or no function.
    """
    found = find("move", "euclidean" if move is None else move, MOVES, ["module:object"])
    if isinstance(found, Move):
        return found
    for known in MOVES.values():
        if found is known.function:
            return known
    if not callable(found):
        raise ManifoldError(
            f"move is a function of (manifold, z, action, length), its name, or a Move, not {found!r:.60}; names: "
            f"{', '.join(MOVES)}"
        )
    return Move(found, move if isinstance(move, str) else getattr(found, "__name__", type(found).__name__))
