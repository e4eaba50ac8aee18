"""A walk by hand: real steps that are counted, undone, driven by a walker, taken over, and saved as a path that replays."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch

import envs
from agents.app import answers
from agents.app.curiosity import LEAST
from agents.app.explorer import Explorer
from agents.app.hand_walk import HAND, HandWalk
from agents.app.inputs import held_out_row
from agents.app.session import Sessions
from agents.errors import UserError
from agents.explanation.targets import Aim
from agents.replay import compare
from agents.trajectories.trajectory import Trajectory
from agents.walkers import make_walker
from envs.building.world import make_world_named
from envs.core import dynamics
from envs.core.world import World
from envs.registration import SPECS


@pytest.fixture(scope="module")
def world() -> World:
    return envs.make_world(data="digits")


def action(world: World, k: int) -> torch.Tensor:
    return torch.eye(world.latent_dim)[k : k + 1]


def test_every_move_is_one_step_of_the_environment(world: World) -> None:
    walk = HandWalk(world, held_out_row(world, 3))
    before, asked = walk.state, world.classifier.queries
    walk.move(action(world, 0))
    expected, info = dynamics.step(world, before, action(world, 0))
    assert torch.equal(walk.state.z, expected.z)
    assert torch.equal(walk.steps[0].info.reward, info.reward)
    assert world.classifier.queries == asked + 2  # its own step, and the one that it is compared with
    assert walk.queries == 3  # the input, frame 0, the step


def test_a_move_after_going_back_replaces_the_later_steps_and_keeps_the_count(world: World) -> None:
    walk = HandWalk(world, held_out_row(world, 3))
    for k in range(3):
        walk.move(action(world, k))
    walk.goto(1)
    assert len(walk.steps) == 3
    walk.move(-action(world, 1))
    assert (walk.cursor, len(walk.steps), walk.queries) == (2, 2, 6)
    assert walk.trajectory().queries == 6


def test_a_walker_goes_on_is_taken_over_and_goes_on_again(world: World) -> None:
    walk = HandWalk(world, held_out_row(world, 3))
    walk.move(action(world, 0))
    asked = world.classifier.queries
    taken = walk.drive(make_walker("line"), torch.Generator())
    assert taken > 1
    assert walk.cursor == 1, "it is played frame by frame"
    assert walk.queries - 3 == world.classifier.queries - asked, "its steps are counted once"
    walk.goto(2)
    walk.move(action(world, 1))
    assert [step.by for step in walk.steps] == [HAND, "line", HAND]
    walk.drive(make_walker("line"), torch.Generator())
    walk.goto(len(walk.steps))
    assert walk.arrived
    assert walk.trajectory().walker == "hand+line"
    assert compare(walk.trajectory(), world).reproduced


def test_a_walk_beyond_the_arrival_is_saved_and_reproduces(world: World, tmp_path: Path) -> None:
    walk = HandWalk(world, held_out_row(world, 3))
    walk.drive(make_walker("line"), torch.Generator())
    walk.goto(len(walk.steps))
    for _ in range(3):
        walk.move(-0.01 * action(world, 0))
    path = Trajectory.load(walk.trajectory().save(tmp_path / "path.npz"))
    assert path.beyond == 3
    assert path.success
    assert compare(path, world).reproduced
    assert not compare(dataclasses.replace(path, beyond=0), world).reproduced, "another walker would have stopped there"


def test_another_target_keeps_the_steps_and_queries_nothing(world: World) -> None:
    walk = HandWalk(world, held_out_row(world, 3), 1)
    for k in range(3):
        walk.move(action(world, k))
    codes, asked = [step.state.z for step in walk.steps], world.classifier.queries
    walk.goto(2)
    walk = walk.towards(Aim(world, world, [0], [8]))
    assert world.classifier.queries == asked
    assert walk.cursor == 2
    assert all(torch.equal(step.state.z, z) for step, z in zip(walk.steps, codes, strict=True))
    path = walk.trajectory()
    assert path.target == 8
    assert compare(path, world).reproduced


@pytest.mark.parametrize("data", ["iris", "sentences"])
def test_rows_and_sentences_are_walked_too(data: str) -> None:
    world = envs.make_world(data=data)
    walk = HandWalk(world, held_out_row(world, 1))
    walk.drive(make_walker("line"), torch.Generator())
    walk.goto(len(walk.steps))
    walk.move(action(world, 0))
    assert compare(walk.trajectory(), world).reproduced


def test_frames_at_which_a_walker_does_not_get_on_are_marked(world: World) -> None:
    walk = HandWalk(world, held_out_row(world, 3), 1)
    for sign in (1, -1):
        walk.move(sign * action(world, 0), by="line")
    p = [float(walk.state_at(t).prediction[0, 1]) for t in range(3)]
    assert [walk.hesitates(t) for t in range(3)] == [False, p[1] <= p[0], p[2] <= p[1]]
    walk.move(-action(world, 0))
    assert not walk.hesitates(3), "people are not judged"


@pytest.mark.slow
@pytest.mark.parametrize("env_id", SPECS)
def test_every_environment_can_be_explored(env_id: str) -> None:
    explorer = Explorer(make_world_named(env_id, {}, False))
    session = Sessions(explorer).new()
    session.enter("row", 1)
    session.move_along(1, 0.5)
    session.move_on_map(0.5, 0.5)
    session.move_direction(0, 0.0)
    steps = session.drive("line")
    session.goto(session.walking.cursor + steps)
    told = answers.about(explorer), answers.whole(session), answers.explained(session)
    json.dumps(told, allow_nan=False)
    assert session.used >= session.walking.queries
    for _ in range(LEAST):
        session.move_along(-1, 0.5)
    assert (session.seen.gains() >= 0).all()
    assert compare(session.walking.trajectory(), explorer.world).reproduced


def test_data_without_a_page_are_refused() -> None:
    world = envs.make_world()
    sounds = SimpleNamespace(manifold=world.manifold, modality="sounds")
    with pytest.raises(UserError, match="these data are sounds"):
        Explorer(sounds)
