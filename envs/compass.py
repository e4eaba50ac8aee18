"""What a state costs as far as it is known without asking the classifier, and which way that cost falls.

The input, the manifold and the labelled starts are the walker's own: how far a frame lies from the input and from the target
class's own data needs no query, nor does the direction in which both shrink. With the compass on, observations hold it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import Tensor

if TYPE_CHECKING:
    from envs.world import World

LIMIT = 10.0  # compass readings are clipped here, so that observations are bounded
PULL_SCALE = 0.1  # brings the pull of a class's Gaussian to the size of the other observations


def distance(a: Tensor, b: Tensor) -> Tensor:
    """Euclidean distance (B,) between coordinates, or data, of any shape."""
    return torch.linalg.vector_norm((a - b).flatten(1), dim=1)


def appraise(world: World, z: Tensor, place: Tensor, home: Tensor, target: Tensor) -> tuple[Tensor, Tensor]:
    """Cost (B,) of states (see `envs.tasks.Weights`) and their compass (B, 2 d), or (B, 0) in a world without one.

    `place` and `home` (B, D) are the coordinates of the frames and of the inputs, see `Manifold.coordinates`.

    The compass is the downhill direction of half the cost's gradient by the code, J^T (-dc/dx) / 2 in class distances, and the
    pull P (mu - z) of the target class's Gaussian of codes: two matrix products through the decoder and one d x d.
    """
    weights = world.task.weights
    atypical = weights.atypical if world.task.towards_target else 0.0
    gap = home - place
    far = torch.linalg.vector_norm(gap, dim=1)
    cost = far * (weights.distance / world.class_distance)
    if not (atypical or world.compass):
        return cost, place.new_zeros(len(place), 0)
    near = world.class_neighbours(place, target)
    cost = cost.add_(near.distance, alpha=atypical / world.class_distance)
    if not world.compass:
        return cost, place.new_zeros(len(place), 0)
    downhill = gap * (0.5 * weights.distance / far.clamp_min(0.1))[:, None] - near.gradient * (0.5 * atypical)
    means, precision = world.class_codes
    pull = torch.bmm(precision[target], (means[target] - z)[:, :, None])[:, :, 0]
    compass = torch.cat((world.manifold.vjp(z, downhill), PULL_SCALE * pull), dim=1)
    return cost, compass.clamp_(-LIMIT, LIMIT)
