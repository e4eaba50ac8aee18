"""Guidance features: the part of a state's cost that is known without a query, and the direction in which it falls.

The distances from a frame to the input and to the target class's reference rows need no query, nor does the direction that
shrinks both. In a world with ``guidance=True``, observations hold that direction. B walks, d latent dimensions, D coordinates.
"""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from envs.core.world import World
from envs.manifolds.base import Pull
from envs.manifolds.networks.arrays import norm

LIMIT = 10.0  # guidance features are clipped here, so that observations are bounded
PULL_SCALE = 0.1  # brings the pull of a class's Gaussian to the size of the other observations


def distance(a: Tensor, b: Tensor) -> Tensor:
    """Euclidean distance (B,) between coordinates, or data, of any shape."""
    return torch.linalg.vector_norm((a - b).flatten(1), dim=1)


def appraise(
    world: World, z: np.ndarray, place: np.ndarray, home: np.ndarray, target: np.ndarray, pull: Pull | None = None
) -> tuple[np.ndarray, np.ndarray]:
    """Cost (B,) of states, see `envs.core.weights.Weights`, and their guidance features (B, 2 d).

    The features are half the downhill gradient of the cost by the code, J^T (-dc/dx) / 2 in class distances, and the pull
    P (mu - z) of the Gaussian of the target class's codes.

    Args:
        world: without guidance, the features are (B, 0).
        z: (B, d) codes.
        place, home: (B, D) coordinates of the frames and of the inputs, see `Manifold.coordinates`.
        target: (B,) classes.
        pull: the decoder's vector-Jacobian product at z, if it is at hand, see `Manifold.linearized`.

    Returns:
        New float32 arrays.
    """
    weights, unit = world.task.weights, world.reference.class_distance
    implausibility = weights.implausibility if world.task.towards_target else 0.0
    gap = home - place
    far = norm(gap)
    cost = far * (weights.distance / unit)
    if implausibility or world.guidance:
        away, outward = world.class_neighbours.near(place, target)
        cost += away * (implausibility / unit)
    if not world.guidance:
        return cost, np.empty((len(place), 0), np.float32)
    downhill = gap * (0.5 * weights.distance / np.maximum(far, 0.1))[:, None]
    downhill -= outward * (0.5 * implausibility)
    means, precision = world.reference.class_codes
    if pull is None:
        slope = world.manifold.vjp(torch.from_numpy(z), torch.from_numpy(downhill)).numpy()
    else:
        slope = pull(downhill[None])[0]
    drift = (precision[target] @ (means[target] - z)[:, :, None])[:, :, 0]
    guidance = np.concatenate((slope, PULL_SCALE * drift), axis=1)
    return cost, np.minimum(np.maximum(guidance, -LIMIT, out=guidance), LIMIT, out=guidance)
