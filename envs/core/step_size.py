"""How long a full action is: measured, so that it means the same in every latent space."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

import numpy as np
import torch

from envs.core.moves import IN_DATA_SPACE

if TYPE_CHECKING:
    from envs.core.world import World

ROWS = 512  # starts that it is measured at


def calibrated_step(world: World) -> float:
    """Length of a full action whose median decoded move is the share `world.step` of the class distance."""
    wanted = world.class_distance * world.step
    if world.move_name == "arc" or (world.move_name in IN_DATA_SPACE and world.modality != "text"):
        return wanted  # the metric of text is one of words, not of the codes that lengths are measured in
    generator = torch.Generator().manual_seed(0)
    rows = torch.randint(len(world.reference.z), (ROWS,), generator=generator)
    z = world.reference.z[rows]
    factual = world.reference.factual.chosen(rows)  # what is held stays, or its reconstruction would count as a move
    place = world.manifold.coordinates(z, world.reference.frame[rows])
    action = torch.randn(z.shape, generator=generator)
    action /= action.norm(dim=1, keepdim=True)

    def median_move(length: float) -> float:
        moved = world.manifold.prior.project(world.move(world.manifold, z, action, length))
        return float((world.coordinates_of(moved, factual) - place).norm(dim=1).median())

    with torch.inference_mode():
        return _solve_increasing(median_move, wanted)


def _solve_increasing(function: Callable[[float], float], wanted: float) -> float:
    """x > 0 with function(x) = wanted by bisection in log x; the nearest end of [1e-4, 1e3] if it is not reached there."""
    low, high = np.log(1e-4), np.log(1e3)
    for _ in range(40):
        middle = (low + high) / 2
        if function(float(np.exp(middle))) < wanted:
            low = middle
        else:
            high = middle
    return float(np.exp((low + high) / 2))
