"""Shortest ways on the manifold: the decoder's own geometry says what is short, the classifier is not asked about the way.

`geodesic` bends the latent line to the nearest unlike neighbour until its decoded energy is least. `graph` goes over known
items, from neighbour to neighbour, to whichever start of the class asked for is nearest that way, as FACE [1]_ does with
paths through data; it stays where data are and pays for it in length.

References
----------
.. [1] Poyiadzi, Sokol, Santos-Rodriguez, De Bie, Flach, "FACE: Feasible and Actionable Counterfactual Explanations",
   AIES 2020, algorithm 1.
"""

from __future__ import annotations

from typing import ClassVar

import torch
from torch import Tensor

from agents.walkers.base import Recorder, Walk
from agents.walkers.goals import goals_of, neighbour_goals
from agents.walkers.interpolation import follow_curve
from agents.walkers.planning.refine import refine_last
from envs.core.state import State
from envs.core.world import World
from envs.geometry.curves import along, pixels
from envs.geometry.geodesics import geodesic
from envs.geometry.graph import NEIGHBOURS, LatentGraph

MOST_NODES = 5000  # starts that the graph holds: an even sample through the classes of more


class GeodesicWalker:
    """The spline of least energy in data space to the nearest unlike neighbour, cut at success.

    Args:
        refine: most further questions an item for a finer last step.
        steps: of the spline's optimiser.
    """

    name: ClassVar[str] = "geodesic"
    white_box: ClassVar[bool] = False
    uses_starts: ClassVar[bool] = True

    def __init__(self, refine: int = 2, steps: int = 100) -> None:
        self.refine = refine
        self.steps = steps

    def walk(
        self,
        world: World,
        state: State,
        initial_latent_queries: Tensor,
        generator: torch.Generator,
        max_steps: int | None = None,
    ) -> Walk:
        """See `Walker.walk`; draws nothing from `generator`.

        Raises:
            ManifoldError: a decoder without gradients.
        """
        recorder = Recorder(world, state, initial_latent_queries, max_steps)
        goals, found = neighbour_goals(world, state)
        curve = geodesic(pixels(world.manifold), state.z, goals, steps=self.steps).points()
        follow_curve(recorder, curve, found)
        refine_last(recorder, self.refine)
        return recorder.walk()


class GraphWalker:
    """Over the graph of known starts to the nearest one, along the graph, that is what is asked for.

    Args:
        refine: most further questions an item for a finer last step.
        neighbours: of each node.
    """

    name: ClassVar[str] = "graph"
    white_box: ClassVar[bool] = False
    uses_starts: ClassVar[bool] = True

    def __init__(self, refine: int = 2, neighbours: int = NEIGHBOURS) -> None:
        self.refine = refine
        self.neighbours = neighbours

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
        graph, nodes = graph_of(world, self.neighbours)
        for rows, candidates in goals_of(world, state):
            goals = torch.nonzero(candidates[nodes]).flatten()
            if len(goals):
                curve = along(graph.lead(state.z[rows], goals).points, by_length=True)
                follow_curve(recorder, curve, torch.ones(len(rows), dtype=torch.bool), rows)
        refine_last(recorder, self.refine)
        return recorder.walk()


def graph_of(world: World, neighbours: int = NEIGHBOURS) -> tuple[LatentGraph, Tensor]:
    """The graph of a world's starts in data space, and which starts its nodes are (N,); made once a world."""
    kept = world.__dict__.setdefault("_graphs", {})
    if neighbours not in kept:
        nodes = graph_nodes(world)
        kept[neighbours] = LatentGraph(pixels(world.manifold), world.reference.z[nodes], neighbours), nodes
    found: tuple[LatentGraph, Tensor] = kept[neighbours]
    return found


def graph_nodes(world: World) -> Tensor:
    """Which starts a graph holds, (N,): all, or an even sample through the classes of many."""
    nodes = torch.arange(len(world.reference.z))
    if len(nodes) <= MOST_NODES:
        return nodes
    return world.reference.label.argsort(stable=True)[torch.linspace(0, len(nodes) - 1, MOST_NODES).long()]
