"""Beginnings of walks from reference rows, prepared once for a world: what `dynamics.start` computes, by row and target."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from envs.core import dynamics
from envs.core.factual import nothing_held
from envs.core.state import State
from envs.core.world import World

MOST = 32_768  # pairs of a row and a target for which cost and guidance are kept: more would cost more than they save
BLOCK = 4096  # pairs that are computed at once


class Starts:
    """`dynamics.start` for the many restarts of a vector environment.

    The costs and guidance features of all pairs of a reference row and a target are computed at the first use, in batches that
    do not depend on the walks; so the states are the same to the last bit whenever they are computed. A world with more pairs
    than `MOST` computes them anew.

    Args:
        world: of the walks.

    Example:
        >>> from envs import make_world
        >>> world = make_world(data="digits")
        >>> Starts(world)(torch.tensor([0, 1]), torch.tensor([3, 4])).z.shape
        torch.Size([2, 8])
    """

    def __init__(self, world: World) -> None:
        self.world = world
        reference = world.reference
        self.kept = len(reference.x) * world.classes <= MOST
        self._table: tuple[np.ndarray, np.ndarray] | None = None
        self._parts = [part.numpy() for part in reference.tensors]

    def __call__(self, index: Tensor, target: Tensor) -> State:
        """States of the reference rows `index` (B,) with targets (B,). No query."""
        world = self.world
        if not self.kept:
            return dynamics.start(world, index, target)
        if self._table is None:
            self._table = self._computed()
        rows, classes = index.numpy(), target.numpy()
        with torch.inference_mode():
            x, z, frame, prediction, label, cells, base = (torch.from_numpy(part[rows]) for part in self._parts)
            cost, guidance = (torch.from_numpy(part[rows, classes]) for part in self._table)
            held = nothing_held(x, world.units.anchored)
            state = State(
                z, z.clone(), frame, x, cells, base, held, prediction, label, target, cost, cost, guidance
            )  # the potential follows
            return state._replace(potential=world.task.potential(world.reference, state, world.task.goal(state)))

    def _computed(self) -> tuple[np.ndarray, np.ndarray]:
        """Costs (N, K) and guidance features (N, K, G) of all pairs."""
        n, k = len(self.world.reference.x), self.world.classes
        index, target = torch.arange(n).repeat_interleave(k), torch.arange(k).repeat(n)
        states = [dynamics.start(self.world, *pair) for pair in zip(index.split(BLOCK), target.split(BLOCK), strict=True)]
        cost = np.concatenate([state.cost.numpy() for state in states]).reshape(n, k)
        return cost, np.concatenate([state.guidance.numpy() for state in states]).reshape(n, k, -1)
