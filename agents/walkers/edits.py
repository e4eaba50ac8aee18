"""A search over the graph of edits of a sentence, planned on what the codes predict and corrected by every answer."""

from __future__ import annotations

from collections.abc import Generator
from typing import ClassVar, NamedTuple

import torch
from torch import Tensor

from agents.walkers.base import Recorder, select
from agents.walkers.walker import Walker
from envs.core import dynamics
from envs.core.state import State, StepInfo
from envs.core.tasks import log_odds
from envs.core.world import World
from envs.errors import ManifoldError
from envs.manifolds.edits.graph import Node
from envs.manifolds.edits.manifold import Edits

WIDTH = 6  # nodes that a plan goes on from
MARGIN = 0.4  # log odds beyond the threshold at which a plan ends
LOSS = 10.0  # cost of a loss of fluency of one nat per word; editing all words of the sentence costs 1
MEANING = 0.0  # cost of replacing all that the rare words weigh; 0.5 brings ends nearer, but fewer of them count
SHORT = 1.0  # cost of being one nat short of the threshold, in the same unit


class Visit(NamedTuple):
    """A step that was tried: its action (1, d), the state (1) that it leads to, and its outcome."""

    action: Tensor
    state: State
    info: StepInfo


Search = Generator[tuple[State, Tensor], Visit, list[Visit]]  # asks for the outcome of an action, returns a walk


class EditsWalker(Walker):
    """Plans a few edits without a query, makes the first one, reads the prediction, and plans again.

    The latent code predicts the classifier's log odds (`Edits.expected`). A plan is a beam search for the cheapest sentence
    that the code predicts to arrive: it counts the words edited, what they weigh in the sentence, the loss of fluency, and the
    log odds that are missing. The difference between the prediction and the answer at the present sentence corrects the next
    plan. After the arrival, each edit is taken back once; those without which the decision holds stay away. Each sentence that
    is tried costs one query. Only for manifolds that are a graph (`Manifold.on_graph`).

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
        """Search, shorten and walk, item by item; draws nothing."""
        world = recorder.world
        if (why := self.obstacle(world)) is not None or not isinstance(world.manifold, Edits):
            raise ManifoldError(why or f"{type(world.manifold).__name__} is a graph of another kind than `Edits`")
        going: dict[int, Search] = {}
        asked: dict[int, tuple[State, Tensor]] = {}
        for row in recorder.active().tolist():
            start = select(recorder.state, torch.tensor([row]))
            going[row] = self._found(world, start, recorder.max_steps)
            self._on(recorder, row, start, going[row], asked, None)
        starts = {row: state for row, (state, _) in asked.items()}
        while asked:  # the next sentence of every item in one query
            rows, (states, actions) = list(asked), zip(*asked.values(), strict=True)
            state, info = recorder.trial(
                torch.tensor(rows), torch.cat(actions), State(*(torch.cat(parts) for parts in zip(*states, strict=True)))
            )
            for k, row in enumerate(rows):
                one = torch.tensor([k])
                visit = Visit(asked[row][1], select(state, one), StepInfo(*(part[one] for part in info)))
                self._on(recorder, row, starts[row], going[row], asked, visit)

    @staticmethod
    def _on(
        recorder: Recorder,
        row: int,
        start: State,
        search: Search,
        asked: dict[int, tuple[State, Tensor]],
        answer: Visit | None,
    ) -> None:
        """Go on with the search of an item: note what it asks next, or record the walk that it found."""
        try:
            asked[row] = next(search) if answer is None else search.send(answer)
        except StopIteration as end:
            asked.pop(row, None)
            for visit in end.value:
                recorder.accept(torch.tensor([row]), visit.action, visit.state, visit.info, start)
                start = visit.state

    def _found(self, world: World, start: State, most: int) -> Search:
        """The walk of one item: plan and step until it arrives or no edit is left that was not tried, then shorten it."""
        state, visited, found = start, set[Node](), list[Visit]()
        while len(found) < most and not dynamics.arrived(world, state):
            aim = self._planned(world, state, visited)
            if aim is None:
                return found
            found.append((yield state, (aim - state.z) / world.step_length))
            state = found[-1].state
        return (yield from self._shortened(world, start, found)) if dynamics.arrived(world, state) else found

    def _shortened(self, world: World, start: State, found: list[Visit]) -> Search:
        """The walk without the edits that its end does not need, in the order of what each adds.

        Each edit, the largest first, is taken back at the end; where the decision holds, it stays away. The walk to a shorter
        end is taken anew.
        """
        manifold = world.manifold
        assert isinstance(manifold, Edits)
        graph, end = manifold.graph(start.factual[0]), found[-1].state
        node = manifold.node(graph, end.frame[0])
        for edit in sorted(node, key=lambda k: (-graph.edits[k].size, k)):
            less = tuple(k for k in node if k != edit)
            if less and less in graph.neighbours(node):
                tried = yield end, (manifold.places(graph, [less]) - end.z) / world.step_length
                if manifold.node(graph, tried.state.frame[0]) == less and dynamics.arrived(world, tried.state):
                    end, node = tried.state, less
        if len(node) == len(found):
            return found
        target, state, way = int(start.target[0]), start, list[Visit]()
        here: Node = ()
        while here != node and len(way) < len(found):
            nodes = [tuple(k for k in node if k in here or k == more) for more in node if more not in here]
            places = manifold.places(graph, nodes)
            best = int(self._odds(manifold.expected(places), target).argmax())
            way.append((yield state, (places[best : best + 1] - state.z) / world.step_length))
            state, here = way[-1].state, nodes[best]
            if manifold.node(graph, state.frame[0]) != here:
                return found  # another neighbour lies nearer
            if dynamics.arrived(world, state):
                return way
        return found

    def _planned(self, world: World, state: State, visited: set[Node]) -> Tensor | None:
        """The code (d,) of the next sentence; None where no edit is left that was not tried."""
        manifold = world.manifold
        assert isinstance(manifold, Edits)
        graph = manifold.graph(state.factual[0])
        here = manifold.node(graph, state.frame[0])
        visited.add(here)
        target = int(state.target[0])
        threshold = float(log_odds(torch.tensor(world.task.tau))) + self.margin
        predicted = self._odds(manifold.expected(state.z), target)[0]
        off = 0.0 if world.label_only else float(world.task.evidence(state)[0] - predicted)
        reach = world.step_length
        changed = manifold.changed(graph)

        def worth(nodes: list[Node], places: Tensor) -> Tensor:
            short = (threshold - off - self._odds(manifold.expected(places), target)).clamp_min(0)
            size = torch.tensor([graph.size(node) for node in nodes]) / len(graph.words)
            loss = torch.tensor([graph.loss(node) for node in nodes])
            meaning = torch.tensor([sum(changed[k] for k in node) for node in nodes])
            return size + LOSS * loss + MEANING * meaning + SHORT * short

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
