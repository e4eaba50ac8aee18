"""Walkers along curves: the curve, its end, and that computing it costs no query."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
import torch

import envs
from agents.walkers import make_walker
from agents.walkers.base import Recorder, select
from agents.walkers.geodesic import graph_of
from agents.walkers.goals import arriving_reference, neighbour_goals
from agents.walkers.interpolation import follow_curve
from envs.core import dynamics
from envs.geometry.curves import along, length, pixels, straight
from envs.geometry.graph import NEIGHBOURS, LatentGraph
from envs.geometry.interpolation import slerp

N = 16


@pytest.fixture(scope="module")
def digits() -> Any:
    return envs.make_world(data="digits", max_episode_steps=60)


def begin(world: Any, n: int = N) -> tuple[Any, torch.Tensor]:
    x = world.held_out.x[:n]
    target = (world.classifier.predict_proba(x).argmax(1) + 3) % world.classes
    return dynamics.enter(world, x, target)


def endless(world: Any) -> Any:
    """The world with a task that nobody fulfils, so that walks go to the end of their way."""
    return world.replace(task=replace(world.task, tau=1.0))


@pytest.mark.parametrize("name", ["slerp", "geodesic"])
def test_walks_end_at_the_nearest_unlike_neighbour(digits: Any, name: str) -> None:
    world = endless(digits)
    state, queries = begin(world)
    goals, _ = neighbour_goals(digits, state)
    walk = make_walker(name, refine=0).walk(world, state, queries, torch.Generator())
    expected = neighbour_goals(world, state)[0]
    torch.testing.assert_close(walk.z[-1], expected, atol=0.05 * world.step_length, rtol=0)
    assert goals.shape == expected.shape


def test_the_slerp_walk_stays_on_its_great_circle(digits: Any) -> None:
    world = endless(digits)
    state, queries = begin(world)
    walk = make_walker("slerp", refine=0).walk(world, state, queries, torch.Generator())
    goals, _ = neighbour_goals(world, state)
    arc = world.manifold.prior.project(slerp(state.z, goals, torch.linspace(0, 1, 400)).flatten(0, 1)).reshape(400, N, -1)
    for row in range(N):
        off = torch.cdist(walk.z[:, row], arc[:, row]).amin(1)
        assert float(off.max()) < 0.35 * world.step_length
    line = straight(state.z, goals, 400)
    apart = max(float(torch.cdist(walk.z[:, row], line[:, row]).amin(1).max()) for row in range(N))
    assert apart > 0.5 * world.step_length, "the control: it is not the line"


def test_the_graph_walk_goes_over_known_starts_to_one_that_is_what_is_asked_for(digits: Any) -> None:
    state, queries = begin(digits)
    walk = make_walker("graph").walk(digits, state, queries, torch.Generator())
    assert walk.success.all()
    assert (walk.predictions[walk.length, torch.arange(N)].argmax(1) == state.target).all()
    graph, nodes = graph_of(digits, NEIGHBOURS, LatentGraph)
    assert graph_of(digits, NEIGHBOURS, LatentGraph)[0] is graph, "made once a world"
    near_graph = torch.cdist(walk.z.flatten(0, 1), graph.z).amin(1).mean()
    line = make_walker("line").walk(digits, state, queries, torch.Generator())
    assert float(near_graph) < float(torch.cdist(line.z.flatten(0, 1), graph.z).amin(1).mean())
    goal = arriving_reference(digits, int(state.source[0]), int(state.target[0]))[nodes]
    led = graph.lead(state.z[:1], torch.nonzero(goal).flatten())
    end = led.points[-1, 0]
    assert bool((graph.z[goal] == end).all(1).any())


def test_the_geodesic_walk_is_no_longer_in_pixels_than_the_line(digits: Any) -> None:
    world = endless(digits)
    state, queries = begin(world)
    view = pixels(world.manifold)
    lengths = []
    for name in ("geodesic", "line"):
        walk = make_walker(name, refine=0).walk(world, state, queries, torch.Generator())
        lengths.append(length(view, along(walk.z, 400, by_length=True)).mean())
    assert float(lengths[0]) < 0.995 * float(lengths[1])


def test_only_the_steps_are_asked_about(digits: Any) -> None:
    for name in ("slerp", "matched", "geodesic", "graph"):
        state, queries = begin(digits)
        before = digits.classifier.queries
        walk = make_walker(name, refine=0).walk(digits, state, queries, torch.Generator())
        assert digits.classifier.queries - before == int(walk.length.sum())
        assert (walk.queries == 2 + walk.length).all()


def test_way_points_lie_about_a_step_apart_and_items_without_a_curve_stay(digits: Any) -> None:
    world = endless(digits)
    state, queries = begin(world, 2)
    recorder = Recorder(world, state, queries, 60)
    goals = world.reference.z[:2]
    follow_curve(recorder, straight(state.z, goals), torch.tensor([True, False]))
    walk = recorder.walk()
    assert walk.length[1] == 0
    straight_steps = float((goals[0] - state.z[0]).norm()) / world.step_length
    assert straight_steps <= float(walk.length[0]) <= 1.5 * straight_steps + 2


def test_a_graph_of_many_starts_keeps_an_even_sample(digits: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("agents.walkers.geodesic.MOST_NODES", 200)
    world = digits.replace()
    graph, nodes = graph_of(world, NEIGHBOURS, LatentGraph)
    assert len(nodes) == len(graph.z) == 200
    assert len(world.reference.label[nodes].unique()) == world.classes
    state, queries = begin(world, 4)
    walk = make_walker("graph").walk(world, state, queries, torch.Generator())
    assert walk.success.all()
    one = make_walker("graph").walk(world, select(state, torch.tensor([2])), queries[2:3], torch.Generator())
    torch.testing.assert_close(one.z[:, 0], walk.z[: len(one.z), 2], atol=2e-4, rtol=0)
