"""The length of a full action: calibrated, so that it means the same in every latent space."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import torch

from envs.core.world import World

ROWS = 512  # reference rows at which it is measured


def calibrated_step(world: World) -> float:
    """Length of a full action whose median decoded move is the share `world.step` of the class distance. No query."""
    wanted = world.reference.class_distance * world.step
    lengths = world.move.length_in
    if lengths == "coordinates" or (lengths == "metric" and world.units.metric_is_of_coordinates):
        return wanted
    generator = torch.Generator().manual_seed(0)
    rows = torch.randint(len(world.reference.z), (ROWS,), generator=generator)
    z = world.reference.z[rows]
    factual = world.reference.factual.chosen(rows)  # what is held stays, or its reconstruction would count as a move
    manifold = world.manifold.near(factual.x)
    place = world.manifold.coordinates(z, world.reference.frame[rows])
    action = torch.randn(z.shape, generator=generator)
    action /= action.norm(dim=1, keepdim=True)

    def median_move(length: float) -> float:
        moved = world.manifold.project(world.move(manifold, z, action, length))
        return float((world.coordinates_of(moved, factual) - place).norm(dim=1).median())

    with torch.inference_mode():
        return _solve_increasing(median_move, wanted)


def _solve_increasing(function: Callable[[float], float], wanted: float) -> float:
    """x > 0 with function(x) = wanted, by bisection in log x; the nearest end of [1e-4, 1e3] if it is not reached there."""
    low, high = np.log(1e-4), np.log(1e3)
    for _ in range(40):
        middle = (low + high) / 2
        if function(float(np.exp(middle))) < wanted:
            low = middle
        else:
            high = middle
    return float(np.exp((low + high) / 2))
