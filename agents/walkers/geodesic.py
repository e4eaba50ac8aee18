"""Shortest paths on the manifold under the decoder's geometry; finding them costs no query.

`geodesic` bends the latent line to the nearest unlike neighbour until its decoded energy is least. `graph` goes from reference
input to reference input, to whichever one of the target class is nearest along the graph, as FACE [1]_ does with paths through
data. Such a path stays where data are and is longer.

References
----------
.. [1] Poyiadzi, Sokol, Santos-Rodriguez, De Bie, Flach, "FACE: Feasible and Actionable Counterfactual Explanations",
   AIES 2020, algorithm 1.
"""

from __future__ import annotations

from typing import ClassVar, TypeVar

import torch
from torch import Tensor

from agents.walkers.base import Recorder
from agents.walkers.goals import goals_of, neighbour_goals
from agents.walkers.interpolation import follow_curve
from agents.walkers.walker import Walker
from envs.core.world import World
from envs.geometry.curves import along, pixels
from envs.geometry.geodesics import geodesic
from envs.geometry.graph import NEIGHBOURS, LatentGraph

GraphT = TypeVar("GraphT", bound=LatentGraph)

MOST_NODES = 5000  # reference inputs in a graph; of more, an even sample through the classes


class GeodesicWalker(Walker):
    """Walks along the spline of least energy in data space to the nearest unlike neighbour, up to the first frame that
    satisfies the task.

    Args:
        refine: the most further queries per item for a shorter last step.
        steps: of the optimiser of the spline.

    Raises:
        ManifoldError: (on walking) a decoder without gradients.

    Example:
        >>> from agents.explain import explain
        >>> from envs import make_world
        >>> explain(make_world(), 0, walker=GeodesicWalker(steps=5)).success
        True
    """

    name: ClassVar[str] = "geodesic"
    to_known_goals: ClassVar[bool] = True

    def __init__(self, refine: int = 2, steps: int = 100) -> None:
        self.refine = refine
        self.iterations = steps

    @classmethod
    def obstacle(cls, world: World) -> str | None:
        """The decoder of a map with a hull (UMAP) has no gradients."""
        hull = world.manifold.prior.kind == "hull"
        return f"the walker {cls.name!r} needs a decoder with gradients; use the walker graph" if hull else None

    def steps(self, recorder: Recorder, generator: torch.Generator) -> None:
        """Walk along the splines; draws nothing."""
        state = recorder.state
        goals, found = neighbour_goals(recorder.world, state)
        view = pixels(recorder.world.manifold)
        follow_curve(recorder, geodesic(view, state.z, goals, steps=self.iterations).points(), found)


class GraphWalker(Walker):
    """Walks over the graph of reference inputs to the nearest one, along the graph, that satisfies the task.

    Args:
        refine: the most further queries per item for a shorter last step.
        neighbours: edges of each node.

    Source: Poyiadzi et al., "FACE", AIES 2020, algorithm 1.

    Example:
        >>> from agents.explain import explain
        >>> from envs import make_world
        >>> explain(make_world(), 0, walker=GraphWalker()).success
        True
    """

    name: ClassVar[str] = "graph"
    to_known_goals: ClassVar[bool] = True

    def __init__(self, refine: int = 2, neighbours: int = NEIGHBOURS) -> None:
        self.refine = refine
        self.neighbours = neighbours

    def steps(self, recorder: Recorder, generator: torch.Generator) -> None:
        """Walk over the graph; draws nothing."""
        world, state = recorder.world, recorder.state
        graph, nodes = graph_of(world, self.neighbours, LatentGraph)
        for rows, candidates in goals_of(world, state):
            goals = torch.nonzero(candidates[nodes]).flatten()
            if len(goals):
                curve = along(graph.lead(state.z[rows], goals).points, by_length=True)
                follow_curve(recorder, curve, torch.ones(len(rows), dtype=torch.bool), rows)


def graph_of(world: World, neighbours: int, kind: type[GraphT]) -> tuple[GraphT, Tensor]:
    """The graph of a world's reference inputs in data space, and the reference index of its nodes (N,); built once per
    world."""
    kept = world.__dict__.setdefault("_graphs", {})
    if (kind, neighbours) not in kept:
        nodes = graph_nodes(world)
        kept[kind, neighbours] = kind(pixels(world.manifold), world.reference.z[nodes], neighbours), nodes
    found: tuple[GraphT, Tensor] = kept[kind, neighbours]
    return found


def graph_nodes(world: World) -> Tensor:
    """The reference inputs in a graph, (N,) indices: all, or an even sample through the classes of many."""
    nodes = torch.arange(len(world.reference.z))
    if len(nodes) <= MOST_NODES:
        return nodes
    return world.reference.label.argsort(stable=True)[torch.linspace(0, len(nodes) - 1, MOST_NODES).long()]
