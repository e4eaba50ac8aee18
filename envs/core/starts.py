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

    The potentials, costs and guidance features of all pairs of a reference row and a target are computed at the first use, in
    batches that do not depend on the walks; so the states are the same to the last bit whenever they are computed. A world
    with more pairs than `MOST` computes them anew.

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
        self.kept = len(world.reference.x) * world.classes <= MOST
        self._table: tuple[np.ndarray, ...] | None = None
        self._parts = [part.numpy() for part in world.reference.tensors]

    def __call__(self, index: Tensor, target: Tensor) -> State:
        """States of the reference rows `index` (B,) with targets (B,). No query."""
        world = self.world
        if not self.kept:
            return dynamics.start(world, index, target)
        if self._table is None:
            self._table = self._computed()
        rows = index.numpy()
        pairs = rows * world.classes + target.numpy()
        with torch.inference_mode():
            x, z, frame, prediction, label, cells, base = (torch.from_numpy(part.take(rows, axis=0)) for part in self._parts)
            potential, cost, guidance = (torch.from_numpy(part.take(pairs, axis=0)) for part in self._table)
            held = nothing_held(x, world.units.anchored)
            return State(z, z.clone(), frame, x, cells, base, held, prediction, label, target, potential, cost, guidance)

    def _computed(self) -> tuple[np.ndarray, ...]:
        """Potentials (N K,), costs (N K,) and guidance features (N K, G) of all pairs."""
        n, k = len(self.world.reference.x), self.world.classes
        index, target = torch.arange(n).repeat_interleave(k), torch.arange(k).repeat(n)
        states = [dynamics.start(self.world, *pair) for pair in zip(index.split(BLOCK), target.split(BLOCK), strict=True)]
        names = ("potential", "cost", "guidance")
        return tuple(np.concatenate([getattr(state, name).numpy() for state in states]) for name in names)
