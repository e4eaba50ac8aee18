"""Invariants of every step, for any world and action (hypothesis)."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import assume, given
from hypothesis import strategies as st

from envs import LatentVectorEnv, ManifoldError, make_world
from envs.core import dynamics
from envs.core.moves import MOVES
from envs.core.tasks import LOG_RANGE

TOLERANCE = 1e-4


def distance(a: torch.Tensor, b: torch.Tensor) -> torch.Tensor:
    return (a.double() - b.double()).flatten(1).norm(dim=1)


worlds = st.fixed_dictionaries(
    {
        "seed": st.integers(0, 5),
        "d": st.sampled_from([1, 2, 4]),
        "classes": st.sampled_from([2, 3, 5]),
        "move": st.sampled_from(sorted(MOVES)),
        "task": st.sampled_from(["reach", "leave", "prototype", "reach_label"]),
        "step_length": st.sampled_from([None, 0.05, 2.0, 50.0]),
        "max_step": st.sampled_from([None, 1 / 6, 0.02]),
        "label_only": st.booleans(),
    }
)
kinds_of_action = st.sampled_from(["random", "zero", "corner", "huge", "tiny"])


def draw_actions(kind: str, shape: tuple[int, int], seed: int) -> torch.Tensor:
    random = torch.randn(shape, generator=torch.Generator().manual_seed(seed))
    scale = {"random": 1.0, "zero": 0.0, "huge": 1e20, "tiny": 1e-30}
    return random.sign() if kind == "corner" else random * scale[kind]


@given(options=worlds, kind=kinds_of_action, seed=st.integers(0, 9))
def test_invariants_of_a_step(toy_world, options, kind, seed):
    options = dict(options)
    label_only = options.pop("label_only") or options["task"] == "reach_label"
    assume(options["move"] != "walled" or options["d"] > 1)  # a wall with a door needs two dimensions
    try:
        world = toy_world(label_only=label_only, **options)
    except ManifoldError as error:
        assume("every start" not in str(error))
        raise
    prior, env = world.manifold.prior, LatentVectorEnv(4, world=world)
    env.reset(seed=seed)
    state = env.state
    for t in range(3):
        action = draw_actions(kind, state.z.shape, 10 * seed + t)
        asked, before = world.asked.rows, [value.clone() for value in state]
        after, info = dynamics.step(world, state, action)
        for name, value, copy in zip(state._fields, state, before, strict=True):
            assert value.equal(copy), f"the step wrote to {name} of the state it was given"
        assert world.asked.rows - asked == 4 == int(info.queries.sum())
        for name, value in (*after._asdict().items(), *info._asdict().items()):
            assert value.isfinite().all(), name
            assert len(value) == 4, name
        assert prior.contains(after.z).all(), "outside the typical set"
        torch.testing.assert_close(
            info.step_length.double(), distance(after.frame, state.frame), atol=TOLERANCE, rtol=TOLERANCE
        )
        torch.testing.assert_close(after.frame, world.manifold.decode(after.z), atol=1e-5, rtol=1e-5)
        if world.max_step is not None:
            assert float(distance(after.frame, state.frame).max()) <= world.max_step * (1 + 1e-5) + 1e-6
        assert ((info.typicality > 0) & (info.typicality <= 1)).all()
        torch.testing.assert_close(after.prediction.sum(1), torch.ones(4))
        if label_only:
            assert set(after.prediction.unique().tolist()) <= {0.0, 1.0}
        observed = dynamics.observe(world, after)
        assert observed.shape == (4, world.obs_dim)
        assert env.observation_space.contains(observed.numpy())
        for name in ("z0", "factual", "source", "target"):
            assert getattr(after, name).equal(getattr(state, name)), name
        assert info.terminated.equal(info.is_success)
        assert info.is_success.equal(dynamics.arrived(world, after))
        state = after


@given(seed=st.integers(0, 20), length=st.floats(0.01, 30))
def test_longer_actions_are_shortened_to_the_unit_ball(toy_world, seed, length):
    world = toy_world(max_step=None)
    state = dynamics.start(world, torch.arange(5), (world.reference.label[:5] + 1) % 3)
    action = torch.randn(5, 3, generator=torch.Generator().manual_seed(seed))
    unit = action / action.norm(dim=1, keepdim=True)
    got, _ = dynamics.step(world, state, length * unit)
    want, _ = dynamics.step(world, state, min(length, 1.0) * unit)
    torch.testing.assert_close(got.z, want.z, atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("move", MOVES)
def test_random_walks_on_digits_stay_typical_and_take_no_jumps(digits, move):
    world = digits.replace(move=move, step=0.5, max_step=1 / 6)
    state = dynamics.start(world, torch.arange(64), (world.reference.label[:64] + 1) % 10)
    generator = torch.Generator().manual_seed(0)
    direction = torch.randn(64, 8, generator=generator)
    longest = 0.0
    for _ in range(25):  # always about the same way: to the wall
        action = direction + 0.3 * torch.randn(64, 8, generator=generator)
        before = state.frame
        state, info = dynamics.step(world, state, action)
        assert world.manifold.prior.contains(state.z).all()
        assert float(distance(state.frame, before).max()) <= world.max_step * (1 + 1e-5)
        torch.testing.assert_close(info.step_length.double(), distance(state.frame, before), atol=1e-4, rtol=1e-4)
        longest = max(longest, float(info.step_length.max()))
    assert longest > 0.8 * world.max_step, "the bound was to be felt"
    if move in ("euclidean", "pullback"):
        assert float(state.z.norm(dim=1).max()) > 0.99 * world.manifold.prior.radius, "the wall was to be felt"


def test_a_bound_below_the_decoders_rounding_does_not_hang(toy_world, linear_manifold):
    """A row decoded alone and in a batch differs in the last bits; shortening a step to nothing must end nevertheless."""

    class Rounding(linear_manifold):
        calls = 0

        def decode(self, z: torch.Tensor) -> torch.Tensor:
            self.calls += 1
            if self.calls > 10_000:
                raise RuntimeError("the step does not end")
            return super().decode(z) + 1e-6 * (self.calls % 2)

    weight = toy_world().manifold.weight
    world = toy_world(manifold=Rounding(weight, (3, 4)), max_step=None)
    world.max_step = 1e-9
    state = dynamics.start(world, torch.arange(3), (world.reference.label[:3] + 1) % 3)
    for _ in range(2):
        state, info = dynamics.step(world, state, torch.ones(3, 3))
        assert float(info.step_length.max()) <= 1e-5


def test_enter_counts_two_rows_and_marks_frame_zero(toy_world):
    world = toy_world()
    x = world.held_out.x[:7]
    asked = world.asked.rows
    state, queries = dynamics.enter(world, x)
    assert queries.tolist() == [2] * 7
    assert world.asked.rows == asked + 14
    torch.testing.assert_close(state.frame, world.manifold.decode(world.manifold.encode(x)))
    assert state.factual.equal(x)
    assert state.source.equal(world.classifier.predict_proba(x).argmax(1))
    torch.testing.assert_close(state.prediction, world.classifier.predict_proba(state.frame))
    assert (state.target != state.source).all()


def test_enter_on_a_start_equals_the_cached_start(digits):
    index = torch.tensor([3, 700, 1256])
    target = (digits.reference.label[index] + 4) % 10
    fresh, _ = dynamics.enter(digits, digits.reference.x[index], target)
    cached = dynamics.start(digits, index, target)
    for name, a, b in zip(fresh._fields, fresh, cached, strict=True):
        torch.testing.assert_close(a, b, atol=1e-4, rtol=1e-4, msg=name)


def test_the_default_target_is_the_class_of_the_nearest_start_of_another_class(digits):
    x = digits.held_out.x[:50]
    state, _ = dynamics.enter(digits, x)
    for i in range(50):
        gaps = (digits.reference.x - x[i]).flatten(1).norm(dim=1)
        gaps[digits.reference.label == state.source[i]] = torch.inf
        assert int(state.target[i]) == int(digits.reference.label[gaps.argmin()])


@pytest.mark.parametrize("target", [-1, 10])
def test_targets_outside_the_classes_are_refused(digits, target):
    with pytest.raises(ManifoldError, match="from 0 to 9"):
        dynamics.enter(digits, digits.held_out.x[:1], torch.tensor([target]))


def test_observations_are_made_of_code_first_code_prediction_and_target(toy_world):
    world = toy_world()
    state = dynamics.start(world, torch.arange(6), (world.reference.label[:6] + 1) % 3)
    state, _ = dynamics.step(world, state, torch.ones(6, 3))
    observed = dynamics.observe(world, state)
    torch.testing.assert_close(observed[:, :3] * world.manifold.prior.radius, state.z)
    torch.testing.assert_close(observed[:, 3:6] * world.manifold.prior.radius, state.z0)
    torch.testing.assert_close(observed[:, 6:9], state.prediction.clamp_min(1e-4).log() / LOG_RANGE)
    assert observed[:, 9:].argmax(1).equal(state.target)
    assert observed[:, 9:].sum(1).tolist() == [1.0] * 6


def test_probabilities_above_one_by_rounding_stay_inside_the_observation_space(toy_world):
    def rounded(x: np.ndarray) -> np.ndarray:
        first = (x.mean((1, 2)) > 0.5).astype(float)
        return np.stack([first, 1 - first], 1) * 1.0009

    env = LatentVectorEnv(3, world=toy_world(classifier=rounded, class_names=["dark", "bright"]))
    observed, _ = env.reset(seed=0)
    assert env.observation_space.contains(observed)
    assert env.observation_space.contains(env.step(np.ones((3, 3), np.float32))[0])


def test_same_arguments_same_world_same_walk(toy_world):
    walks = []
    for _ in range(2):
        env = LatentVectorEnv(3, world=toy_world())
        rows = [env.reset(seed=4)[0]]
        rows += [env.step(np.full((3, 3), 0.3, np.float32))[0] for _ in range(5)]
        walks.append(rows)
    np.testing.assert_array_equal(*walks)


@pytest.mark.parametrize("columns", [1, 2])
def test_the_smallest_tables_work(columns):
    x = np.random.default_rng(0).normal(size=(40, columns))

    def classifier(rows: np.ndarray) -> np.ndarray:
        p = 1 / (1 + np.exp(-3 * rows[:, 0]))
        return np.stack([p, 1 - p], 1)

    world = make_world(data=x, classifier=classifier, class_names=["high", "low"], manifold="pca", input_shape=(columns,))
    assert world.latent_dim == min(columns, 2)
    env = LatentVectorEnv(1, world=world, max_episode_steps=3, render_mode="rgb_array")
    env.reset(seed=0)
    for _ in range(8):
        observed, *_ = env.step(np.ones((1, world.latent_dim), np.float32))
        assert env.observation_space.contains(observed)
    assert env.render()[0].shape == (256, 512, 3)
