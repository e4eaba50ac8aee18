"""What a state costs as far as it is known without asking the classifier, and which way that cost falls.

The input, the manifold and the labelled starts are the walker's own: how far a frame lies from the input and from the target
class's own data needs no query, nor does the direction in which both shrink. With guidance on, observations hold it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor

from envs.manifolds.networks.arrays import norm

if TYPE_CHECKING:
    from envs.core.world import World

LIMIT = 10.0  # compass readings are clipped here, so that observations are bounded
PULL_SCALE = 0.1  # brings the pull of a class's Gaussian to the size of the other observations


def distance(a: Tensor, b: Tensor) -> Tensor:
    """Euclidean distance (B,) between coordinates, or data, of any shape."""
    return torch.linalg.vector_norm((a - b).flatten(1), dim=1)


def appraise(world: World, z: Tensor, place: Tensor, home: Tensor, target: Tensor) -> tuple[Tensor, Tensor]:
    """Cost (B,) of states (see `envs.core.tasks.Weights`) and their compass (B, 2 d), or (B, 0) in a world without one.

    `place` and `home` (B, D) are the coordinates of the frames and of the inputs, see `Manifold.coordinates`.

    The compass is the downhill direction of half the cost's gradient by the code, J^T (-dc/dx) / 2 in class distances, and the
    pull P (mu - z) of the target class's Gaussian of codes: two matrix products through the decoder and one d x d.
    """
    weights = world.task.weights
    implausibility = weights.implausibility if world.task.towards_target else 0.0
    gap = home.numpy() - place.numpy()
    far = norm(gap)
    cost = far * (weights.distance / world.class_distance)
    if not (implausibility or world.guidance):
        return torch.from_numpy(cost), place.new_zeros(len(place), 0)
    asked = target.numpy()
    away, outward = world.class_neighbours.near(place.numpy(), asked)
    cost += away * (implausibility / world.class_distance)
    if not world.guidance:
        return torch.from_numpy(cost), place.new_zeros(len(place), 0)
    downhill = gap * (0.5 * weights.distance / np.maximum(far, 0.1))[:, None] - outward * (0.5 * implausibility)
    means, precision = (part.numpy()[asked] for part in world.class_codes)
    pull = (precision @ (means - z.numpy())[:, :, None])[:, :, 0]
    guidance = np.concatenate((world.manifold.vjp(z, torch.from_numpy(downhill)).numpy(), PULL_SCALE * pull), axis=1)
    return torch.from_numpy(cost), torch.from_numpy(
        np.minimum(np.maximum(guidance, -LIMIT, out=guidance), LIMIT, out=guidance)
    )
