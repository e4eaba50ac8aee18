"""Known costs (distance to the input and to the target class's data), their gradients, and guidance features."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from envs import LatentEnv, LatentVectorEnv, ManifoldError, UnknownNameError, make_world
from envs.core import dynamics
from envs.core.guidance import LIMIT, PULL_SCALE, appraise
from envs.core.typicality import NEIGHBOURS, PER_CLASS, ClassNeighbours


def brute_force(bank, label, x, target, k=NEIGHBOURS):
    x = x.clone().requires_grad_(True)
    means = [(bank[label == c] - row).norm(dim=1).sort().values[:k].mean() for row, c in zip(x, target, strict=True)]
    distance = torch.stack(means)
    distance.sum().backward()
    return distance.detach(), x.grad


def test_neighbours_and_their_gradient_are_those_of_brute_force():
    generator = torch.Generator().manual_seed(0)
    bank = torch.randn(200, 6, generator=generator)
    label = torch.randint(3, (200,), generator=generator)
    x, target = torch.randn(30, 6, generator=generator), torch.randint(3, (30,), generator=generator)
    near = ClassNeighbours(bank, label, 3)(x, target)
    distance, gradient = brute_force(bank, label, x, target)
    torch.testing.assert_close(near.distance, distance, atol=1e-4, rtol=1e-4)
    torch.testing.assert_close(near.gradient, gradient, atol=1e-4, rtol=1e-3)


def test_small_and_empty_classes_have_neighbours_as_far_as_there_are_any():
    bank = torch.tensor([[0.0], [1.0], [10.0]])
    near = ClassNeighbours(bank, torch.tensor([0, 0, 1]), 3)(torch.full((3, 1), 3.0), torch.tensor([0, 1, 2]))
    torch.testing.assert_close(near.distance, torch.tensor([2.5, 7.0, 0.0]))
    torch.testing.assert_close(near.gradient, torch.tensor([[1.0], [-1.0], [0.0]]))


def test_large_classes_are_thinned():
    bank = torch.randn(5000, 2, generator=torch.Generator().manual_seed(0))
    neighbours = ClassNeighbours(bank, torch.arange(5000) % 2, 2)
    assert neighbours.points.shape == (2, PER_CLASS, 2)


@pytest.mark.parametrize("implausibility", [0.0, 1.0])
def test_guidance_is_half_the_downhill_gradient_of_the_cost(digits, implausibility):
    world = digits.replace(guidance=True, reward={"implausibility": implausibility, "distance": 2.0})
    index = torch.arange(40)
    target = (world.reference.label[index] + 3) % 10
    state = dynamics.start(world, index, target)
    state, _ = dynamics.step(world, state, torch.randn(40, 8, generator=torch.Generator().manual_seed(0)))
    places = (state.z, state.frame.flatten(1), state.factual.flatten(1), target)
    guidance = torch.from_numpy(appraise(world, *(part.numpy() for part in places))[1])
    assert guidance.equal(state.guidance)
    z = state.z.clone().requires_grad_(True)
    frame = world.manifold.decode(z)
    far = (frame - state.factual).flatten(1).norm(dim=1)
    cost = 2.0 * far.sum()
    if implausibility:
        bank, label = world.reference.x.flatten(1), world.reference.label
        for row, c in zip(frame.flatten(1), target, strict=True):
            cost = cost + implausibility * (bank[label == c] - row).norm(dim=1).sort().values[:NEIGHBOURS].mean()
    cost.backward()
    torch.testing.assert_close(guidance[:, :8], -z.grad / 2, atol=1e-3, rtol=1e-2)
    means, precision = map(torch.from_numpy, world.reference.class_codes)
    pull = torch.stack([precision[c] @ (means[c] - code) for c, code in zip(target, state.z, strict=True)])
    torch.testing.assert_close(guidance[:, 8:], (PULL_SCALE * pull).clamp(-LIMIT, LIMIT), atol=1e-4, rtol=1e-3)


@pytest.mark.parametrize("task", ["reach", "leave", "prototype", "reach_label"])
def test_observations_with_guidance_stay_inside_their_space_and_cost_no_query(toy_world, task):
    world = toy_world(guidance=True, task=task, label_only=task == "reach_label")
    assert world.obs_dim == 4 * 3 + 2 * 3
    env = LatentVectorEnv(5, world=world, max_episode_steps=6)
    observed, _ = env.reset(seed=0)
    asked = world.asked.rows
    for t in range(20):
        assert observed.shape == (5, world.obs_dim)
        assert env.observation_space.contains(observed)
        np.testing.assert_array_equal(observed[:, -6:], env.state.guidance)
        observed, _, _, _, infos = env.step(np.random.default_rng(t).uniform(-1, 1, (5, 3)).astype(np.float32))
        asked += int(infos["queries"].sum())
    assert world.asked.rows == asked


def test_guidance_reveals_no_probability(toy_world):
    seen = []
    for sharpness in (1.0, 50.0):
        world = toy_world(guidance=True, sharpness=sharpness, label_only=True)
        env = LatentEnv(world=world)
        rows = [env.reset(seed=0)[0]]
        rows += [env.step(np.full(3, 0.2, np.float32))[0] for _ in range(5)]
        seen.append(rows)
    np.testing.assert_array_equal(*seen)


def test_the_cost_telescopes_to_that_of_the_end_point(toy_world):
    """Whatever way was gone: the cost parts of the rewards add up to cost(start) - cost(end)."""
    rates = {"success": 0.0, "step": 0.0, "path": 0.0, "progress": 0.0, "distance": 1.5, "implausibility": 0.5}
    world = toy_world(reward=rates)
    index = torch.arange(20)
    first = state = dynamics.start(world, index, (world.reference.label[index] + 1) % 3)
    total = torch.zeros(20)
    generator = torch.Generator().manual_seed(0)
    for _ in range(15):
        state, info = dynamics.step(world, state, torch.randn(20, 3, generator=generator))
        total += info.reward
    torch.testing.assert_close(total, first.cost - state.cost, atol=1e-4, rtol=1e-4)


# --- settings of a world that stands -----------------------------------------------------------------------------------


def test_configuring_equals_making(iris):
    kwargs = {
        "task": "leave",
        "tau": 0.6,
        "reward": {"path": 0.3},
        "move": "pullback",
        "step": 0.1,
        "max_step": 0.2,
        "gamma": 0.9,
    }
    made, configured = make_world(**kwargs), iris.replace(**kwargs)
    for name in ("task", "move", "step", "step_length", "max_step", "gamma", "guidance", "max_episode_steps"):
        assert getattr(made, name) == getattr(configured, name), name
    rebuilt = make_world(configured.config)
    assert rebuilt.task == configured.task
    assert rebuilt.step_length == configured.step_length


def test_configuring_leaves_the_world_and_what_is_not_named_alone(iris):
    before = (iris.task, iris.move.name, iris.step_length, iris.gamma, iris.config)
    one = iris.replace(gamma=0.5, reward={"path": 0.3})
    two = one.replace(reward={"success": 9.0})
    assert (iris.task, iris.move.name, iris.step_length, iris.gamma, iris.config) == before
    assert (two.gamma, two.task.weights.path, two.task.weights.success) == (0.5, 0.3, 9.0)
    assert make_world(two.config).task == two.task, "the config holds both"


@pytest.mark.parametrize(
    ("settings", "match"),
    [
        ({"gama": 0.9}, "did you mean 'gamma'"),
        ({"move": "euclid"}, "euclidean"),
    ],
)
def test_unknown_settings_are_refused(iris, settings, match):
    with pytest.raises(UnknownNameError, match=match):
        iris.replace(**settings)


@pytest.mark.parametrize("settings", [{"step": 0}, {"step": -1.0}, {"max_step": -0.1}, {"tau": 2}])
def test_impossible_settings_are_refused(iris, settings):
    with pytest.raises(ManifoldError):
        iris.replace(**settings)
