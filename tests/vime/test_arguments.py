"""Arguments that constructors refuse by name, and numpy's numbers, which they take as Python's."""

import math

import numpy as np
import pytest
import torch
from gymnasium import spaces

from vime import VIME, BonusMixer, DynamicsBNN, MedianNormalizer, TransitionPool, linear_eta, make_bonus
from vime.arguments import positive_number, whole_number
from vime.random_state import FencedRandom

BOX, ACT = spaces.Box(-np.inf, np.inf, (3,)), spaces.Box(-1, 1, (1,))
COUNTS = ["pool_size", "min_pool", "updates", "first_updates", "batch_size", "draws", "steps"]


@pytest.mark.parametrize("name", COUNTS)
@pytest.mark.parametrize("value", [100.5, 100.0, "100", True, math.nan, np.float64(3), np.bool_(True)])
def test_counts_must_be_whole_numbers(name, value):
    with pytest.raises(ValueError, match=f"{name} must be a whole number, got"):
        VIME(BOX, ACT, **{name: value})


@pytest.mark.parametrize("name", COUNTS)
@pytest.mark.parametrize("value", [0, -3])
def test_counts_must_be_at_least_one(name, value):
    with pytest.raises(ValueError, match=f"{name} must be at least 1, got {value}"):
        VIME(BOX, ACT, **{name: value})


@pytest.mark.parametrize("name", ["learning_rate", "step_length", "prior_sd", "init_sd"])
@pytest.mark.parametrize("value", [0.0, -1.0, math.nan, math.inf, "1", True])
def test_sizes_must_be_positive_and_finite(name, value):
    with pytest.raises(ValueError, match=f"{name} must be a positive finite number, got"):
        VIME(BOX, ACT, **{name: value})


@pytest.mark.parametrize("direction", ["gains", "", None, 1])
def test_directions_that_are_none_are_refused(direction):
    for estimator in ("gradient_step", "second_order"):
        with pytest.raises(ValueError, match=r'direction must be "gain", "compression" or "both", got'):
            VIME(BOX, ACT, estimator=estimator, direction=direction)


@pytest.mark.parametrize("direction", ["gain", "compression", "both"])
def test_every_direction_goes_with_gradient_steps(direction):
    assert VIME(BOX, ACT, estimator="gradient_step", direction=direction, steps=3).steps == 3


@pytest.mark.parametrize("noise", [True, None, 0.0, -1.0, math.inf, math.nan, "learned"])
def test_noises_that_are_none_are_refused(noise):
    with pytest.raises(ValueError, match="noise must be"):
        DynamicsBNN(2, 2, noise=noise)


def test_layer_sizes_must_be_whole():
    with pytest.raises(ValueError, match="layer sizes must be whole numbers"):
        DynamicsBNN(2, 2, hidden=(8.5,))


def test_pools_and_windows_must_be_whole():
    with pytest.raises(ValueError, match=r"the pool's capacity must be a whole number, got 7\.5"):
        TransitionPool(7.5, (2, 1, 3))
    with pytest.raises(ValueError, match=r"the normalizer's window must be a whole number, got 2\.5"):
        MedianNormalizer(2.5)


@pytest.mark.parametrize(
    "options", [{"clip": "10"}, {"clip": True}, {"clip": math.nan}, {"decay": True}, {"success_decay": "0.5"}]
)
def test_mixers_refuse_what_is_no_number(options):
    with pytest.raises(ValueError, match=next(iter(options))):
        BonusMixer(**options)


@pytest.mark.parametrize("value", [np.float32(0.25), np.float64(0.25), np.int64(2), 2])
def test_numpys_numbers_are_etas(value):
    assert BonusMixer(value).eta() == float(value)
    assert type(BonusMixer(value, decay=np.float32(0.5), success_decay=np.float32(0.5)).eta(0.9)) is float
    assert linear_eta(value, np.float32(0.0))(0.5) == float(value) / 2


@pytest.mark.parametrize("value", [np.bool_(True), np.float32(-1), np.float32("nan"), 1j])
def test_numpys_other_values_are_no_etas(value):
    with pytest.raises(ValueError, match="eta must be a finite number >= 0"):
        BonusMixer(value)


@pytest.mark.parametrize("kind", [np.int64, np.uint8, np.int32])
def test_a_seed_of_numpys_is_the_same_seed(kind):
    one, other = FencedRandom(7), FencedRandom(kind(7))
    assert torch.equal(torch.rand(3, generator=one.generator), torch.rand(3, generator=other.generator))


@pytest.mark.parametrize("seed", [True, 1.0, "1", -1, 2**63, np.float64(1), np.int64(-1), None])
def test_seeds_that_are_none_are_refused(seed):
    with pytest.raises(ValueError, match=r"seed must be a whole number from 0 to 2\^63 - 1, got"):
        FencedRandom(seed)


def test_numpys_counts_make_the_same_bonus():
    """Also its state: a numpy integer in it would be saved as a float."""
    plain = {"pool_size": 200, "min_pool": 32, "updates": 2, "batch_size": 16, "draws": 2, "steps": 1, "noise": 0.25}
    numpys = {k: np.float32(v) if k == "noise" else np.int64(v) for k, v in plain.items()}
    draw = np.random.default_rng(0)
    batch = draw.normal(size=(64, 3)), draw.uniform(-1, 1, (64, 1)), draw.normal(size=(64, 3))
    states = []
    for options in (plain, numpys):
        bonus = VIME(BOX, ACT, **options)
        bonus.add(*batch)
        bonus.fit()
        states.append(bonus.state_dict())
    assert states[0].keys() == states[1].keys()
    for key, value in states[0].items():
        assert value.dtype == states[1][key].dtype, key
        assert torch.equal(value, states[1][key]), key


def test_what_is_taken_comes_back_as_pythons_own():
    assert type(whole_number("n", np.int64(3))) is int
    assert type(positive_number("x", np.float32(0.5))) is float
    assert whole_number("n", 0, least=0) == 0
    with pytest.raises(ValueError, match="n must be at least 2, got 1"):
        whole_number("n", 1, least=2)


def test_the_usual_clip_is_met_only_by_scores_that_overflow():
    """After log1p it is e^10 - 1 times the typical score."""
    mixer = BonusMixer(1.0, centre=False)
    mixer.rollout(torch.full((3,), 1e-3))
    paid = mixer.rollout(torch.tensor([1e-3, 22_000 * 1e-3, 23_000 * 1e-3, 3e38]))  # the last is infinite once divided
    assert paid[:2].tolist() == pytest.approx([math.log(2), math.log(22_001)])
    assert paid[2:].tolist() == [10.0, 10.0]


@pytest.mark.parametrize("name", ["vime", "l2", "rnd", "disagreement"])
@pytest.mark.parametrize("hidden", [8, "64", [64, 0], [1.5]])
def test_hidden_is_a_list_of_sizes(name, hidden, toy):
    with pytest.raises(ValueError, match="hidden"):
        make_bonus(name, toy.observation_space, toy.action_space, hidden=hidden)


@pytest.mark.parametrize("kind", [np.array, torch.tensor, np.float32])
def test_numbers_without_dimensions_are_taken(kind):
    counts = {"steps": np.array(2), "seed": torch.tensor(3), "min_pool": np.int64(64)}
    bonus = VIME(BOX, ACT, learning_rate=kind(0.5), noise=kind(0.25), **counts)
    assert (bonus.learning_rate, bonus.steps, bonus.min_pool) == (0.5, 2, 64)
    assert type(bonus.learning_rate) is float
    mixer = BonusMixer(kind(0.5), clip=kind(4.0), decay=kind(0.5), success_decay=kind(0.25))
    assert (mixer.eta(1.0), mixer.clip, mixer.decay, mixer.success_decay) == (0.5, 4.0, 0.5, 0.25)
    assert linear_eta(kind(0.5))(1.0) == 0.5
