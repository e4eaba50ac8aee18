"""What curiosity about a latent space foretells: components of the frame and the answer, nothing more."""

import numpy as np
import pytest
import torch

import envs
from agents.training.prediction_target import MOST, RESPONSE_WEIGHT, SHARE, SeenOf
from envs.errors import UnknownNameError
from envs.registration import spec_kwargs


@pytest.fixture(scope="module")
def world():
    return envs.make_world(**spec_kwargs("Manifold/DigitsLabelOnly-v0"))


@pytest.fixture(scope="module")
def seen(world):
    return SeenOf(world)


@pytest.fixture
def env(world):
    env = envs.LatentVectorEnv(6, world=world)
    env.reset(seed=0)
    return env


def observations(env):
    return torch.from_numpy(env.reset(seed=0)[0])


def test_components_rebuild_the_frames_as_well_as_they_promise(world, seen, env):
    frames = world.reference.frame.flatten(1)
    parts = (frames - seen.centre) @ seen.axes.T
    left = (frames - seen.centre - parts @ seen.axes).square().sum() / (frames - frames.mean(0)).square().sum()
    assert len(seen.axes) <= MOST
    assert float(left) == pytest.approx(1 - SHARE, abs=0.02)
    np.testing.assert_allclose(seen.axes @ seen.axes.T, np.eye(len(seen.axes)), atol=1e-5)
    shown = seen(observations(env))[:, : len(seen.axes)]
    expected = (env.state.frame.flatten(1) - seen.centre) @ seen.axes.T / (world.step * world.class_distance)
    torch.testing.assert_close(shown, expected, atol=1e-4, rtol=1e-4)


def test_where_labels_alone_are_shown_nothing_but_the_label_goes_in(world, seen, env):
    obs = observations(env)
    predictions = seen(obs)[:, len(seen.axes) :]
    assert set(predictions.unique().tolist()) <= {-RESPONSE_WEIGHT, 0.0}
    assert torch.equal(predictions.argmax(1), env.state.prediction.argmax(1))
    d, classes = world.latent_dim, world.classes
    changed = obs.clone()
    changed[:, d : 2 * d] = 7.0
    changed[:, 2 * d + classes :] = 7.0
    assert torch.equal(seen(changed), seen(obs)), "only the code and the answer are seen"
    assert seen.given == [*range(d), *range(2 * d, 2 * d + classes)]


def test_signs_are_fixed_and_nothing_is_asked(world, seen):
    before = world.classifier.queries
    again = SeenOf(world)
    assert torch.equal(again.axes, seen.axes)
    assert (seen.axes.gather(1, seen.axes.abs().argmax(1, keepdim=True)) > 0).all()
    assert world.classifier.queries == before


def test_a_full_action_changes_the_components_by_about_one(world, seen):
    state = envs.LatentVectorEnv(256, world=world)
    first = torch.from_numpy(state.reset(seed=0)[0])
    actions = torch.nn.functional.normalize(torch.randn(256, world.latent_dim, generator=torch.Generator().manual_seed(0)))
    following = torch.from_numpy(state.step(actions.numpy())[0])
    k = len(seen.axes)
    assert 0.6 < float((seen(following) - seen(first))[:, :k].norm(dim=1).median()) < 1.2


def test_foretold_answers_are_counted():
    present = torch.tensor([[0.0, 1.0, 0.0], [0.0, 1.0, 0.0]])
    following = torch.tensor([[0.0, 1.0, 0.0], [0.0, 0.0, 1.0]])
    judge = SeenOf.__new__(SeenOf)
    judge.parts, judge.before_prediction = ("prediction",), 0
    assert judge.figures(following, following, present) == {"answer_accuracy": 1.0, "answer_persistence": 0.5}


def test_texts_are_seen_by_their_tokens(world):
    counter = SeenOf.__new__(SeenOf)
    counter.tokens = 4
    counts = counter._flat(torch.tensor([[1, 1, 3], [0, 2, 9]]))
    assert counts.tolist() == [[0, 2, 0, 1], [1, 0, 1, 0]]


def test_one_part_may_be_seen_alone(world, seen, env):
    obs = observations(env)
    frame, prediction, code = (SeenOf(world, sees) for sees in ("frame", "prediction", "code"))
    k, d = len(seen.axes), world.latent_dim
    assert torch.equal(torch.cat([frame(obs), prediction(obs)], dim=1), seen(obs))
    assert torch.equal(code(obs), obs[:, :d])
    changes = [(slice(0, k), seen), (slice(0, k), frame), (slice(0, 0), prediction), (slice(0, d), code)]
    assert all(one.as_change == expected for expected, one in changes)
    assert frame.figures(frame(obs), frame(obs), frame(obs)) == {}
    assert prediction.figures(prediction(obs), prediction(obs), prediction(obs)) == {
        "answer_accuracy": 1.0,
        "answer_persistence": 1.0,
    }
    with pytest.raises(UnknownNameError, match="sees"):
        SeenOf(world, "frames")
