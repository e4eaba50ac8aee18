"""FACE-like walk over a density graph: from known item to known item through dense parts of the data.

FACE [1]_ joins data that lie near each other, makes edges through sparse regions dear, and takes the shortest path to an
item of the class asked for that is both sure and typical. Here the items are the world's starts, the graph lives in latent
space, and the path is walked, step by step, along the line through its nodes. So what is shown are decoded frames, as with
every walker, where FACE itself shows the data; no question is asked but those of the steps. (`graph` walks over the same
items by length alone.)

An edge between codes a and b, one among the k nearest of the other, costs |a - b| / rho(middle)^(1/d) with rho the density
at its middle: the length of the edge where data are dense, and more the sparser they are. By the k-nearest estimate
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

from agents.walkers.base import Recorder, Walk
from agents.walkers.follow import follow
from agents.walkers.geodesic import graph_nodes
from agents.walkers.goals import goals_of
from agents.walkers.planning.refine import refine_last
from envs.core.state import State
from envs.core.world import World
from envs.geometry.curves import pixels
from envs.geometry.graph import LatentGraph


class DensityGraph(LatentGraph):
    """A graph of codes whose edges weigh their latent length times the spacing of the data at their middle."""

    def _measure(self, a: Tensor, b: Tensor) -> np.ndarray:
        """Weights (E,) of edges between codes a and b (E, d)."""
        found: np.ndarray = (a - b).norm(dim=1).double().numpy() * self.spacing((a + b) / 2)
        return found

    def spacing(self, z: Tensor) -> np.ndarray:
        """r_k at codes z (E, d): the distance to the k-th nearest item, (E,)."""
        distance: np.ndarray = self.tree.query(z.numpy(), k=[self.neighbours])[0][:, 0]
        return distance


class FaceWalker:
    """Shortest path over the density graph of starts to a dense start that satisfies the task, walked until success.

    Args:
        neighbours: k, of the graph and of the density.
        sparsest: starts that satisfy the task and lie sparser than all but this share of those that do are no goals.
        refine: most further questions an item for a finer last step.
    """

    name: ClassVar[str] = "face"
    white_box: ClassVar[bool] = False
    uses_starts: ClassVar[bool] = True

    def __init__(self, neighbours: int = 10, sparsest: float = 0.25, refine: int = 2) -> None:
        self.neighbours = neighbours
        self.sparsest = sparsest
        self.refine = refine

    def walk(
        self,
        world: World,
        state: State,
        initial_latent_queries: Tensor,
        generator: torch.Generator,
        max_steps: int | None = None,
    ) -> Walk:
        """See `Walker.walk`; draws nothing from `generator`."""
        recorder = Recorder(world, state, initial_latent_queries, max_steps)
        graph, nodes = density_graph(world, self.neighbours)
        for rows, candidates in goals_of(world, state):
            goals = self._dense(graph, torch.nonzero(candidates[nodes]).flatten())
            if len(goals):
                found = graph.lead(state.z[rows], goals)
                follow(recorder, found.points[1:], found.counts - 1, rows)
        refine_last(recorder, self.refine)
        return recorder.walk()

    def _dense(self, graph: DensityGraph, goals: Tensor) -> Tensor:
        """Those of the nodes goals (G,) that do not lie sparsely among them."""
        if not len(goals):
            return goals
        spacing = graph.spacing(graph.z[goals])
        return goals[torch.from_numpy(spacing <= np.quantile(spacing, 1 - self.sparsest))]


def density_graph(world: World, neighbours: int) -> tuple[DensityGraph, Tensor]:
    """The density graph of a world's starts, and which starts its nodes are (N,); made once a world."""
    kept = world.__dict__.setdefault("_density_graphs", {})
    if neighbours not in kept:
        nodes = graph_nodes(world)
        kept[neighbours] = DensityGraph(pixels(world.manifold), world.reference.z[nodes], neighbours), nodes
    found: tuple[DensityGraph, Tensor] = kept[neighbours]
    return found
