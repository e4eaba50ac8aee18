"""Rivals on the graph of edits: greedy replacement and beam search, with the same proposals and a budget of queries."""

from __future__ import annotations

from typing import Any, NamedTuple

import torch

from envs.core.world import World
from envs.manifolds.edits.graph import EditGraph, Node
from envs.manifolds.edits.manifold import words_of

STRONGEST = 20


class Found(NamedTuple):
    """A path: its sentences from the input on, p(target) of each, the queries, whether it arrived, and its target."""

    texts: list[str]
    p: list[float]
    queries: int
    success: bool
    source: int
    target: int


def unbound(world: World, x: torch.Tensor) -> float:
    """Share of the words of x (L,) that a greedy search edits which need not write English and may ask as often as it likes.

    At every place it replaces or inserts each of the `STRONGEST` words that the codes hold for the strongest, or deletes, and
    takes what raises p most, until the threshold is reached or all words are edited.
    """
    manifold: Any = world.manifold
    start = words_of(x)
    source = int(world.classifier.predict_proba(x[None])[0].argmax())
    gains = manifold.codes.gains[: manifold.filler.written, 1 - source]
    strong = gains.topk(min(STRONGEST, len(gains))).indices.tolist()
    row, p = start, 0.0
    for step in range(len(start)):
        fresh = [[*row[:i], w, *row[i + gone :]] for i in range(len(row)) for w in strong for gone in (0, 1)]
        fresh += [[*row[:i], *row[i + 1 :]] for i in range(len(row)) if len(row) > 1]
        fresh = [one for one in fresh if len(one) < manifold.vocabulary.length]
        answers = world.classifier.predict_proba(manifold.rows(fresh))[:, 1 - source]
        row, p = fresh[int(answers.argmax())], float(answers.max())
        if p >= world.task.tau:
            return (step + 1) / len(start)
    return 1.0


def of_trajectory(path: Any) -> Found:
    """The same of a `Trajectory`, without frames that repeat the one before."""
    p = path.predictions[:, path.target].tolist()
    kept = [t for t in range(len(p)) if t == 0 or path.texts[t + 1] != path.texts[t]]
    texts = [path.texts[t + 1] for t in kept]
    return Found(texts, [p[t] for t in kept], path.queries, path.success, path.source, path.target)


def beam(world: World, x: torch.Tensor, width: int, each: int, budget: int, ranked: bool) -> Found:
    """Beam search over the edits of one input x (L,); width 1 is greedy.

    Args:
        world: of a manifold of edits.
        x: the input.
        width: sentences that are gone on from.
        each: candidates of a sentence that the classifier is asked about.
        budget: queries, the input included.
        ranked: candidates in the order of what the codes predict of them; else in the order of their fluency.
    """
    manifold: Any = world.manifold
    graph: EditGraph = manifold.graph(x)

    def asked(nodes: list[Node]) -> torch.Tensor:
        ids = [graph.sentence(node) for node in nodes]
        return world.classifier.predict_proba(manifold.rows(ids))

    first = asked([()])[0]
    source = int(first.argmax())
    target = 1 - source
    p: dict[Node, float] = {(): float(first[target])}
    came: dict[Node, Node | None] = {(): None}
    queries, front, best = 1, [()], ()
    while queries < budget and p[best] < world.task.tau and front:
        fresh: list[Node] = []
        for node in front:
            around = manifold.around(graph, node)
            merit = around.loss if not ranked else -manifold.expected(around.places)[:, target] + around.loss
            new = [around.nodes[k] for k in merit.argsort(stable=True).tolist() if around.nodes[k] not in p]
            new = [one for one in new if one not in fresh and len(one) >= len(node)]
            fresh += (chosen := new[:each])
            came |= {one: node for one in chosen if one not in came}
        fresh = fresh[: budget - queries]
        if not fresh:
            break
        answers = asked(fresh)[:, target].tolist()
        queries += len(fresh)
        p |= dict(zip(fresh, answers, strict=True))
        front = sorted(fresh, key=lambda node: -p[node])[:width]
        best = max((best, *front), key=lambda node: p[node])
    way: list[Node] = []
    at: Node | None = best
    while at is not None:
        way.append(at)
        at = came[at]
    way.reverse()
    texts = world.units.texts(manifold.rows([graph.sentence(node) for node in way]))
    assert texts is not None
    return Found(texts, [p[node] for node in way], queries, p[best] >= world.task.tau, source, target)
