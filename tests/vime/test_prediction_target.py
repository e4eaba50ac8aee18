"""Prediction targets: components of an observation, as changes or values, and measures of a model of them."""

import numpy as np
import pytest
import torch
from gymnasium import spaces

from vime import VIME, StateMismatchError
from vime.pool import Transitions
from vime.prediction_target import PredictionTarget
from vime.spaces import indices_of
from vime.whitening import Whitener

BOX, ACT = spaces.Box(-np.inf, np.inf, (3,), np.float32), spaces.Box(-1, 1, (1,), np.float32)


def transitions(seen, count=64):
    draw = torch.Generator().manual_seed(0)
    obs, step = torch.randn(count, 3, generator=draw), torch.randn(count, 3, generator=draw)
    return Transitions(obs, torch.zeros(count, 1), obs + 0.1 * step, seen.target(obs, obs + 0.1 * step))


def test_changes_and_states_side_by_side():
    seen = PredictionTarget(None, 3, as_change=slice(0, 2))
    now, then = torch.tensor([[1.0, 2.0, 3.0]]), torch.tensor([[1.5, 2.0, 4.0]])
    assert seen.target(now, then).tolist() == [[0.5, 0.0, 4.0]]
    assert PredictionTarget(None, 3).target(now, then).tolist() == [[0.5, 0.0, 1.0]]
    assert PredictionTarget(None, 3, dynamics=False).target(now, then).tolist() == [[1.5, 2.0, 4.0]]
    assert PredictionTarget(None, 3, as_change=slice(0, 0)).target(now, then).tolist() == [[1.5, 2.0, 4.0]]
    with pytest.raises(TypeError, match="as_change"):
        PredictionTarget(None, 3, as_change=2)


def test_persistence_explains_the_next_observation_and_nothing_of_the_change():
    seen, whitener = PredictionTarget(None, 3), Whitener(3, common_scale=True)
    batch = transitions(seen)
    whitener.update(batch.target)
    whitener.freeze()
    nothing = (torch.zeros(64, 3) - whitener.shift) / whitener.scale
    lazy = seen.evaluate(batch, nothing, whitener)
    assert lazy["r2"] <= 0
    assert lazy["r2_next"] == pytest.approx(lazy["r2_persistence"], abs=1e-6)
    assert lazy["r2_persistence"] > 0.98
    perfect = seen.evaluate(batch, whitener(batch.target), whitener)
    assert perfect["r2"] == pytest.approx(1) == pytest.approx(perfect["r2_next"])


def test_r2_is_of_the_changes_alone_and_features_may_judge_themselves():
    class Features:
        def __call__(self, rows):
            return rows

        def figures(self, predicted, following, present):
            return {"error": float((predicted - following)[:, 2].abs().max()), "moved": float((following - present).norm())}

    seen, whitener = PredictionTarget(Features(), 3, as_change=slice(0, 2)), Whitener(3)
    batch = transitions(seen)
    whitener.update(batch.target)
    whitener.freeze()
    predicted = whitener(batch.target)
    predicted[:, 2] += 5.0
    figures = seen.evaluate(batch, predicted, whitener)
    assert figures["r2"] == pytest.approx(1)
    assert figures["error"] == pytest.approx(5 * float(whitener.scale[2]), rel=1e-4)
    assert figures["moved"] == pytest.approx(float((batch.next_obs - batch.obs).norm()))


def test_one_scale_for_all_keeps_sizes_against_each_other():
    rows = torch.randn(500, 3, generator=torch.Generator().manual_seed(0)) * torch.tensor([10.0, 0.1, 0.0])
    whitener = Whitener(3, common_scale=True)
    whitener.update(rows)
    whitener.freeze()
    deviation = whitener(rows).std(0, correction=0)
    assert float(deviation[0] / deviation[1]) == pytest.approx(float(rows.std(0)[0] / rows.std(0)[1]), rel=1e-4)
    assert float(deviation[:2].square().mean()) == pytest.approx(1, rel=1e-4)
    assert whitener.varies.tolist() == [True, True, False]
    with pytest.raises(StateMismatchError, match="common_scale"):
        Whitener(3).load_state_dict(whitener.state_dict())


def test_indices_of_an_observation():
    assert indices_of(None, 3).tolist() == [0, 1, 2]
    assert indices_of(slice(1, None), 3).tolist() == [1, 2]
    assert indices_of([2, 0], 3).tolist() == [2, 0]
    for bad, said in (([3], "does not have"), ([-1], "does not have"), (slice(5, 6), "nothing"), ([], "nothing")):
        with pytest.raises(ValueError, match=said):
            indices_of(bad, 3)


def bonus_with(**options):
    made = VIME(BOX, ACT, min_pool=32, updates=2, **options)
    draw = np.random.default_rng(0)
    obs, act = draw.normal(size=(64, 3)), draw.uniform(-1, 1, size=(64, 1))
    made.add(obs, act, 1.1 * obs)
    return made, obs, act


def test_a_model_is_given_only_what_it_was_told_to_look_at():
    bonus, obs, act = bonus_with(given=[0])
    bonus.fit()
    elsewhere = obs.copy()
    elsewhere[:, 1:] += 1.0
    assert torch.equal(bonus.expected_information_gain(obs, act), bonus.expected_information_gain(elsewhere, act))
    elsewhere[:, 0] += 1.0
    assert not torch.equal(bonus.expected_information_gain(obs, act), bonus.expected_information_gain(elsewhere, act))


def test_the_first_fit_has_updates_of_its_own(monkeypatch):
    bonus, _, _ = bonus_with(first_updates=7)
    asked = []
    monkeypatch.setattr(bonus, "_fit", lambda updates: asked.append(updates) or {})
    bonus.fit()
    bonus.fit()
    bonus.fit(3)
    assert asked == [7, 2, 3]


def test_gathered_minibatches_are_rows_of_the_pool():
    bonus, _, _ = bonus_with(batch_size=16)
    bonus.input_whitener.freeze()
    bonus.target_whitener.freeze()
    with bonus.random.as_global():
        drawn = list(bonus.batches(70))
    assert len(drawn) == 70
    assert {tuple(x.shape) for x, _ in drawn} == {(16, 4)}
    whole = {tuple(row) for row in bonus.whitened(bonus.pool.all())[0].tolist()}
    assert all(tuple(row) in whole for x, _ in drawn for row in x.tolist())


def test_states_of_other_features_are_refused():
    saved = bonus_with(given=[0, 1], as_change=slice(0, 2))[0].state_dict()
    for option, options in (
        ("given", {"given": [0, 2], "as_change": slice(0, 2)}),
        ("as_change", {"given": [0, 1], "as_change": slice(1, 3)}),
    ):
        with pytest.raises(StateMismatchError, match=option):
            bonus_with(**options)[0].load_state_dict(saved)
