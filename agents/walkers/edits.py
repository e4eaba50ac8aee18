"""A search over the graph of edits of a sentence, planned on what the codes predict and corrected by every answer."""

from __future__ import annotations

from typing import ClassVar

import torch
from torch import Tensor

from agents.walkers.base import Recorder
from agents.walkers.walker import Walker
from envs.core.tasks import log_odds
from envs.core.world import World
from envs.errors import ManifoldError
from envs.manifolds.edits.graph import Node
from envs.manifolds.edits.manifold import Edits

WIDTH = 6  # nodes that a plan goes on from
MARGIN = 0.4  # log odds beyond the threshold at which a plan ends
LOSS = 10.0  # cost of a loss of fluency of one nat per word; editing all words of the sentence costs 1
SHORT = 1.0  # cost of being one nat short of the threshold, in the same unit
PATIENCE, HASTE = 3, 0.5  # steps after which that cost and the margin grow, and their growth a step


class EditsWalker(Walker):
    """Plans a few edits without a query, makes the first one, reads the prediction, and plans again.

    The latent code predicts the classifier's log odds (`Edits.expected`). A plan is a beam search for the cheapest sentence
    that the code predicts to arrive: it counts the words edited, the loss of fluency, and the log odds that are missing. The
    difference between the prediction and the answer at the present sentence corrects the next plan. A step costs one query,
    and nothing else does. Only for manifolds that are a graph (`Manifold.on_graph`).

    Args:
        depth: edits of a plan.
        margin: log odds beyond the threshold at which a plan ends.

    Example:
        >>> from agents.walkers import make_walker
        >>> make_walker("edits", depth=2).depth
        2
    """

    name: ClassVar[str] = "edits"
    to_known_goals: ClassVar[bool] = True  # the encoder learned from the predictions for the reference inputs

    def __init__(self, depth: int = 4, margin: float = MARGIN) -> None:
        self.depth, self.margin = depth, margin

    @classmethod
    def obstacle(cls, world: World) -> str | None:
        """Only a graph can be searched like this."""
        if world.manifold.on_graph:
            return None
        return f"the walker {cls.name!r} searches a graph of edits; build the world with manifold='edits', or walk the line"

    @classmethod
    def made_for(cls, world: World) -> bool:
        """See `Walker.made_for`: graphs of edits."""
        return cls.obstacle(world) is None

    def steps(self, recorder: Recorder, generator: torch.Generator) -> None:
        """Plan and step, item by item; draws nothing."""
        world = recorder.world
        if (why := self.obstacle(world)) is not None or not isinstance(world.manifold, Edits):
            raise ManifoldError(why or f"{type(world.manifold).__name__} is a graph of another kind than `Edits`")
        visited: dict[int, set[Node]] = {}
        while len(rows := recorder.active()):
            going, actions = [], []
            for row in rows.tolist():
                aim = self._planned(world, recorder, row, visited.setdefault(row, set()))
                if aim is not None:
                    going.append(row)
                    actions.append((aim - recorder.state.z[row]) / world.step_length)
            if not going:
                return
            recorder.step(torch.tensor(going), torch.stack(actions))

    def _planned(self, world: World, recorder: Recorder, row: int, visited: set[Node]) -> Tensor | None:
        """The code (d,) of the next sentence; None where no edit is left that was not tried."""
        manifold, state = world.manifold, recorder.state
        assert isinstance(manifold, Edits)
        graph = manifold.graph(state.factual[row])
        here = manifold.node(graph, state.frame[row])
        visited.add(here)
        target = int(state.target[row])
        urgency = 1 + HASTE * max(0, len(visited) - 1 - PATIENCE)
        threshold = float(log_odds(torch.tensor(world.task.tau))) + urgency * self.margin
        predicted = self._odds(manifold.expected(state.z[row][None]), target)[0]
        off = 0.0 if world.label_only else float(world.task.evidence(state)[row] - predicted)
        reach = world.step_length

        def worth(nodes: list[Node], places: Tensor) -> Tensor:
            short = (threshold - off - self._odds(manifold.expected(places), target)).clamp_min(0)
            size = torch.tensor([graph.size(node) for node in nodes]) / len(graph.words)
            loss = torch.tensor([graph.loss(node) for node in nodes])
            return size + LOSS * loss + urgency * SHORT * short

        front: list[tuple[Node, tuple[Node, Tensor] | None]] = [(here, None)]
        best, cheapest = None, float("inf")
        for _ in range(self.depth):
            found: dict[Node, tuple[float, tuple[Node, Tensor]]] = {}
            for node, first in front:
                around = manifold.around(graph, node)
                costs = worth(around.nodes, around.places)
                for k in costs.argsort()[: 4 * WIDTH].tolist():
                    next_node = around.nodes[k]
                    if next_node in visited or next_node in found:
                        continue
                    step = (next_node, around.places[k]) if first is None else first
                    if first is None and not _leads(around.places, around.places[0], k, reach):
                        continue
                    found[next_node] = float(costs[k]), step
            ranked = sorted(found.items(), key=lambda item: item[1][0])[: 2 * WIDTH]
            if not ranked:
                break
            loss = manifold.losses(graph, [node for node, _ in ranked])  # of all edits together, not their sum
            exact = [
                (cost + LOSS * (true - graph.loss(node)), node, step)
                for (node, (cost, step)), true in zip(ranked, loss, strict=True)
            ]
            exact.sort(key=lambda item: item[0])
            if exact[0][0] >= cheapest:
                break
            cheapest, _, best = exact[0]
            front = [(node, step) for _, node, step in exact[:WIDTH]]
        return None if best is None else best[1]

    @staticmethod
    def _odds(log_p: Tensor, target: int) -> Tensor:
        """Log odds (R,) of the target under log probabilities (R, K)."""
        return log_odds(log_p[:, target].exp())


def _leads(places: Tensor, here: Tensor, k: int, reach: float) -> bool:
    """Whether a full action towards candidate k ends nearest to it."""
    way = places[k] - here
    end = here + way * min(1.0, reach / max(float(way.norm()), 1e-9))
    return int((places - end).square().sum(1).argmin()) == k
