"""Bonuses are the same in a process whose default dtype is float64."""

import pytest
import torch

from vime import BONUSES, POSTERIORS, VIME, BonusMixer, make_bonus

SMALL = {"min_pool": 64, "updates": 5, "batch_size": 32}
VARIANTS = (
    {name: {} for name in BONUSES}
    | {
        "fixed noise": {"noise": 0.3, "common_scale": True},
        "gradient step": {"estimator": "gradient_step", "steps": 2},
        "anchored noise": {"estimator": "linearized", "noise": "anchored"},
    }
    | {f"posterior {kind}": {"estimator": "linearized", "posterior": kind} for kind in POSTERIORS}
)


@pytest.fixture
def double():
    torch.set_default_dtype(torch.float64)
    yield
    torch.set_default_dtype(torch.float32)


def scores_and_state(variant, toy):
    name = variant if variant in BONUSES else "vime"
    bonus = make_bonus(name, toy.observation_space, toy.action_space, **SMALL, **VARIANTS[variant])
    for seed in (1, 2):  # the second time the pool and the optimizer have a past
        bonus.add(*toy.draw(1200, seed=seed))
        bonus.fit()
    scores = bonus.score(*toy.draw(60, seed=3))
    if isinstance(bonus, VIME):
        scores = torch.cat([scores, bonus.expected_information_gain(*toy.draw(60, seed=3)[:2])])
    return scores, bonus.state_dict()


@pytest.fixture(scope="module")
def usual(toy):
    assert torch.get_default_dtype() == torch.float32
    return {variant: scores_and_state(variant, toy) for variant in VARIANTS}


@pytest.mark.parametrize("variant", VARIANTS)
def test_a_default_of_float64_changes_no_number(variant, toy, usual, double):
    scores, state = scores_and_state(variant, toy)
    assert scores.dtype == torch.float32
    assert torch.equal(scores, usual[variant][0])
    for key, value in usual[variant][1].items():
        assert state[key].dtype == value.dtype, key
        assert torch.equal(state[key], value), key


def test_states_go_on_under_another_default(toy, usual, double):
    bonus = make_bonus("vime", toy.observation_space, toy.action_space, **SMALL)
    bonus.load_state_dict(usual["vime"][1])
    assert torch.equal(bonus.score(*toy.draw(60, seed=3)), usual["vime"][0][:60])
    assert bonus.score(*toy.draw(0, seed=3)).dtype == torch.float32


def test_a_mixer_pays_in_float32(double):
    mixer = BonusMixer(0.5)
    for _ in range(3):
        assert mixer.step(torch.rand(4, dtype=torch.float32)).dtype == torch.float32
        mixer.close_window()
    assert mixer.rollout(torch.rand(4, 2, dtype=torch.float32)).dtype == torch.float32
