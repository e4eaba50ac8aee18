"""The ensemble: gradients, a fit without queries, and ends that convince other classifiers, too."""

from __future__ import annotations

from typing import Any

import gymnasium as gym
import pytest
import torch

from agents.walkers.planning.ensemble import Ensemble
from agents.walkers.planning.last_step import PlanSettings
from agents.walkers.planning.surrogate import Surrogate
from envs.core import dynamics
from tests.agents.walkers.test_walkers import N, begin, policy


@pytest.fixture(scope="module")
def ensemble(digits: Any) -> Ensemble:
    return Ensemble.fit(digits)


@pytest.mark.parametrize("kind", ["surrogate", "ensemble"])
def test_log_odds_and_gradients_are_those_of_autograd(digits: Any, kind: str, request: pytest.FixtureRequest) -> None:
    network = request.getfixturevalue(kind)
    rows = torch.stack([torch.nonzero(digits.reference.label == k)[0, 0] for k in range(8)])
    own = digits.reference.x[rows].flatten(1)
    x, target = (0.5 * (own + own.roll(1, 0)))[:7].clone().requires_grad_(True), torch.arange(7)  # between two classes each
    if kind == "surrogate":
        p = network.network(x).softmax(1)
    else:
        p = torch.stack([
            torch.nn.functional.silu(x @ w.T + b) @ v + c
            for w, b, v, c in zip(
                network.first.weight.chunk(network.members), network.first.bias.chunk(network.members), network.weight,
                network.bias, strict=True,
            )
        ]).softmax(2).mean(0)  # fmt: skip
    odds = torch.logit(p[torch.arange(7), target].double())
    (expected,) = torch.autograd.grad(odds.sum(), x)
    with torch.inference_mode():
        margin, gradient = network.look(x.detach(), target)
    inside = (odds.abs() < 9).detach()  # beyond, float32 and the clamp decide
    assert inside.sum() >= 4
    torch.testing.assert_close(margin[inside].double(), odds[inside].detach(), atol=2e-3, rtol=1e-3)
    torch.testing.assert_close(gradient[inside], expected[inside], atol=2e-3, rtol=1e-2)


def test_opinions_learn_the_labels_of_the_starts_and_ask_nothing(digits: Any, ensemble: Ensemble) -> None:
    asked = digits.classifier.queries
    again = Ensemble.fit(digits)
    assert digits.classifier.queries == asked
    for name, value in again.weights().items():
        assert (value == ensemble.weights()[name]).all()
    said = ensemble.logits(digits.held_out.x.flatten(1)).softmax(2).mean(0).argmax(1)
    digits.classifier.queries = asked
    assert (said == digits.held_out.truth).float().mean() > 0.9
    back = Ensemble.of(digits, ensemble.weights())
    x = digits.held_out.x[:5].flatten(1)
    torch.testing.assert_close(back.margin(x, torch.arange(5)), ensemble.look(x, torch.arange(5))[0])


def test_an_end_planned_with_opinions_convinces_them_and_p_never_falls(
    digits: Any, surrogate: Surrogate, ensemble: Ensemble
) -> None:
    state, queries = begin(digits)
    before = digits.classifier.queries
    walks = [
        policy(digits, surrogate=surrogate, ensemble=o).walk(digits, state, queries, torch.Generator())
        for o in (None, ensemble)
    ]
    assert sum(int(walk.queries.sum()) for walk in walks) == digits.classifier.queries - before + 4 * N
    without, with_them = walks
    assert with_them.success.equal(without.success)
    more = with_them.length - without.length
    assert ((more >= 0) & (more <= PlanSettings().further)).all()
    assert more.any()
    with torch.inference_mode():
        odds = [ensemble.margin(digits.coordinates_of(walk.z[-1]), state.target) for walk in walks]
    enough = PlanSettings().enough(digits)
    doubted = [float((part < enough - 0.1).float().mean()) for part in odds]
    assert doubted[1] < 0.5 * doubted[0]
    for i in range(N):
        p = with_them.predictions[: int(with_them.length[i]) + 1, i, int(state.target[i])]
        if more[i]:
            assert p[-1] >= p[-2]
            assert p[-2] >= digits.task.tau
            assert 1 <= int(with_them.planned[i]) <= 2


def test_walks_with_a_further_step_are_reproduced_by_their_actions(
    digits: Any, surrogate: Surrogate, ensemble: Ensemble
) -> None:
    state, queries = begin(digits)
    walk = policy(digits, surrogate=surrogate, ensemble=ensemble).walk(digits, state, queries, torch.Generator())
    now = state
    for t in range(int(walk.length.max())):
        now, info = dynamics.step(digits, now, walk.actions[t])
        going = walk.length > t
        assert (info.step_length[going] <= digits.max_step * (1 + 1e-5)).all()
        torch.testing.assert_close(now.z[going], walk.z[t + 1, going], atol=1e-4, rtol=0)
        now = now._replace(z=walk.z[t + 1])


def test_no_step_is_added_beyond_the_most_steps(digits: Any, surrogate: Surrogate, ensemble: Ensemble) -> None:
    state, queries = begin(digits)
    free = policy(digits, surrogate=surrogate).walk(digits, state, queries, torch.Generator())
    most = int(free.length.max())
    walk = policy(digits, surrogate=surrogate, ensemble=ensemble).walk(digits, state, queries, torch.Generator(), most)
    assert int(walk.length.max()) <= most


def test_a_plain_actor_gives_what_predict_gives() -> None:
    from stable_baselines3 import PPO, SAC

    from agents.walkers.policy_mean import _plain_layers, actor_of

    space = gym.make("Manifold/Digits-v0")
    for kind, plain in ((PPO, True), (SAC, False)):
        model = kind("MlpPolicy", space, device="cpu", policy_kwargs={"net_arch": [16, 16]})
        observation = 3 * torch.randn(9, space.observation_space.shape[0])
        assert (_plain_layers(model.policy) is not None) == plain
        expected = torch.from_numpy(model.predict(observation.numpy(), deterministic=True)[0])
        torch.testing.assert_close(actor_of(model)(observation), expected, atol=1e-6, rtol=0)
