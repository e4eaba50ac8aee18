"""A state is loaded whole or not at all, and only into the options under which it means the same."""

import math

import gymnasium as gym
import numpy as np
import pytest
import safetensors.torch
import torch
from stable_baselines3.common.vec_env import DummyVecEnv, VecMonitor

from vime import BONUSES, BonusMixer, CuriosityVecEnvWrapper, MedianNormalizer, StateMismatchError, make_bonus
from vime.errors import VimeError
from vime.serialization import expect_options, number, options_as_text, read_text, text

EVERY = pytest.mark.parametrize("name", BONUSES)
WITHOUT_NETWORK = ("knn", "counts", "e3b")
SMALL = {"min_pool": 64, "updates": 3, "batch_size": 32}
LATER = ("bonus.options", "bonus.entries", "bonus.predict")
"""Entries that older states do not have."""


def trained(name, toy, **options):
    bonus = make_bonus(name, toy.observation_space, toy.action_space, **(SMALL | options))
    bonus.add(*toy.draw(100, seed=1))
    bonus.fit()
    return bonus


def same(one, other):
    return one.keys() == other.keys() and all(torch.equal(one[k], other[k]) for k in one)


def refused(part, state, match):
    """``part`` refuses ``state`` and is afterwards what it was."""
    before = {k: v.clone() for k, v in part.state_dict().items()}
    with pytest.raises(StateMismatchError, match=match):
        part.load_state_dict(state)
    assert same(part.state_dict(), before)


# ---- bonuses --------------------------------------------------------------------------------------------------------


@EVERY
def test_a_state_that_lacks_anything_is_refused(name, toy):
    bonus, state = trained(name, toy, seed=1), trained(name, toy, seed=2).state_dict()
    for key in state.keys() - {"bonus.entries"}:
        refused(bonus, {k: v for k, v in state.items() if k != key}, "lacks|no entries below|is incomplete")
    for part in {key.split(".")[0] for key in state}:
        refused(bonus, {k: v for k, v in state.items() if not k.startswith(part)}, part)
    optimizer = [key for key in state if "optimizer" in key]
    assert bool(optimizer) == (name not in WITHOUT_NETWORK)
    if optimizer:
        refused(bonus, {k: v for k, v in state.items() if k not in optimizer}, "is incomplete|optimizer")
        refused(bonus, {k: v for k, v in state.items() if k != "model.optimizer.0.exp_avg"}, "parameter 0, lacks 'exp_avg'")


@EVERY
def test_entries_that_are_spoilt_are_refused(name, toy):
    bonus, state = trained(name, toy, seed=1), trained(name, toy, seed=2).state_dict()
    generator = state["random.state"]
    for key, value, match in (
        ("random.state", torch.zeros_like(generator), "random generator"),
        ("random.state", generator[:-8], "random generator"),
        ("random.state", generator.double(), "random generator"),
        ("bonus.kind", torch.tensor([255], dtype=torch.uint8), "not text"),
        ("bonus.options", text("{"), "cannot be read"),
        ("bonus.options", text("7"), "cannot be read"),
        ("bonus.fits", number(-1), "fits=-1"),
        ("bonus.unfitted", torch.zeros(2), "unfitted.*instead of one number"),
        ("pool.added", number(2.5), "added=2.5"),
        ("pool.added", number(math.nan), "added=nan"),
        ("pool.obs", state["pool.obs"][1:], "obs has shape"),
        ("target_whitener.scale", torch.ones(99), "scale.*shape"),
    ):
        refused(bonus, state | {key: value}, match)
    if name not in WITHOUT_NETWORK:
        refused(bonus, state | {"model.optimizer.0.exp_avg": torch.tensor(0.0)}, "optimizer state")
        refused(bonus, state | {"model.optimizer.x.step": torch.tensor(0.0)}, "optimizer state")
        refused(bonus, state | {"model.optimizer.999.step": torch.tensor(0.0)}, "parameter 999")


@EVERY
def test_any_error_of_a_model_is_a_mismatch_and_undone(name, toy, monkeypatch):
    """Also of bonuses that others write: their models may raise what they like, after they have changed."""
    bonus, state = trained(name, toy, seed=1), trained(name, toy, seed=2).state_dict()
    load, errors = bonus._load_model_state, []

    def then_raise(model):
        load(model)
        if errors:
            raise errors.pop()

    monkeypatch.setattr(bonus, "_load_model_state", then_raise)
    errors.append(KeyError("trees"))
    refused(bonus, state, "lacks 'trees'")
    errors.append(RuntimeError("too deep"))
    refused(bonus, state, "RuntimeError: too deep")
    bonus.load_state_dict(state)
    assert same(bonus.state_dict(), state)


@EVERY
def test_a_bonus_that_refused_a_state_goes_on_as_if_nothing_had_been(name, toy):
    bonus, twin = trained(name, toy), trained(name, toy)
    broken = trained(name, toy, seed=5).state_dict() | {"random.state": torch.zeros(3)}
    refused(bonus, broken, "random generator")
    for one in (bonus, twin):
        one.add(*toy.draw(50, seed=3))
        one.fit()
    assert torch.equal(*(one.score(*toy.draw(30, seed=4)) for one in (bonus, twin)))
    assert same(bonus.state_dict(), twin.state_dict())


def test_a_bonus_that_knows_nothing_yet_refuses_as_well(toy):
    bonus = make_bonus("vime", toy.observation_space, toy.action_space, **SMALL)
    refused(bonus, trained("vime", toy).state_dict() | {"random.state": torch.zeros(3)}, "random generator")
    assert not bonus.ready


@pytest.mark.parametrize(
    ("option", "saved", "here"),
    [
        ("noise", 0.3, 0.9),
        ("noise", 0.3, 0.1),
        ("prior_sd", 0.5, 0.7),
        ("step_length", 1.0, 0.5),
        ("unbiased", True, False),
        ("draws", 4, 6),
        ("estimator", "second_order", "expected"),
        ("steps", 1, 3),
        ("direction", "gain", "both"),
    ],
)
def test_a_state_of_other_options_is_refused(option, saved, here, toy):
    fixed = {"estimator": "gradient_step"} if option in ("steps", "direction") else {}
    state = trained("vime", toy, **fixed, **{option: saved}).state_dict()
    bonus = trained("vime", toy, **fixed, **{option: here})
    refused(bonus, state, rf"saved with {option}={saved!r}, this one has {option}={here!r}.*build it with {option}={saved!r}")
    trained("vime", toy, **fixed, **{option: saved}, seed=3).load_state_dict(state)


def test_several_options_are_named_at_once_and_bald_has_vimes(toy):
    state = trained("bald", toy, draws=8, prior_sd=0.4).state_dict()
    refused(trained("bald", toy, draws=9), state, r"build it with draws=8, prior_sd=0.4|build it with prior_sd=0.4, draws=8")


def test_options_that_may_change_on_resuming_are_not_compared(toy):
    state = trained("vime", toy).state_dict()
    changed = {"updates": 9, "first_updates": 4, "batch_size": 16, "learning_rate": 0.5, "min_pool": 20, "init_sd": 0.2}
    bonus = trained("vime", toy, **changed, seed=8)
    bonus.load_state_dict(state)
    assert same(bonus.state_dict(), state)


@EVERY
def test_a_state_of_another_slice_of_the_same_size_is_refused(name, toy):
    state = trained(name, toy, predict=slice(0, 2)).state_dict()
    refused(trained(name, toy, predict=slice(2, 4)), state, r"another predict= \(saved as \[0, 2, 1\]")
    refused(trained(name, toy, predict=lambda obs: obs[:, :2]), state, "another predict=")
    trained(name, toy, predict=slice(None, 2), seed=2).load_state_dict(state)


@EVERY
def test_older_states_still_load(name, toy):
    state = {k: v for k, v in trained(name, toy).state_dict().items() if k not in LATER}
    bonus = trained(name, toy, seed=4)
    bonus.load_state_dict(state)
    assert same({k: v for k, v in bonus.state_dict().items() if k not in LATER}, state)


def test_options_are_kept_by_both_formats(toy, tmp_path):
    state = trained("vime", toy, noise=0.3).state_dict()
    assert '"noise":0.3' in read_text(state, "bonus.options", "the bonus")
    safetensors.torch.save_file(state, tmp_path / "a")
    torch.save(state, tmp_path / "b")
    for loaded in (safetensors.torch.load_file(tmp_path / "a"), torch.load(tmp_path / "b", weights_only=True)):
        refused(trained("vime", toy, noise=0.4), loaded, "noise=0.3")


def test_options_are_compared_by_value_and_only_where_both_know_them():
    saved = {"options": options_as_text({"a": (1, 2), "b": math.inf, "c": None, "gone": 1})}
    expect_options(saved, {"c": None, "b": math.inf, "a": (1, 2), "new": 3}, "it")
    assert torch.equal(options_as_text({"x": 1, "y": 2}), options_as_text({"y": 2, "x": 1}))
    with pytest.raises(VimeError, match=r"the state of it was saved with a=\[1, 2\], this one has a=\[1, 3\]"):
        expect_options(saved, {"a": (1, 3)}, "it")


# ---- the mixer ------------------------------------------------------------------------------------------------------


def mixed(**options):
    mixer = BonusMixer(**options)
    for k in range(4):
        mixer.step(torch.arange(1.0, 7.0) * (k + 1))
        if k == 1:
            mixer.close_window()
    return mixer


@pytest.mark.parametrize(
    ("option", "saved", "here"),
    [
        ("normalize", "median", None),
        ("normalize", None, "median"),
        ("squash", "log1p", None),
        ("clip", 10.0, 5.0),
        ("clip", math.inf, 5.0),
        ("centre", True, False),
    ],
)
def test_a_mixers_state_of_other_options_is_refused(option, saved, here):
    state = mixed(**{option: saved}).state_dict()
    refused(mixed(**{option: here}), state, rf"saved with {option}={saved!r}, this one has {option}={here!r}.*build it with")
    BonusMixer(**{option: saved}).load_state_dict(state)


def test_weights_of_a_mixer_may_change_on_resuming():
    other = BonusMixer(lambda p: p, decay=0.5, success_decay=0.4)
    other.load_state_dict(mixed(eta=0.3).state_dict())
    assert other.eta(0.9) == pytest.approx(0.9 * 0.8)


def test_older_states_of_mixers_load_where_they_fit():
    state = {k: v for k, v in mixed().state_dict().items() if k not in ("running.options", "running.success_rate")}
    mixer = BonusMixer(clip=3.0)
    mixer.load_state_dict(state)
    assert mixer.running_count == 12
    refused(BonusMixer(normalize=None), state, "normalize=.median.")


def test_incomplete_and_spoilt_states_of_mixers_are_refused():
    mixer, state = BonusMixer(), mixed().state_dict()
    for key in ("running.mean", "running.count", "running.window", "normalizer.window", "normalizer.medians"):
        refused(mixer, {k: v for k, v in state.items() if k != key}, f"lacks {key.split('.')[1]!r}")
    for key, value, match in (
        ("running.count", number(-1), "count=-1"),
        ("running.window", torch.zeros(2, 2), "open window has shape"),
        ("normalizer.medians", torch.zeros(99), "medians of shape"),
        ("normalizer.window", number(3), "window=3"),
    ):
        refused(mixer, state | {key: value}, match)
    refused(MedianNormalizer(), {}, "the normalizer lacks 'window'")


# ---- the wrapper ----------------------------------------------------------------------------------------------------


def wrapped(bonus_options=None, envs=2, seed=0, steps=40, **mixing):
    venv = VecMonitor(DummyVecEnv([lambda: gym.make("Pendulum-v1")] * envs))
    venv.seed(seed)
    options = {"min_pool": 32, "updates": 2, "batch_size": 16, "seed": seed} | (bonus_options or {})
    bonus = make_bonus("vime", venv.observation_space, venv.action_space, **options)
    wrapper = CuriosityVecEnvWrapper(venv, bonus, mode="step", fit_every=32, **mixing)
    wrapper.reset()
    for _ in range(steps):
        wrapper.step(np.zeros((envs, 1), np.float32))
    return wrapper


def test_a_wrapper_that_refuses_a_state_is_as_before():
    wrapper, state = wrapped(), wrapped(seed=1).state_dict()
    assert "wrapper.window" in state
    for broken, match in (
        (wrapped(window=3).state_dict(), "pass window=3"),
        (wrapped(squash=None).state_dict(), "squash=None"),
        (wrapped({"noise": 0.3}).state_dict(), "noise=0.3"),
        (wrapped(envs=3).state_dict(), "as many environments"),
        (state | {"bonus.random.state": torch.zeros(3)}, "random generator"),
        (state | {"wrapper.window": torch.zeros(2, 5)}, "window of shape"),
        (state | {"wrapper.since_fit": number(-2)}, "since_fit=-2"),
        ({k: v for k, v in state.items() if k != "wrapper.since_fit"}, "since_fit|no entries"),
        ({k: v for k, v in state.items() if not k.startswith("mixer.")}, "mixer"),
        ({k: v for k, v in state.items() if k != "bonus.model.noise.0"}, "lacks"),
        (wrapper.bonus.state_dict(), "by the wrapper"),
    ):
        refused(wrapper, broken, match)
    wrapper.load_state_dict(state)
    assert same(wrapper.state_dict(), state)
