"""The contract of every bonus: units, state, isolation, clear errors. It holds for the table and for a user's own class."""

import inspect
import subprocess
import sys

import numpy as np
import pyro.settings
import pytest
import safetensors.torch
import torch
from gymnasium import spaces
from scipy.stats import spearmanr

import vime
from vime import (
    BONUSES,
    VIME,
    Bonus,
    NotFittedError,
    OptionError,
    OptionTypeError,
    PoolTooSmallError,
    StateMismatchError,
    bonus_class,
    make_bonus,
)
from vime.random_state import FencedRandom

OWN = "tests.vime.bonuses.simhash:SimHash"
"""A bonus of a user's own, which no table has; the recipe docs/how-to/own-bonus.md shows it."""
EVERY = pytest.mark.parametrize("name", [*BONUSES, OWN])
WITHOUT_NETWORK = ("knn", "counts", "e3b", OWN)
NETWORKS = pytest.mark.parametrize("name", [name for name in BONUSES if name not in WITHOUT_NETWORK])
SMALL = {"min_pool": 64, "updates": 20, "batch_size": 64}


def make(name, toy, **options):
    return make_bonus(name, toy.observation_space, toy.action_space, **(SMALL | options))


def trained(name, toy, **options):
    bonus = make(name, toy, **options)
    bonus.add(*toy.draw(300, seed=1))
    bonus.fit()
    return bonus


@EVERY
def test_scores_are_finite_non_negative_and_differ_by_transition(name, toy):
    bonus = trained(name, toy)
    scores = bonus.score(*toy.draw(200, seed=2))
    assert scores.shape == (200,)
    assert scores.dtype == torch.float32
    assert (scores >= 0).all()
    assert torch.isfinite(scores).all()
    assert scores.std() > 0.01 * scores.mean()
    assert bonus.score(*toy.draw(0, seed=2)).shape == (0,)
    assert bonus.units
    assert bonus.score_name


@EVERY
def test_novelty_is_worth_more_after_learning(name, toy):
    bonus = make(name, toy, updates=300, learning_rate=3e-3)
    bonus.add(*toy.draw(3000, seed=1))
    bonus.fit()
    known, far = bonus.score(*toy.draw(300, seed=2)), bonus.score(*toy.draw(300, seed=3, scale=4.0))
    assert far.median() > known.median()


@EVERY
@pytest.mark.parametrize("form", ["torch", "safetensors"])
def test_a_saved_bonus_goes_on_exactly_as_before(name, form, toy, tmp_path):
    bonus = trained(name, toy)
    bonus.add(*toy.draw(50, seed=4))
    path = tmp_path / "state"
    if form == "torch":
        torch.save(bonus.state_dict(), path)
        state = torch.load(path, weights_only=True)
    else:
        safetensors.torch.save_file(bonus.state_dict(), path)
        state = safetensors.torch.load_file(path)
    other = make(name, toy, seed=77)
    other.load_state_dict(state)
    probe = toy.draw(100, seed=5)
    assert torch.equal(bonus.score(*probe), other.score(*probe))
    for one in (bonus, other):
        one.add(*toy.draw(50, seed=6))
        one.fit()
    assert torch.equal(bonus.score(*probe), other.score(*probe))
    ours, theirs = bonus.state_dict(), other.state_dict()
    assert ours.keys() == theirs.keys()
    assert all(torch.equal(ours[k], theirs[k]) for k in ours)


@EVERY
def test_same_seed_same_scores_other_seed_other_scores(name, toy):
    probe = toy.draw(50, seed=5)
    one, same = (trained(name, toy, seed=3) for _ in range(2))
    assert torch.equal(one.score(*probe), same.score(*probe))
    if not torch.equal(one.random.state_dict()["state"], FencedRandom(3).state_dict()["state"]):  # it has drawn numbers
        assert not torch.equal(one.score(*probe), trained(name, toy, seed=4).score(*probe))


@EVERY
def test_the_process_is_left_alone(name, toy, monkeypatch):
    torch.manual_seed(5)
    np.random.seed(5)  # noqa: NPY002 - the global generator is what is watched
    torch_before, numpy_before = torch.get_rng_state(), np.random.get_state()[1].copy()  # noqa: NPY002
    monkeypatch.setattr(torch.distributions.Distribution, "_validate_args", False)

    def settings():
        switches = torch.is_grad_enabled(), torch.get_default_dtype(), torch.get_num_threads()
        return pyro.settings.get(), torch.distributions.Distribution._validate_args, switches

    before = settings()
    bonus = trained(name, toy)
    bonus.score(*toy.draw(20, seed=2))
    make(name, toy).load_state_dict(bonus.state_dict())
    assert torch.equal(torch.get_rng_state(), torch_before)
    assert np.array_equal(np.random.get_state()[1], numpy_before)  # noqa: NPY002
    assert settings() == before


@EVERY
def test_the_processs_own_draws_do_not_change_the_bonus(name, toy):
    torch.manual_seed(1)
    one = trained(name, toy).score(*toy.draw(20, seed=2))
    torch.manual_seed(2)
    assert torch.equal(one, trained(name, toy).score(*toy.draw(20, seed=2)))


@EVERY
def test_two_fits_of_a_full_pool_learn_from_different_rows(name, toy, monkeypatch):
    bonus = make(name, toy, pool_size=64, updates=2, batch_size=16, **({"memory": 16} if name == "knn" else {}))
    bonus.add(*toy.draw(64, seed=1))
    drawn = []
    if name == "knn":
        fits = [(bonus.fit(), bonus.memory.clone())[1] for _ in range(2)]
    else:
        sample = bonus.pool.sample
        monkeypatch.setattr(bonus.pool, "sample", lambda *args: drawn.append(sample(*args)) or drawn[-1])
        fits = []
        for _ in range(2):
            bonus.fit()
            fits.append(torch.cat([torch.zeros(0, 4), *(batch.obs for batch in drawn)]))
            drawn.clear()
        if name in WITHOUT_NETWORK[1:]:  # it reads the whole pool and samples nothing
            assert not len(fits[0])
            return
    assert len(fits[0])
    assert not torch.equal(*fits)


@EVERY
def test_scoring_too_early_and_fitting_too_little_are_named(name, toy):
    bonus = make(name, toy)
    assert not bonus.ready
    assert not bonus.can_fit
    with pytest.raises(NotFittedError, match=r"at least 64 transitions \(it has 0\)"):
        bonus.score(*toy.draw(1, seed=1))
    bonus.add(*toy.draw(63, seed=1))
    with pytest.raises(PoolTooSmallError, match=r"63 transitions.*min_pool=64"):
        bonus.fit()


@EVERY
@pytest.mark.parametrize("which", [0, 1, 2])
@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_non_finite_input_is_refused_everywhere(name, which, value, toy):
    bonus = trained(name, toy)
    batch = [part.copy() for part in toy.draw(4, seed=1)]
    batch[which][2, 0] = value
    for method in (bonus.score, bonus.add):
        with pytest.raises(ValueError, match=f"{'action' if which == 1 else 'observation'} row 2"):
            method(*batch)
    assert len(bonus.pool) == 300


@EVERY
def test_constant_dimensions_and_a_world_that_stands_still(name, toy):
    rng = np.random.default_rng(0)
    obs, action = np.full((200, 4), 3.0, np.float32), rng.uniform(-1, 1, (200, 2)).astype(np.float32)
    bonus = make(name, toy)
    bonus.add(obs, action, obs)
    bonus.fit()
    assert torch.isfinite(bonus.score(obs, action, obs)).all()
    obs[:, 0] = rng.normal(size=200)
    nxt = obs.copy()
    nxt[:, 0] += 0.1 * action[:, 0]
    bonus.add(obs, action, nxt)
    bonus.fit()
    assert torch.isfinite(bonus.score(obs, action, nxt + 5)).all()


@EVERY
def test_discrete_actions_and_dict_observations(name):
    space = spaces.Dict({"x": spaces.Box(-5, 5, (2,)), "k": spaces.Discrete(3)})
    bonus = make_bonus(name, space, spaces.Discrete(4), **SMALL)
    rng = np.random.default_rng(0)

    def draw(count):
        obs = {"x": rng.normal(size=(count, 2)), "k": rng.integers(3, size=count)}
        action = rng.integers(4, size=count)
        return obs, action, {"x": obs["x"] + (action[:, None] - 1.5), "k": rng.integers(3, size=count)}

    bonus.add(*draw(100))
    bonus.fit()
    assert bonus.score(*draw(10)).shape == (10,)
    obs, _, nxt = draw(3)
    with pytest.raises(ValueError, match="action row 0 is 9"):
        bonus.score(obs, np.array([9, 0, 0]), nxt)


@EVERY
def test_states_of_another_shape_are_refused_and_change_nothing(name, toy):
    bonus = trained(name, toy)
    probe = toy.draw(10, seed=3)
    before = bonus.score(*probe)
    shapes = {
        "hidden": (7,),
        "features": 5,
        "memory": 100,
        "bits": 3,
        "dimensions": 2,
        "ridge": 0.5,
    }  # one of these changes a bonus's shape
    taken = inspect.signature(bonus_class(name).__init__).parameters
    options = {option: value for option, value in shapes.items() if option in taken} or {"hidden": (7,)}  # bald: vime's
    wrong = {
        "sizes": trained(name, toy, predict=slice(0, 2)).state_dict(),
        "pool_size": trained(name, toy, pool_size=1000).state_dict(),
        "kind": trained("l2" if name != "l2" else "rnd", toy).state_dict(),
        "empty": {},
    }
    for reason, state in wrong.items():
        with pytest.raises(
            StateMismatchError, match={"kind": "saved by the bonus", "empty": "no entries"}.get(reason, reason)
        ):
            bonus.load_state_dict(state)
    with pytest.raises(StateMismatchError):
        make(name, toy, **options).load_state_dict(bonus.state_dict())
    assert torch.equal(bonus.score(*probe), before)


@EVERY
def test_what_is_seen_can_be_a_slice_or_features(name, toy):
    def features(obs):
        return np.stack([obs[:, 0] + obs[:, 1], obs[:, 2] ** 2], 1)

    for predict, size in ((slice(2, 4), 2), (features, 2), (lambda obs: torch.tanh(obs[:, :1]), 1)):
        bonus = trained(name, toy, predict=predict)
        assert bonus.target_size == size
        assert torch.isfinite(bonus.score(*toy.draw(20, seed=2))).all()
    # What is not seen changes nothing but the input: here the unseen half of the next observation.
    bonus = trained(name, toy, predict=slice(0, 2))
    obs, action, nxt = toy.draw(20, seed=2)
    other = nxt.copy()
    other[:, 2:] += 3
    assert torch.equal(bonus.score(obs, action, nxt), bonus.score(obs, action, other))


def test_bad_features_are_named(toy):
    for predict, message in (
        (lambda obs: obs[0], "returned shape"),
        (lambda obs: obs[:1], "returned shape"),
        (lambda obs: obs * float("nan"), "NaN or infinity"),
        (slice(9, 12), "selects nothing"),
    ):
        with pytest.raises(ValueError, match=message):
            make("vime", toy, predict=predict)
    with pytest.raises(TypeError, match="predict must be"):
        make("vime", toy, predict=[0, 1])


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"seed": -1}, "seed"),
        ({"seed": 1.5}, "seed"),
        ({"min_pool": 0}, "min_pool"),
        ({"min_pool": 200, "pool_size": 100}, "never be fitted"),
        ({"updates": 0}, "updates"),
        ({"batch_size": 0}, "batch_size"),
        ({"learning_rate": 0.0}, "learning_rate"),
        ({"draws": 0}, "draws"),
        ({"draws": 1, "unbiased": True}, "draws must be at least 2"),
        ({"estimator": "exact"}, "estimator"),
        ({"direction": "compression"}, "gradient_step"),
        ({"step_length": 0.0}, "step_length"),
    ],
)
def test_impossible_options_are_named(options, message, toy):
    with pytest.raises(ValueError, match=message):
        VIME(toy.observation_space, toy.action_space, **options)


def test_rivals_check_their_own_options(toy):
    for name, options, message in (
        ("disagreement", {"members": 1}, "members"),
        ("knn", {"neighbours": 0}, "neighbours"),
        ("rnd", {"hidden": (0,)}, "each size in hidden"),
        ("bald", {"estimator": "second_order"}, "use VIME"),
    ):
        with pytest.raises(ValueError, match=message):
            make(name, toy, **options)


def test_unknown_names_offer_close_ones(toy):
    with pytest.raises(ValueError, match="did you mean 'vime'"):
        make("vimes", toy)
    assert all(issubclass(kind, Bonus) and kind.name == name for name, kind in BONUSES.items())


@pytest.mark.filterwarnings("ignore:Encountered NaN:UserWarning")
@NETWORKS
def test_a_diverging_fit_stops_before_it_spoils_the_model(name, toy, monkeypatch):
    bonus = trained(name, toy)
    probe = toy.draw(10, seed=3)
    before = bonus.score(*probe)
    monkeypatch.setattr(bonus.target_whitener, "scale", torch.full_like(bonus.target_whitener.scale, float("nan")))
    monkeypatch.setattr(bonus.target_whitener, "freeze", lambda: None)
    with pytest.raises(FloatingPointError, match="learning_rate"):
        bonus.fit()
    monkeypatch.undo()
    assert torch.equal(bonus.score(*probe), before)
    monkeypatch.setattr(bonus, "_score", lambda batch: torch.full((len(batch.obs),), float("nan")))
    with pytest.raises(FloatingPointError, match="10 of 10"):
        bonus.score(*probe)


def test_expected_gain_needs_no_next_observation(toy):
    bonus = trained("vime", toy)
    obs, action, nxt = toy.draw(30, seed=2)
    expected = bonus.expected_information_gain(obs, action)
    assert expected.shape == (30,)
    assert (expected >= 0).all()
    assert bonus.estimator == "linearized"
    bald = trained("bald", toy)
    assert torch.equal(bald.score(obs, action, nxt), bald.score(obs, action, nxt + 1))


def test_importing_vime_is_cheap_and_needs_no_stable_baselines3():
    code = (
        "import sys, vime; assert not {'torch', 'pyro', 'stable_baselines3'} & set(sys.modules), 'import vime';"
        "vime.VIME; vime.make_bonus; assert 'stable_baselines3' not in sys.modules, 'vime.VIME';"
        "assert 'CuriosityVecEnvWrapper' in dir(vime)"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
    with pytest.raises(AttributeError, match="no attribute 'Vime'"):
        _ = vime.Vime


@pytest.mark.parametrize("common_scale", [False, True])
@pytest.mark.parametrize(
    "options", [{"name": "vime"}, {"name": "vime", "estimator": "gradient_step"}, {"name": "l2"}, {"name": "knn"}]
)
def test_the_first_change_of_a_constant_feature_is_paid(options, common_scale, toy):
    """A key that is picked up for the first time: no transition before has changed that number."""

    def draw(count, seed):
        obs, action, following = toy.draw(count, seed=seed)
        obs[:, 3] = following[:, 3] = 0.0
        return obs, action, following

    bonus = make(toy=toy, updates=200, learning_rate=1e-2, common_scale=common_scale, **options)
    bonus.add(*draw(1000, seed=1))
    bonus.fit()
    ordinary = draw(50, seed=2)
    event = [part.copy() for part in ordinary]
    event[2][7, 3] = 1.0
    before, after = bonus.score(*ordinary), bonus.score(*event)
    others = torch.arange(50) != 7
    torch.testing.assert_close(after[others], before[others])
    assert after[7] > before[7] + before[others].quantile(0.9)
    bonus.first_changes = False
    assert torch.equal(bonus.score(*event), before)
    bonus.first_changes = True
    bonus.add(*event)
    bonus.fit()
    assert torch.isfinite(bonus.score(*event)).all()


def test_constants_that_differ_by_rounding_are_not_a_first_change():
    whitener = vime.whitening.Whitener(2)
    whitener.update(torch.full((100, 2), 1e6 + 1 / 3))
    whitener.freeze()
    row = torch.nextafter(torch.full((1, 2), 1e6 + 1 / 3), torch.tensor(2e6))
    assert not whitener.first_changes(row).any()
    assert (whitener.first_changes(row + 20.0) == 10).all()


def test_bonuses_by_name_by_object_and_by_class(toy):
    assert bonus_class("rnd") is bonus_class("vime.bonuses.rnd:RND") is bonus_class(vime.RND) is vime.RND
    assert make(OWN, toy).name == "simhash"
    for wrong, error, message in (
        ("simhash", OptionError, "module:object"),
        ("no_such_module:SimHash", OptionError, "cannot load the bonus 'no_such_module:SimHash'"),
        ("vime.bonuses.rnd:Rnd", OptionError, "has no attribute 'Rnd'"),
        (":RND", OptionError, "write package.module:object"),
        ("vime.bonuses.rnd:CLIP", OptionTypeError, r"not a subclass of vime\.Bonus"),
        (dict, OptionTypeError, r"not a subclass of vime\.Bonus"),
    ):
        with pytest.raises(error, match=message):
            bonus_class(wrong)


def test_a_class_without_a_name_is_refused(toy):
    class Nameless(bonus_class(OWN)):
        pass

    del Nameless.__base__.units
    try:
        with pytest.raises(OptionTypeError, match=r"Nameless lacks the class attributes \['units'\]"):
            Nameless(toy.observation_space, toy.action_space)
    finally:
        Nameless.__base__.units = "1 / sqrt(visits)"


@pytest.mark.parametrize("name", ["vime", "l2", "rnd", "knn", "disagreement"])
@pytest.mark.parametrize("power", [-20, 14])
def test_the_unit_of_an_observation_does_not_matter(name, power, toy):
    """A column was constant if it moved by less than 1e-6 in the user's own unit. By a power of two nothing is rounded."""
    scores = []
    for scale in (1.0, 2.0**power):
        bonus = make(name, toy)
        obs, action, following = toy.draw(300, seed=1)
        bonus.add(obs * scale, action, following * scale)
        bonus.fit()
        obs, action, following = toy.draw(50, seed=2, scale=2.0)
        scores.append(bonus.score(obs * scale, action, following * scale))
    torch.testing.assert_close(*scores)


def test_ranks_survive_units_that_round(toy):
    scores = []
    for scale in (1e-4, 1.0, 1e4):
        bonus = make("vime", toy, estimator="linearized", noise="anchored", updates=200)
        obs, action, following = toy.draw(1000, seed=1)
        bonus.add(obs * scale, action, following * scale)
        bonus.fit()
        obs, action, following = toy.draw(200, seed=2, scale=2.0)
        scores.append(bonus.score(obs * scale, action, following * scale))
    assert spearmanr(scores[0], scores[1]).statistic > 0.9
    assert spearmanr(scores[2], scores[1]).statistic > 0.9


@pytest.mark.parametrize("name", list(BONUSES))
def test_a_bit_that_turns_on_for_the_first_time_is_paid(name, toy):
    """By every bonus, before the fit that would learn it."""

    def draw(count, seed):
        obs, action, following = toy.draw(count, seed=seed)
        obs[:, 3] = following[:, 3] = 0.0
        return obs, action, following

    bonus = make(name, toy, updates=200)
    bonus.add(*draw(1000, seed=1))
    bonus.fit()
    ordinary = draw(50, seed=2)
    event = [part.copy() for part in ordinary]
    event[2][7, 3] = 1.0
    before, after = bonus.score(*ordinary), bonus.score(*event)
    assert after[7] > 2 * before.median()
    assert after[7] > before[7]


@pytest.mark.parametrize("rollout", [30, 100, 250])
def test_steps_are_counted_by_transitions_whatever_the_size_of_a_rollout(rollout, toy, monkeypatch):
    bonus = trained("vime", toy, update_every=40, updates=1)
    taken = []
    fit = bonus.posterior.fit
    monkeypatch.setattr(bonus.posterior, "fit", lambda batches, *rest: fit(taken.extend(kept := list(batches)) or kept, *rest))
    for seed in range(1500 // rollout):
        bonus.add(*toy.draw(rollout, seed=seed))
        bonus.fit()
    assert len(taken) == 1500 // 40


def test_what_is_owed_is_saved(toy):
    bonus = trained("l2", toy, update_every=40)
    bonus.add(*toy.draw(30, seed=2))
    bonus.fit()
    other = make("l2", toy, update_every=40)
    other.load_state_dict(bonus.state_dict())
    assert other.owed == bonus.owed == 30
