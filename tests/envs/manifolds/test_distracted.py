"""Distractors: data that do not depend on them, noise that does, and nothing lost on the way to a file."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from envs import LatentEnv, ManifoldError, make_world
from envs.manifolds import Distracted, Manifold
from envs.manifolds.distracted import NUMBERS


@pytest.fixture(scope="module")
def noisy():
    return make_world(data="digits", distractors=2, loudness=3.0, task="explore")


def test_distractors_change_nothing_but_the_static(noisy, digits):
    z = noisy.reference.z[:5].clone()
    torch.testing.assert_close(z[:, :8], digits.reference.z[:5])
    assert not z[:, 8:].any()
    assert not noisy.manifold.static(z).any()
    loud = z.clone()
    loud[:, 8:] = torch.linspace(-3, 3, 10).reshape(5, 2)
    torch.testing.assert_close(noisy.manifold.decode(loud), digits.manifold.decode(z[:, :8]))
    torch.testing.assert_close(noisy.manifold.typicality(loud), digits.manifold.typicality(z[:, :8]))
    assert noisy.manifold.static(loud).abs().amax() > 1
    torch.testing.assert_close(noisy.manifold.static(loud), noisy.manifold.static(loud.clone()))


def test_derivatives_vanish_along_the_distractors(noisy):
    z, manifold = noisy.reference.z[:3] + 0.1, noisy.manifold
    jacobian = manifold.jacobian(z)
    assert not jacobian[:, :, 8:].any()
    tangent, cotangent = torch.randn(3, 10), torch.randn(3, jacobian.shape[1])
    torch.testing.assert_close(manifold.jvp(z, tangent), (jacobian @ tangent[:, :, None])[:, :, 0], atol=1e-4, rtol=1e-4)
    torch.testing.assert_close(manifold.vjp(z, cotangent), (cotangent[:, None] @ jacobian)[:, 0], atol=1e-4, rtol=1e-4)
    decoded, pull = manifold.linearized(z.numpy())
    np.testing.assert_allclose(decoded, manifold.decode(z).numpy(), atol=1e-5)
    np.testing.assert_allclose(pull(cotangent[None].numpy())[0], manifold.vjp(z, cotangent).numpy(), atol=1e-4)


def test_the_static_is_as_good_as_independent_of_the_code(noisy):
    """Neighbouring codes, closer than any step: no correlation, the spread of a uniform law, at full loudness."""
    u = torch.rand(4000, 2, generator=torch.Generator().manual_seed(0)) * 0.01 + 1
    z = torch.cat([torch.zeros(4000, 8), u], 1)
    static = noisy.manifold.static(z).numpy()
    assert static.shape == (4000, NUMBERS)
    np.testing.assert_allclose(static.std(0), 3 / np.sqrt(3), rtol=0.05)
    for columns in (u.numpy(), static[:, :1].repeat(2, 1)):
        table = np.corrcoef(columns[:, 0], static[:, 1])
        assert abs(table[0, 1]) < 0.06
    step = noisy.manifold.static(z + 1e-3 * torch.nn.functional.one_hot(torch.tensor(8), 10)).numpy()
    assert abs(np.corrcoef(static[:, 0], step[:, 0])[0, 1]) < 0.06


def test_observations_and_bonuses_hold_the_static_and_coverage_does_not(noisy):
    from agents.training.prediction_target import LatentFeatures

    env = LatentEnv(world=noisy)
    quiet, _ = env.reset(seed=0)
    assert not quiet[-NUMBERS:].any()
    away = np.zeros(10, np.float32)
    away[8] = 1.0
    for _ in range(20):
        loud, *_, info = env.step(away)
    assert env.observation_space.contains(loud)
    assert np.abs(loud[-NUMBERS:]).max() > 0.5
    assert info["cells_covered"] == 1
    features = LatentFeatures(noisy)
    shown = features(torch.from_numpy(np.stack([quiet, loud])))
    torch.testing.assert_close(shown[1, -NUMBERS:], torch.from_numpy(loud[-NUMBERS:]))
    assert features.figures(shown, shown, shown) == {"prediction_accuracy": 1.0, "prediction_persistence": 1.0}


def test_a_saved_one_is_the_same(noisy, tmp_path):
    noisy.manifold.save(tmp_path)
    again = Manifold.load(tmp_path)
    z = noisy.manifold.prior.sample(5, torch.Generator().manual_seed(0))
    assert noisy.manifold.prior.contains(z).all()
    torch.testing.assert_close(again.decode(z), noisy.manifold.decode(z))
    torch.testing.assert_close(again.static(z), noisy.manifold.static(z))
    assert isinstance(again, Distracted)
    assert (again.dimensions, again.loudness) == (2, 3.0)


def test_a_saved_one_brings_in_no_code_by_name():
    with pytest.raises(ManifoldError, match="cannot hold one by name"):
        Distracted("pair", settings={"source": "os:getcwd", "data_shape": [4], "latent_dim": 2})


@pytest.mark.parametrize("wrong", [{"distractors": -1}, {"distractors": 0.5}, {"loudness": -1.0}, {"slip": 1.5}])
def test_impossible_settings_are_named(wrong):
    with pytest.raises(ManifoldError, match=next(iter(wrong))):
        make_world(data="digits", **wrong)


def test_any_manifold_takes_distractors():
    for settings in ({"data": "iris"}, {"data": "digits", "manifold": "digits_umap"}, {"data": "sentences"}):
        world = make_world(**settings, distractors=1)
        env = LatentEnv(world=world)
        observation, _ = env.reset(seed=0)
        assert env.observation_space.contains(observation)
        observation, *_ = env.step(env.action_space.sample())
        assert env.observation_space.contains(observation)
