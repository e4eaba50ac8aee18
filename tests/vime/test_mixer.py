"""Normalising, centring and weighting scores, and that the bonus never pays for staying alive."""

import math

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from vime import BonusMixer, MedianNormalizer, StateMismatchError, linear_eta
from vime.mixer import SUCCESS_HORIZON

scores = st.lists(st.floats(0.001, 1000), min_size=1, max_size=40).map(torch.tensor)


def test_the_normalizer_divides_by_the_mean_of_past_medians_only():
    normalizer = MedianNormalizer(window=2)
    assert normalizer(torch.tensor([1.0, 2.0, 4.0])).tolist() == [0.5, 1.0, 2.0]  # no past: its own median
    for window in ([1.0, 1.0, 1.0], [3.0, 3.0, 9.0], [5.0, 5.0, 5.0]):
        normalizer.update(torch.tensor(window))
    assert normalizer.scale() == 4.0  # (3 + 5) / 2: the first has left
    assert normalizer(torch.tensor([8.0])).item() == 2.0
    normalizer.update(torch.zeros(0))
    assert normalizer.scale() == 4.0


@given(st.floats(1e-3, 1e3))
def test_a_constant_score_normalises_to_one(value):
    normalizer = MedianNormalizer()
    for _ in range(3):
        x = torch.full((7,), value)
        torch.testing.assert_close(normalizer(x), torch.ones(7))
        normalizer.update(x)


def test_a_median_of_zero_does_not_divide_by_zero():
    normalizer = MedianNormalizer()
    assert torch.isfinite(normalizer(torch.zeros(5))).all()
    normalizer.update(torch.tensor([0.0, 0.0, 0.0, 4.0]))
    assert normalizer.scale() == 4.0


@given(scores, st.floats(0.01, 100))
def test_mixed_rewards_do_not_depend_on_the_units_of_the_score(x, factor):
    """lambda or the likelihood's deviation only rescale the closed form; neither may change what is paid."""
    one, other = BonusMixer(0.5), BonusMixer(0.5)
    for _ in range(3):
        a, b = one.rollout(x), other.rollout(x * factor)
        torch.testing.assert_close(a, b, rtol=1e-3, atol=1e-4)


@given(scores)
def test_a_rollouts_bonus_sums_to_zero(x):
    paid = BonusMixer(1.0).rollout(x)
    assert abs(float(paid.sum())) < 1e-4 * len(x)


def test_a_rollout_is_scaled_by_the_past_alone():
    """The original code divides by a mean of medians that the present rollout has entered: its surprise shrinks itself."""
    raw = BonusMixer(1.0, squash=None, centre=False)
    assert raw.rollout(torch.tensor([1.0, 2.0, 3.0])).tolist() == [0.5, 1.0, 1.5]  # no past: its own median
    assert raw.rollout(torch.tensor([4.0, 10.0, 12.0])).tolist() == [2.0, 5.0, 6.0]  # by 2, not by (2 + 10) / 2
    assert raw.rollout(torch.tensor([12.0, 18.0, 30.0])).tolist() == [2.0, 3.0, 5.0]  # by (2 + 10) / 2
    usual = BonusMixer(0.5)
    usual.rollout(torch.tensor([1.0, 2.0, 3.0]))
    shaped = torch.log1p(torch.tensor([[2.0], [5.0], [6.0]]))
    torch.testing.assert_close(usual.rollout(torch.tensor([[4.0], [10.0], [12.0]])), 0.5 * (shaped - shaped.mean()))


def test_a_step_is_scaled_by_closed_windows_alone():
    raw = BonusMixer(1.0, squash=None, centre=False)
    raw.step(torch.tensor([2.0]))
    raw.close_window()
    for _ in range(2):
        assert raw.step(torch.tensor([8.0, 10.0])).tolist() == [4.0, 5.0]  # by 2, however much the window has seen
    raw.close_window()
    assert raw.step(torch.tensor([10.0])).tolist() == [2.0]  # by (2 + 8) / 2: torch's median is the lower of two


def test_uncentred_bonus_pays_for_every_step():
    """The control: what the centring prevents."""
    assert float(BonusMixer(1.0, centre=False).rollout(torch.ones(10)).sum()) > 5


def test_step_by_step_bonus_is_centred_by_the_past_and_waits_for_a_scale():
    mixer, rng = BonusMixer(1.0), np.random.default_rng(0)
    draw = lambda: torch.from_numpy(rng.exponential(3.0, 8).astype(np.float32))  # noqa: E731
    assert torch.equal(mixer.step(draw()), torch.zeros(8))
    mixer.close_window()
    paid = torch.cat([mixer.step(draw()) for _ in range(2000)])
    assert paid.abs().mean() > 0.1
    assert abs(float(paid.mean())) < 0.02
    first = BonusMixer(1.0, normalize=None)
    first.step(torch.tensor([1.0, 1.0]))
    mean = first.running_mean
    assert first.step(torch.tensor([100.0])).item() == pytest.approx(math.log1p(100) - mean)


def test_rollouts_keep_their_shape_and_eta_scales_them():
    x = torch.rand(5, 3)
    assert BonusMixer().rollout(x).shape == (5, 3)
    torch.testing.assert_close(BonusMixer(0.2).rollout(x), 2 * BonusMixer(0.1).rollout(x))
    assert torch.equal(BonusMixer(0.0).rollout(x).abs(), torch.zeros(5, 3))


def test_squash_and_clip():
    raw = {"normalize": None, "centre": False}
    x = torch.tensor([0.0, 1.0, 1e6])
    torch.testing.assert_close(BonusMixer(1.0, **raw).rollout(x), torch.tensor([0.0, math.log(2), 10.0]))
    torch.testing.assert_close(BonusMixer(1.0, squash=None, clip=5.0, **raw).rollout(x), torch.tensor([0.0, 1.0, 5.0]))


def test_eta_schedules():
    schedule = linear_eta(0.4, 0.1)
    mixer = BonusMixer(schedule)
    assert [round(mixer.eta(p), 6) for p in (1.0, 0.5, 0.0)] == [0.4, 0.25, 0.1]
    with pytest.raises(ValueError, match="eta must be"):
        BonusMixer(lambda p: p - 1.0).eta(0.5)


@pytest.mark.parametrize("eta", [-0.1, float("nan"), float("inf"), "0.1", True])
def test_impossible_etas_are_refused(eta):
    with pytest.raises(ValueError, match="eta must be a finite number >= 0"):
        BonusMixer(eta)


@pytest.mark.parametrize("options", [{"normalize": "mean"}, {"squash": "tanh"}, {"clip": 0.0}, {"window": 0}])
def test_impossible_options_are_named(options):
    with pytest.raises(ValueError, match=next(iter(options))):
        BonusMixer(**options)


def test_a_loaded_mixer_goes_on_as_the_saved_one():
    one = BonusMixer(0.3)
    for k in range(4):
        one.step(torch.rand(6))
        if k == 1:
            one.close_window()
    two = BonusMixer(0.3)
    two.load_state_dict(one.state_dict())
    for _ in range(3):
        x = torch.rand(6)
        assert torch.equal(one.step(x), two.step(x))
        one.close_window(), two.close_window()
        assert torch.equal(one.rollout(x), two.rollout(x))
    with pytest.raises(StateMismatchError, match="window=10"):
        BonusMixer(window=3).load_state_dict(one.state_dict())


def test_a_decaying_weight_is_gone_after_its_share_of_the_training():
    mixer = BonusMixer(0.4, decay=0.5)
    assert [mixer.eta(progress) for progress in (1.0, 0.75, 0.5, 0.2, 0.0)] == pytest.approx([0.4, 0.2, 0, 0, 0])
    assert BonusMixer(linear_eta(0.4, 0.2), decay=1.0).eta(0.5) == pytest.approx(0.15), "a schedule decays on top"
    assert float(mixer.rollout(torch.rand(9), 0.4).abs().max()) == 0.0


def test_success_takes_the_bonus_away_and_its_loss_brings_it_back():
    mixer = BonusMixer(1.0, success_decay=0.2)
    mixer.note_successes([])
    assert mixer.eta() == 1.0
    mixer.note_successes([True])
    assert mixer.eta() == pytest.approx(1 - (1 / SUCCESS_HORIZON) / 0.2)
    mixer.note_successes([True] * 40)
    assert mixer.eta() == 0.0
    mixer.note_successes([False] * 300)
    assert 0.9 < mixer.eta() < 1.0
    careless = BonusMixer(1.0)
    careless.note_successes([True] * 40)
    assert careless.eta() == 1.0


def test_the_order_of_episodes_that_end_together_is_all_that_the_rate_depends_on():
    one, other = BonusMixer(1.0, success_decay=1.0), BonusMixer(1.0, success_decay=1.0)
    one.note_successes([True, False, True])
    for success in (True, False, True):
        other.note_successes([success])
    assert one.success_rate == other.success_rate
    restored = BonusMixer(1.0, success_decay=1.0)
    restored.load_state_dict(one.state_dict())
    assert restored.eta() == one.eta() < 1.0


@pytest.mark.parametrize("name", ["decay", "success_decay"])
@pytest.mark.parametrize("value", [0.0, -0.1, 1.5, math.nan, math.inf])
def test_shares_that_are_none_are_refused(name, value):
    with pytest.raises(ValueError, match=f"{name} must be None, or above 0"):
        BonusMixer(0.1, **{name: value})
