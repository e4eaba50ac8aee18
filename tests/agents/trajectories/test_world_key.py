"""The key of a manifold is kept, and follows its weights."""

from __future__ import annotations

import torch

from agents.trajectories.world import manifold_key
from envs import make_world


def test_the_key_follows_a_change_of_a_single_weight_in_place() -> None:
    world = make_world(data="iris", progress=False)
    first = manifold_key(world)
    assert manifold_key(world) == first
    with torch.no_grad():
        weight = next(world.manifold.parameters()).data
        before = weight[0, 0].clone()
        weight[0, 0] += 1e-3
    assert manifold_key(world) != first
    weight[0, 0] = before
    assert manifold_key(world) == first
