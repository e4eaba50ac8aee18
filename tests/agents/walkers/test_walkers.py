"""Walkers: queries are counted, walks can be repeated, and nothing leaves the bounds."""

from __future__ import annotations

from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import numpy as np
import pandas
import pytest
import torch

import envs
from agents.walkers import WALKERS, make_walker, walker_class, walkers_for
from agents.walkers.base import Recorder, Walk, select
from agents.walkers.follow import aim, follow
from agents.walkers.line import LineWalker
from agents.walkers.merge import merge
from agents.walkers.policy import PolicyWalker
from agents.walkers.walker import Walker, rows_queried_before
from envs.core import dynamics
from envs.core.moves import MOVES
from envs.core.tasks import TASKS

N = 24
ALL = [name for name in WALKERS if name not in ("policy", "edits")]  # edits walks on a graph alone: test_edits.py
TO_KNOWN_GOALS = [name for name in ALL if walker_class(name).to_known_goals]
WHITE_BOX = [name for name in ALL if walker_class(name).needs_gradient]
WITHOUT_DRAWS = [*TO_KNOWN_GOALS, *WHITE_BOX]
FAST = {"spheres": {"samples": 20}, "greedy": {"candidates": 6}}


def begin(world: Any, n: int = N) -> tuple[Any, torch.Tensor]:
    """States of the first n held-out inputs, each towards the class after its own."""
    x = world.held_out.x[:n]
    with torch.inference_mode():
        target = (world.classifier.predict_proba(x).argmax(1) + 1) % world.classes
    return dynamics.enter(world, x, target)


def walked(world: Any, name: str, n: int = N, seed: int = 0, max_steps: int | None = None, **settings: Any) -> Any:
    state, queries = begin(world, n)
    walker = make_walker(name, **{**FAST.get(name, {}), **settings})
    return state, walker.walk(world, state, queries, torch.Generator().manual_seed(seed), max_steps)


class TowardsGoals:
    """A policy with foresight: full actions towards given latents; sampled ones are noisy. SB3's `predict`."""

    def __init__(self, world: Any, goals: dict[int, torch.Tensor], fails: bool = False) -> None:
        self.world, self.goals, self.fails = world, goals, fails
        self.calls: list[int] = []

    def predict(self, observation: np.ndarray, deterministic: bool) -> tuple[np.ndarray, None]:
        assert observation.dtype == np.float32
        self.calls.append(len(observation))
        d = self.world.latent_dim
        z = torch.from_numpy(observation[:, :d]) * self.world.manifold.prior.radius
        target = torch.from_numpy(observation[:, -self.world.classes :]).argmax(1)
        goal = torch.stack([self.goals[int(t)] for t in target])
        action = aim(self.world, z, goal)[0]
        if self.fails and deterministic:
            action = torch.zeros_like(action)
        elif not deterministic:
            action = action + 0.01 * torch.randn(action.shape)
        return action.numpy(), None


def policy(world: Any, fails: bool = False, **settings: Any) -> PolicyWalker:
    typical = {k: world.reference.z[world.reference.prototypes[k]] for k in range(world.classes)}
    return PolicyWalker(TowardsGoals(world, typical, fails), **settings)


# --- counting -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ALL)
def test_every_row_asked_is_counted(digits: Any, name: str) -> None:
    before = digits.classifier.queries
    _, walk = walked(digits, name)
    begun = N  # rows that `begin` asked for to choose targets
    assert int(walk.queries.sum()) == digits.classifier.queries - before - begun


def test_the_agents_rows_are_counted_with_retries(digits: Any) -> None:
    for walker in (policy(digits), policy(digits, fails=True, retries=2)):
        state, queries = begin(digits)
        before = digits.classifier.queries
        walk = walker.walk(digits, state, queries, torch.Generator().manual_seed(0))
        assert int(walk.queries.sum()) == digits.classifier.queries - before + 2 * N


def test_nobody_is_asked_about_after_the_end(digits: Any) -> None:
    state, walk = walked(digits, "line", refine=0)
    assert walk.length.float().std() > 0
    np.testing.assert_array_equal(walk.queries, 2 + walk.length)  # input, frame 0, and one row a step
    walker = policy(digits, refine=0)
    walk = walker.walk(digits, state, torch.full((N,), 2), torch.Generator())
    steps = [int((walk.length >= t).sum()) for t in range(1, int(walk.length.max()) + 1)]
    assert walker.model.calls == steps


def test_a_target_met_at_frame_0_is_a_path_of_one_frame_and_nothing_found(digits: Any) -> None:
    """The reconstruction changed the class, not a walk: it stops there, asks no more, and is not a success."""
    state, queries = dynamics.enter(digits, digits.held_out.x[:N], None)
    met = state._replace(target=state.prediction.argmax(1), source=(state.prediction.argmax(1) + 1) % 10)
    met = dynamics.refresh(digits, select(met, state.prediction.amax(1) >= 0.9))
    for name in ALL:
        walk = make_walker(name).walk(digits, met, queries[: len(met.z)], torch.Generator(), None)
        assert not walk.success.any()
        assert not walk.length.any()
        assert walk.z.shape[0] == 1
        assert (walk.queries == 2).all()


def test_only_walkers_to_known_goals_rest_on_rows_asked_before(digits: Any) -> None:
    asked = {name: rows_queried_before(make_walker(name), digits) for name in ALL}
    for name in TO_KNOWN_GOALS:
        assert asked.pop(name) == 2 * len(digits.reference.x)
    assert not any(asked.values())


# --- paths ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("move", MOVES)
@pytest.mark.parametrize("name", ALL)
def test_actions_taken_again_reproduce_the_path_within_the_bounds(digits: Any, name: str, move: str) -> None:
    world = digits.replace(move=move)
    state, walk = walked(world, name, n=8)
    z, predictions, length = state.z, state.prediction, walk.length
    for t in range(len(walk.actions)):
        torch.testing.assert_close(walk.z[t], z, atol=1e-5, rtol=0)
        torch.testing.assert_close(walk.predictions[t], predictions, atol=1e-4, rtol=0)
        rows = torch.nonzero(length > t).flatten()
        moved, info = dynamics.step(world, select(state, rows), walk.actions[t, rows])
        assert float(info.step_length.max()) <= world.max_step * (1 + 1e-5)
        torch.testing.assert_close(walk.rewards[t, rows], info.reward, atol=1e-3, rtol=0)
        last = length[rows] == t + 1
        assert (info.is_success == (walk.success[rows] & last)).all()  # at the end, and nowhere before
        state = type(state)(*(old.index_copy(0, rows, new) for old, new in zip(state, moved, strict=True)))
        z, predictions = state.z, state.prediction
    torch.testing.assert_close(walk.z[-1], z, atol=1e-5, rtol=0)
    assert world.manifold.prior.contains(walk.z.flatten(0, 1)).all()
    assert (walk.actions.norm(dim=2) <= 1 + 1e-5).all()
    assert (dynamics.arrived(world, state) == walk.success).all()


@pytest.mark.parametrize("name", ALL)
def test_the_same_seed_walks_the_same_way(digits: Any, name: str) -> None:
    _, first = walked(digits, name, n=6)
    torch.manual_seed(99)  # the global generator is nobody's
    _, again = walked(digits, name, n=6)
    for a, b in zip(first, again, strict=True):
        assert a is b is None or torch.equal(a, b)


@pytest.mark.parametrize("name", [*WITHOUT_DRAWS, "policy"])
def test_a_batch_walks_as_its_items_alone(digits: Any, name: str) -> None:
    state, queries = begin(digits, 6)
    walker = policy(digits) if name == "policy" else make_walker(name)
    whole = walker.walk(digits, state, queries, torch.Generator())
    for i in range(6):
        one = walker.walk(digits, select(state, torch.tensor([i])), queries[i : i + 1], torch.Generator())
        assert int(one.length[0]) == int(whole.length[i])
        assert int(one.queries[0]) == int(whole.queries[i])
        torch.testing.assert_close(one.z[:, 0], whole.z[: len(one.z), i], atol=2e-4, rtol=0)


def test_walkers_that_should_arrive_do(digits: Any, iris: Any) -> None:
    for name, least in (("line", 1.0), ("spheres", 1.0), ("gradient", 0.7), ("pullback_gradient", 0.8)):
        assert float(walked(digits, name)[1].success.float().mean()) >= least
    for name in ("slerp", "matched", "geodesic", "graph"):  # detours: more steps than the usual 20
        assert walked(digits, name, max_steps=60)[1].success.all()
    assert walked(iris, "line")[1].success.float().mean() >= 0.8
    assert float(walked(digits, "random")[1].success.float().mean()) < 0.5


def test_most_steps_are_kept(digits: Any) -> None:
    for name in ALL:
        _, walk = walked(digits, name, n=4, max_steps=3)
        assert walk.length.max() <= 3
        assert len(walk.actions) <= 3
    assert not walked(digits, "random", n=4, max_steps=0)[1].length.any()


def test_columns_repeat_their_last_frame(digits: Any) -> None:
    _, walk = walked(digits, "line")
    for i in range(N):
        end = int(walk.length[i])
        assert (walk.z[end:, i] == walk.z[end, i]).all()
        assert (walk.predictions[end:, i] == walk.predictions[end, i]).all()
        assert not walk.actions[end:, i].any()
        assert not walk.rewards[end:, i].any()


@pytest.mark.parametrize("move", MOVES)
def test_aiming_inverts_every_move(digits: Any, move: str) -> None:
    world = digits.replace(move=move)
    z = world.reference.z[:16]
    generator = torch.Generator().manual_seed(0)
    small = 0.3 * torch.nn.functional.normalize(torch.randn(z.shape, generator=generator), dim=1)
    with torch.inference_mode():
        goal = world.move(world.manifold, z, small, world.step_length)
    action, rest = aim(world, z, goal)
    with torch.inference_mode():
        there = world.move(world.manifold, z, action, world.step_length)
    assert ((there - goal).norm(dim=1) < 0.03 * (goal - z).norm(dim=1) + 1e-4).all()
    assert (aim(world, z, z + 100)[0].norm(dim=1) <= 1 + 1e-5).all()
    assert rest.shape == (16,)


def test_following_passes_the_way_points(digits: Any) -> None:
    task = replace(digits.task, tau=1.0)  # never over
    world = digits.replace(task=task)
    state, queries = begin(world, 3)
    recorder = Recorder(world, state, queries, 60)
    way = torch.stack([world.reference.z[:3], world.reference.z[3:6]])
    follow(recorder, way, torch.tensor([2, 1, 0]))
    walk = recorder.walk()
    assert int(walk.length[2]) == 0
    for point, row in ((way[0, 0], 0), (way[1, 0], 0), (way[0, 1], 1)):
        nearest = float((walk.z[:, row] - point).norm(dim=1).min())
        assert nearest <= 0.03 * world.step_length
    torch.testing.assert_close(walk.z[-1, 1], way[0, 1], atol=0.03 * world.step_length, rtol=0)


# --- retries, tasks, refusals -----------------------------------------------------------------------------------------


def test_retries_replace_failures_and_add_their_queries(digits: Any) -> None:
    state, queries = begin(digits)
    alone = policy(digits, fails=True).walk(digits, state, queries, torch.Generator().manual_seed(0))
    assert not alone.success.any()
    helped = policy(digits, fails=True, retries=3).walk(digits, state, queries, torch.Generator().manual_seed(0))
    assert helped.success.float().mean() > 0.9
    assert (helped.queries > alone.queries).all()
    again = policy(digits, fails=True, retries=3).walk(digits, state, queries, torch.Generator().manual_seed(0))
    assert helped.z.equal(again.z)


def test_merging_takes_what_arrived_and_keeps_the_rest() -> None:
    def made(steps: int, items: int, success: list[bool], value: float) -> Walk:
        z, a = torch.full((steps + 1, items, 2), value), torch.full((steps, items, 2), value)
        length = torch.full((items,), steps)
        rewards = torch.full((steps, items), value)
        return Walk(z, a, z.clone(), rewards, length, torch.tensor(success), torch.full((items,), 5))

    both = merge(made(3, 3, [True, False, False], 1.0), torch.tensor([1, 2]), made(5, 2, [True, False], 2.0))
    assert both.success.tolist() == [True, True, False]
    assert both.length.tolist() == [3, 5, 3]
    assert both.queries.tolist() == [5, 10, 10]
    assert both.z.shape == (6, 3, 2)
    assert both.z[-1, :, 0].tolist() == [1.0, 2.0, 1.0]
    assert both.actions[4, :, 0].tolist() == [0.0, 2.0, 0.0]


@pytest.mark.parametrize("task", [name for name, task in TASKS.items() if not task.needs_label_only])
@pytest.mark.parametrize("name", ALL)
def test_every_walker_takes_every_task(task: str, name: str) -> None:
    world = envs.make_world(data="digits" if name in WHITE_BOX else "iris", task=task)
    state, queries = dynamics.enter(world, world.held_out.x[:6])
    walk = make_walker(name, **FAST.get(name, {})).walk(world, state, queries, torch.Generator().manual_seed(0))
    if name == "line" and (TASKS[task].takes_target or task in ("leave", "prototype")):
        assert walk.success.any()


def test_labels_stay_labels(labels: Any) -> None:
    for name in ("line", "spheres", "random", "greedy"):
        _, walk = walked(labels, name, n=6)
        assert set(walk.predictions.unique().tolist()) == {0.0, 1.0}
    assert walked(labels, "line")[1].success.all()


def test_white_box_walkers_need_a_white_box(digits: Any, iris: Any, labels: Any) -> None:
    assert WHITE_BOX == ["gradient", "pullback_gradient"]
    for name in WHITE_BOX:
        with pytest.raises(envs.ManifoldError, match=rf"{name}.*FunctionClassifier.*line or spheres"):
            walked(iris, name)
        with pytest.raises(envs.ManifoldError, match="only labels"):
            walked(labels, name)
        assert name in walkers_for(digits)
        assert name not in walkers_for(iris)


def test_unknown_walkers_and_a_policy_without_a_run() -> None:
    with pytest.raises(envs.UnknownNameError, match=r"'sphere'.*did you mean 'spheres'"):
        make_walker("sphere")
    with pytest.raises(envs.ManifoldError, match="name a run"):
        make_walker("policy")


class Homewards(Walker):
    """A walker of one's own."""

    name = "homewards"

    def steps(self, recorder: Recorder, generator: torch.Generator) -> None:
        while len(rows := recorder.active()):
            recorder.step(rows, -recorder.state.z[rows])


def test_a_walker_of_ones_own_is_taken_by_name_class_and_object(iris: Any) -> None:
    own = Homewards()
    assert make_walker(own) is own
    assert isinstance(make_walker(Homewards), Homewards)
    assert make_walker(f"{__name__}:Homewards").name == "homewards"
    state, queries = begin(iris, 3)
    walk = own.walk(iris, state, queries, torch.Generator(), max_steps=2)
    assert walk.length.tolist() == [2, 2, 2]
    assert rows_queried_before(own, iris) == 0


def test_what_is_no_walker_is_refused() -> None:
    with pytest.raises(envs.ManifoldError, match="built already"):
        make_walker(Homewards(), refine=3)
    with pytest.raises(envs.ManifoldError, match=r"is not a walker: it needs a text `name` and a method `walk`"):
        make_walker("collections:OrderedDict")
    with pytest.raises(envs.ManifoldError, match=r"cannot load 'no_such_module:Walk'"):
        make_walker("no_such_module:Walk")


def test_walkers_are_offered_where_they_can_walk(iris: Any, labels: Any) -> None:
    assert "policy" not in walkers_for(iris)
    assert "policy" in walkers_for(iris, has_model=True)
    assert not set(WHITE_BOX) & set(walkers_for(labels))
    hull = SimpleNamespace(
        classifier=iris.classifier,
        label_only=False,
        manifold=SimpleNamespace(prior=SimpleNamespace(kind="hull"), on_graph=False),
    )
    assert not {"matched", "geodesic"} & set(walkers_for(hull))  # type: ignore[arg-type]


def test_where_held_columns_take_back_the_nearest_goal_the_line_asks_for_others() -> None:
    """A frame keeps the input's group: of the goals of the other group, which are the nearest, few arrive."""
    random = np.random.default_rng(0)
    frame = pandas.DataFrame({"group": random.choice(["a", "b"], 300), "size": random.uniform(-8, 8, 300).round(3)})

    def beyond(rows: Any) -> np.ndarray:
        size = rows["size"].to_numpy(float)
        p = 1 / (1 + np.exp(-3 * np.where(rows["group"] == "a", size, -6 - size)))
        return np.stack([1 - p, p], axis=1)

    columns = {"group": {"kind": "category", "immutable": True}}
    world = envs.make_world(
        data=frame, columns=columns, classifier=beyond, class_names=["below", "beyond"], manifold="pca", latent_dim=3,
        progress=False,
    )  # fmt: skip
    rows = np.flatnonzero((frame["group"] == "b") & (frame["size"] > 0) & (frame["size"] < 4))[:20]
    start, _ = dynamics.enter(world, world.reference.x[rows], cells=world.reference.cells[rows])
    shares = {}
    for tries in (0, 16):
        walk = LineWalker(tries=tries).walk(world, start, torch.zeros(20, dtype=torch.int64), torch.Generator(), max_steps=40)
        shares[tries] = float(walk.success.float().mean())
    assert shares[0] < 0.5
    assert shares[16] == 1.0
