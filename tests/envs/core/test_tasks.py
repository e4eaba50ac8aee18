"""Tasks: success on hand-made states, shaping that telescopes, a reward computed by hand."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch

from envs import LatentEnv, LatentVectorEnv, ManifoldError, UnknownNameError
from envs.core import dynamics
from envs.core.tasks import FLOOR, LOG_RANGE, TASKS, Leave, Prototype, ReachLabel, Task, scaled_log
from envs.core.weights import Weights


def state_with(world, prediction, source, target, frame=None):
    """A state with these answers, sources and targets, standing at the first starts."""
    index = torch.arange(len(prediction))
    state = dynamics.start(world, index, torch.tensor(target))
    return dynamics.refresh(
        world,
        state._replace(
            prediction=torch.tensor(prediction),
            source=torch.tensor(source),
            frame=state.frame if frame is None else frame,
        ),
    )


def test_reach_is_over_where_the_target_has_tau(toy_world):
    world = toy_world(tau=0.75)
    prediction = [[0.25, 0.75, 0.0], [0.26, 0.74, 0.0], [0.75, 0.25, 0.0], [0.0, 0.0, 1.0]]
    state = state_with(world, prediction, [0, 0, 0, 0], [1, 1, 1, 1])
    assert dynamics.arrived(world, state).tolist() == [True, False, False, False]
    assert world.task.goal(state).tolist() == [0.75, 0.7400000095367432, 0.25, 0.0]


def test_leave_is_over_where_any_other_class_has_tau(toy_world):
    world = toy_world(task="leave", tau=0.75)
    prediction = [[0.25, 0.75, 0.0], [0.2, 0.4, 0.4], [0.9, 0.1, 0.0], [0.1, 0.0, 0.9]]
    state = state_with(world, prediction, [0, 0, 0, 0], [0, 0, 0, 0])
    assert dynamics.arrived(world, state).tolist() == [True, False, False, True]
    state = state_with(world, prediction, [1, 1, 1, 2], [1, 1, 1, 2])
    assert dynamics.arrived(world, state).tolist() == [False, False, True, False]
    state = state_with(world, prediction, [0, 0, 0, 0], [0, 0, 0, 0])
    np.testing.assert_allclose(world.task.goal(state), [0.75, 0.4, 0.1, 0.9], rtol=1e-6)


@pytest.mark.parametrize("task", ["prototype", "reach"])
def test_the_own_class_is_reached_near_its_prototype(toy_world, task):
    world = toy_world(task=task, tau=0.5)
    home = world.reference.frame[world.reference.prototypes[0]]
    aside = torch.zeros_like(home)
    aside[0, 0] = world.class_distance / 4
    frames = torch.stack([home, home + 0.99 * aside, home + 1.01 * aside, home])
    prediction = [[0.9, 0.1, 0.0], [0.5, 0.5, 0.0], [0.9, 0.1, 0.0], [0.4, 0.6, 0.0]]
    state = state_with(world, prediction, [0] * 4, [0] * 4, frames)
    assert dynamics.arrived(world, state).tolist() == [True, True, False, False]
    if task == "prototype":
        gap = torch.tensor([0, 0.99, 1.01, 0]) / 4
        torch.testing.assert_close(state.potential, -world.task.weights.progress * gap, atol=1e-5, rtol=1e-5)


def test_reach_label_is_over_at_the_label(toy_world):
    world = toy_world(task="reach_label")
    state = state_with(world, [[0.0, 1.0, 0.0], [1.0, 0.0, 0.0]], [0, 0], [1, 1])
    assert dynamics.arrived(world, state).tolist() == [True, False]
    assert state.potential.tolist() == [0.0, 0.0]


def test_reach_label_needs_a_label_only_world(digits):
    with pytest.raises(ManifoldError, match="label_only=True"):
        digits.replace(task=ReachLabel())


@pytest.mark.parametrize("task", [Task(), ReachLabel()])
def test_random_targets_are_every_other_class_alike_and_never_the_source(task):
    source = torch.arange(4).repeat(1000)
    u = torch.from_numpy(np.random.default_rng(0).random(4000))
    target = task.targets(source, u, 4)
    assert (target != source).all()
    counts = torch.zeros(4, 4).index_put_((source, target), torch.ones(4000), accumulate=True)
    assert counts[~torch.eye(4, dtype=torch.bool)].min() > 280
    edge = torch.tensor([0.0, 1 - 2**-53], dtype=torch.float64)
    assert task.targets(torch.tensor([1, 1]), edge, 4).tolist() == [0, 3]
    assert task.targets(torch.tensor([0, 1]), edge, 2).tolist() == [1, 0]


@pytest.mark.parametrize("task", [Leave(), Prototype()])
def test_tasks_of_the_own_class_have_it_as_target(task):
    source = torch.tensor([2, 0, 1])
    target = task.targets(source, torch.rand(3, generator=torch.Generator().manual_seed(0)), 3)
    assert target.equal(source)
    assert target.data_ptr() != source.data_ptr()


@pytest.mark.parametrize("task", ["leave", "prototype"])
@pytest.mark.parametrize("split", ["reference", "held_out"])
def test_a_target_that_the_task_ignores_is_refused(toy_world, task, split):
    world = toy_world(task=task)
    env = LatentEnv(world=world)
    own = int(world.reference.label[0])
    env.reset(options={"index": 0, "target": own, "split": split})
    with pytest.raises(ManifoldError, match=f"{task!r} starts from the input's own class"):
        env.reset(options={"index": 0, "target": (own + 1) % 3, "split": split})


def test_scaled_log_goes_from_minus_one_to_zero():
    p = torch.tensor([0.0, 1e-9, FLOOR, 0.01, 1.0])
    torch.testing.assert_close(scaled_log(p), torch.tensor([-1, -1, -1, math.log(0.01) / LOG_RANGE, 0.0]))
    assert p[0] == 0, "the argument is left alone"


def test_the_reward_of_one_step_by_hand(toy_world):
    weights = {"success": 3.0, "step": 0.03, "path": 0.7, "distance": 0.5, "implausibility": 0.2, "progress": 1.5}
    world = toy_world(tau=0.6, gamma=0.9, reward=weights, step_length=0.8, max_step=None)
    index = torch.arange(40)
    target = (world.reference.label[index] + 1) % 3
    state = dynamics.start(world, index, target)
    after, info = dynamics.step(world, state, torch.randn(40, 3, generator=torch.Generator().manual_seed(0)))
    assert 0 < int(info.is_success.sum()) < 40, "both kinds of step are to be looked at"

    def cost(frame: torch.Tensor, i: int) -> float:
        """Distance to the input, and to the five nearest starts of the target class, in class distances."""
        away = (frame - state.factual[i]).norm().item()
        own = world.reference.x[world.reference.label == target[i]]
        near = (own - frame).flatten(1).norm(dim=1).sort().values[:5].mean().item()
        return (0.5 * away + 0.2 * near) / world.class_distance

    for i in range(40):
        p, p_next = state.prediction[i, target[i]].item(), after.prediction[i, target[i]].item()
        phi, phi_next = (1.5 * math.log(max(q, 1e-4)) / -math.log(1e-4) for q in (p, p_next))
        length = (after.frame[i] - state.frame[i]).norm().item()
        reward = -0.03 - 0.7 * length / world.class_distance - (cost(after.frame[i], i) - cost(state.frame[i], i)) - phi
        reward += 3.0 if p_next >= 0.6 else 0.9 * phi_next
        assert info.reward[i].item() == pytest.approx(reward, abs=1e-4)
        assert bool(info.is_success[i]) == bool(info.terminated[i]) == (p_next >= 0.6)
        assert info.goal[i].item() == pytest.approx(p_next)


@pytest.mark.parametrize("task", ["reach", "leave", "prototype"])
def test_the_shaping_telescopes(toy_world, task):
    """The discounted sum of gamma Phi' - Phi over a walk that arrives is -Phi(s0): shaping is not a gift."""
    gamma = 0.9
    world = toy_world(task=task, tau=0.6, gamma=gamma, max_step=None, step_length=0.6)
    bare = world.replace(task=type(world.task)(tau=0.6, weights=Weights(progress=0.0)))
    finished = 0
    generator = torch.Generator().manual_seed(0)
    for index in range(30):
        source = world.reference.label[index : index + 1]
        target = source if task != "reach" else (source + 1) % 3
        state = plain = dynamics.start(world, torch.tensor([index]), target)
        if dynamics.arrived(world, state):
            continue
        plain = dynamics.refresh(bare, plain)
        first, total = float(state.potential), 0.0
        for t in range(200):
            action = torch.randn(1, 3, generator=generator)
            if task == "prototype":
                action = (world.reference.z[world.reference.prototypes[source]] - state.z) / world.step_length + 0.1 * action
            state, info = dynamics.step(world, state, action)
            plain, without = dynamics.step(bare, plain, action)
            total += gamma**t * float(info.reward - without.reward)
            if info.terminated:
                break
        assert bool(info.terminated) == bool(without.terminated)
        if info.terminated:
            finished += 1
            assert total == pytest.approx(-first, abs=1e-4)
    assert finished > 5


def test_the_sparse_id_pays_one_on_arriving_and_nothing_else(toy_world):
    world = toy_world(task="reach_label", step_length=0.8, max_step=None)
    index = torch.arange(40)
    state = dynamics.start(world, index, (world.reference.label[index] + 1) % 3)
    _, info = dynamics.step(world, state, torch.randn(40, 3, generator=torch.Generator().manual_seed(0)))
    assert info.reward.equal(info.is_success.float())
    assert 0 < int(info.is_success.sum()) < 40


def test_gamma_of_the_training_run_is_used(toy_world):
    world = toy_world()
    state = dynamics.start(world, torch.arange(5), (world.reference.label[:5] + 1) % 3)
    rewards = []
    for gamma in (1.0, 0.5):
        world.gamma = gamma
        after, info = dynamics.step(world, state, torch.zeros(5, 3))
        rewards.append(info.reward)
    torch.testing.assert_close(rewards[0] - rewards[1], 0.5 * after.potential)


@pytest.mark.parametrize("tau", [0.0, -0.1, 1.1, math.nan])
def test_tau_is_a_probability(tau):
    with pytest.raises(ManifoldError, match="tau is a probability"):
        Task(tau=tau)


def test_unknown_tasks_and_weights_offer_close_names(toy_world):
    with pytest.raises(UnknownNameError, match="did you mean 'reach'"):
        toy_world(task="reech")
    with pytest.raises(UnknownNameError, match="did you mean 'success'"):
        toy_world(reward={"succes": 1.0})
    assert set(TASKS) >= {"reach", "flip", "leave", "prototype", "reach_label", "explore", "one_pair"}


# --- reset's options ---------------------------------------------------------------------------------------------------


def test_options_choose_the_start_the_target_and_the_split(digits):
    env = LatentEnv(world=digits)
    asked = digits.classifier.queries
    _, info = env.reset(seed=0, options={"index": 3, "target": "9"})
    assert env.state.factual[0].equal(digits.reference.x[3])
    assert env.state.target.tolist() == [9]
    assert info == {"queries": 0}
    assert digits.classifier.queries == asked
    _, info = env.reset(options={"index": np.int64(5), "target": 2, "split": "held_out"})
    assert env.state.factual[0].equal(digits.held_out.x[5])
    assert env.state.target.tolist() == [2]
    assert info == {"queries": 2}
    assert digits.classifier.queries == asked + 2
    for _ in range(30):
        env.reset(options={"split": "held_out"})
        assert (env.state.target != env.state.source).all()
        own = digits.task.goal(env.state)
        torch.testing.assert_close(env.state.potential, digits.task.weights.progress * scaled_log(own))


def test_options_of_the_vector_environment_are_one_a_walk(digits):
    env = LatentVectorEnv(3, world=digits)
    env.reset(seed=0, options={"index": [4, 5, 6], "target": ["0", 1, np.int64(2)]})
    assert env.state.factual.equal(digits.reference.x[4:7])
    assert env.state.target.tolist() == [0, 1, 2]
    env.reset(options={"index": np.array([8, 9]), "target": "7", "reset_mask": np.array([True, False, True])})
    assert env.state.factual.equal(digits.reference.x[[8, 5, 9]])
    assert env.state.target.tolist() == [7, 1, 7]


@pytest.mark.parametrize(
    ("options", "match"),
    [
        ({"index": 1257}, "1257 is outside the split 'reference' of 1257 rows"),
        ({"index": 540, "split": "held_out"}, "540 is outside the split 'held_out'"),
        ({"index": -1}, "-1 is outside"),
        ({"index": 1.5}, "whole number"),
        ({"index": "3"}, "whole number"),
        ({"index": [1, 2, 3]}, "each of the 2 walks"),
        ({"target": "10"}, "unknown class '10'"),
        ({"target": 10}, "unknown class '10'"),
        ({"target": ["1", "2", "3"]}, "3 targets for 2"),
        ({"split": "heldout"}, "did you mean 'held_out'"),
        ({"traget": "1"}, "did you mean 'target'"),
    ],
)
def test_bad_options_are_named_and_leave_the_walks_as_they_are(digits, options, match):
    env = LatentVectorEnv(2, world=digits)
    env.reset(seed=0)
    before = [value.clone() for value in env.state]
    with pytest.raises(ManifoldError, match=match):
        env.reset(options=options)
    assert all(a.equal(b) for a, b in zip(before, env.state, strict=True))


def test_a_class_name_wins_over_an_index(toy_world):
    world = toy_world(class_names=["1", "2", "3"])
    assert [world.class_index(name) for name in ("1", 1, 2, 3, np.int64(3))] == [0, 0, 1, 2, 2]
    assert world.class_index(0) == 0
    with pytest.raises(UnknownNameError, match="unknown class '4'"):
        world.class_index(4)


def test_close_class_names_are_offered(iris):
    with pytest.raises(UnknownNameError, match="did you mean 'versicolor'"):
        iris.class_index("versicolour")


def test_prototypes_are_typical_starts_of_their_class(digits):
    for k, row in enumerate(digits.reference.prototypes.tolist()):
        assert int(digits.reference.label[row]) == k == int(digits.reference.prediction[row].argmax())


def test_a_class_without_starts_has_no_prototype_of_another_class(toy_world):
    """Only two of three classes are ever predicted on the starts; start 0 is not a prototype of the third."""

    def two_of_three(x: np.ndarray) -> np.ndarray:
        first = (x.mean((1, 2)) > 0.5).astype(float)
        return np.stack([first, 1 - first, 0 * first], 1)

    world = toy_world(classifier=two_of_three, class_names=["a", "b", "never"])
    frame = world.reference.frame[world.reference.prototypes[2]][None]
    state = dynamics.start(world, torch.tensor([0]), torch.tensor([2]))
    state = state._replace(source=torch.tensor([2]), frame=frame, prediction=torch.tensor([[0.0, 0.0, 1.0]]))
    assert not dynamics.arrived(world, state).item()
