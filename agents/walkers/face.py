"""FACE-like walk over a density graph: from reference input to reference input through dense regions of the data.

FACE [1]_ joins data that lie near each other, gives edges through sparse regions a high weight, and takes the shortest path to
an item of the target class that is both predicted with confidence and typical. Here the items are the world's reference
inputs, the graph lies in latent space, and the path is walked, step by step, along the line through its nodes. So the frames
are decoded, as with every walker, where FACE shows the data themselves; only the steps cost queries. (`graph` walks over the
same items by length alone.)

An edge between codes a and b, one among the k nearest of the other, weighs |a - b| / rho(middle)^(1/d) with rho the density at
its middle: the length of the edge where data are dense, and more the sparser they are. By the k-nearest estimate
rho ~ 1 / r_k^d, r_k the distance to the k-th nearest item, that is |a - b| r_k(middle).

References
----------
.. [1] Poyiadzi, Sokol, Santos-Rodriguez, De Bie, Flach, "FACE: Feasible and Actionable Counterfactual Explanations",
   AIES 2020, section 3; the weight is its k-NN form without the volume's constant.
"""

from __future__ import annotations

from typing import ClassVar

import numpy as np
import torch
from torch import Tensor

from agents.walkers.base import Recorder
from agents.walkers.follow import follow
from agents.walkers.geodesic import graph_of
from agents.walkers.goals import goals_of
from agents.walkers.walker import Walker
from envs.geometry.graph import LatentGraph


class DensityGraph(LatentGraph):
    """A graph of codes whose edges weigh their latent length times the spacing of the data at their middle.

    Example:
        >>> from envs import make_world
        >>> graph, nodes = graph_of(make_world(), 10, DensityGraph)
        >>> graph.spacing(graph.z[:3]).shape
        (3,)
    """

    def _measure(self, a: Tensor, b: Tensor) -> np.ndarray:
        """Weights (E,) of edges between codes a and b (E, d)."""
        found: np.ndarray = (a - b).norm(dim=1).double().numpy() * self.spacing((a + b) / 2)
        return found

    def spacing(self, z: Tensor) -> np.ndarray:
        """r_k at codes z (E, d): the distance to the k-th nearest item, (E,)."""
        distance: np.ndarray = self.tree.query(z.numpy(), k=[self.neighbours])[0][:, 0]
        return distance


class FaceWalker(Walker):
    """Walks along the shortest path over the density graph to a reference input in a dense region that satisfies the task.

    Args:
        neighbours: k, of the graph and of the density.
        sparsest: share of the candidate goals, the sparsest ones, that are not used.
        refine: the most further queries per item for a shorter last step.

    Source: Poyiadzi et al., "FACE", AIES 2020, section 3.

    Example:
        >>> from agents.explain import explain
        >>> from envs import make_world
        >>> explain(make_world(), 0, walker=FaceWalker()).success
        True
    """

    name: ClassVar[str] = "face"
    to_known_goals: ClassVar[bool] = True

    def __init__(self, neighbours: int = 10, sparsest: float = 0.25, refine: int = 2) -> None:
        self.neighbours = neighbours
        self.sparsest = sparsest
        self.refine = refine

    def steps(self, recorder: Recorder, generator: torch.Generator) -> None:
        """Walk over the graph; draws nothing."""
        world, state = recorder.world, recorder.state
        graph, nodes = graph_of(world, self.neighbours, DensityGraph)
        for rows, candidates in goals_of(world, state):
            goals = self._dense(graph, torch.nonzero(candidates[nodes]).flatten())
            if len(goals):
                found = graph.lead(state.z[rows], goals)
                follow(recorder, found.points[1:], found.counts - 1, rows)

    def _dense(self, graph: DensityGraph, goals: Tensor) -> Tensor:
        """The nodes among `goals` (G,) that do not lie in the sparsest regions of these."""
        if not len(goals):
            return goals
        spacing = graph.spacing(graph.z[goals])
        return goals[torch.from_numpy(spacing <= np.quantile(spacing, 1 - self.sparsest))]
