"""The density graph against cases worked out by hand, and its walks."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch

from agents.walkers import make_walker
from agents.walkers.face import DensityGraph, FaceWalker
from agents.walkers.geodesic import graph_of
from agents.walkers.goals import arriving_reference
from envs.core import dynamics
from envs.geometry.graph import LatentGraph


def graph_on(points: list[Any], neighbours: int) -> DensityGraph:
    codes = torch.as_tensor(np.asarray(points), dtype=torch.float32)
    return DensityGraph(lambda z: z, codes if codes.ndim == 2 else codes[:, None], neighbours)


def test_edges_weigh_their_length_times_the_local_spacing() -> None:
    graph = graph_on([0.0, 1.0, 2.0, 4.0], neighbours=1)
    # 0 - 1: length 1, and its middle is 0.5 from the nearest item; 2 - 4: length 2, and 1.
    assert graph.matrix[0, 1] == graph.matrix[1, 0] == pytest.approx(0.5)
    assert graph.matrix[2, 3] == graph.matrix[3, 2] == pytest.approx(2.0)
    assert graph.matrix[0, 3] == 0  # no edge
    np.testing.assert_allclose(graph.spacing(torch.tensor([[4.5], [0.2]])), [0.5, 0.2])


def test_the_way_leads_round_through_dense_data() -> None:
    """A dense half circle from left to right, and one lonely item in the middle of the diameter."""
    angle = np.linspace(np.pi, 0, 60)
    codes = [*np.stack([np.cos(angle), np.sin(angle)], axis=1), np.zeros(2)]
    entry, goal = torch.tensor([[-1.02, 0.0]]), torch.tensor([59])
    found = graph_on(codes, neighbours=3).lead(entry, goal)
    assert found.counts[0] > 20
    assert bool((found.points[:, 0].norm(dim=1) > 0.9).all())
    # By length alone the same graph leads through the lonely item.
    short = LatentGraph(lambda z: z, graph_on(codes, 3).z, 3).lead(entry, goal)
    assert float(short.points[:, 0].norm(dim=1).min()) < 1e-6


def walked(world: Any, **settings: Any) -> Any:
    x = world.held_out.x[:24]
    with torch.inference_mode():
        target = (world.classifier.predict_proba(x).argmax(1) + 1) % world.classes
    state, queries = dynamics.enter(world, x, target)
    return make_walker("face", **settings).walk(world, state, queries, torch.Generator(), 100)


def test_it_arrives_and_asks_for_its_steps_alone(digits: Any) -> None:
    walk = walked(digits, refine=0)
    assert bool(walk.success.all())
    assert torch.equal(walk.queries, walk.length + 2)


def test_its_frames_are_more_typical_than_the_straight_lines(digits: Any) -> None:
    line = make_walker("line", refine=0)
    x = digits.held_out.x[:24]
    target = (digits.classifier.predict_proba(x).argmax(1) + 1) % 10
    state, queries = dynamics.enter(digits, x, target)
    bank = digits.reference.z

    def worst(walk: Any) -> float:
        gaps = torch.cdist(walk.z.flatten(0, 1), bank).topk(5, largest=False).values.mean(1).reshape(walk.z.shape[:2])
        return float(gaps.amax(0).mean())

    assert worst(walked(digits, refine=0)) < worst(line.walk(digits, state, queries, torch.Generator(), 100))


def test_sparse_goals_are_passed_over(digits: Any) -> None:
    graph, _ = graph_of(digits, 10, DensityGraph)
    every = torch.nonzero(arriving_reference(digits, 3, 8)).flatten()
    dense = FaceWalker(sparsest=0.5)._dense(graph, every)
    assert set(dense.tolist()) < set(every.tolist())
    assert graph.spacing(graph.z[dense]).max() <= np.median(graph.spacing(graph.z[every]))
    assert len(FaceWalker()._dense(graph, every[:0])) == 0


def test_a_graph_is_built_once_a_world(digits: Any) -> None:
    assert graph_of(digits, 10, DensityGraph)[0] is graph_of(digits, 10, DensityGraph)[0]
    assert graph_of(digits, 10, DensityGraph)[0] is not graph_of(digits, 5, DensityGraph)[0]
