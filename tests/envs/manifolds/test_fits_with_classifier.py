"""Joint models and embeddings: reproducible fits, and the shipped ones."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from envs import make_world
from envs.classifiers import adapt
from envs.classifiers.networks import fit_classifier, mlp_classifier
from envs.manifolds import Embedding, Joint
from envs.modalities.fitting import fit_units

GENERATOR = torch.Generator().manual_seed(0)
LABELS = torch.arange(150) % 3
CENTRES = torch.rand(3, 4, 5, generator=GENERATOR)
PICTURES = (0.6 * CENTRES[LABELS] + 0.4 * torch.rand(150, 4, 5, generator=GENERATOR)).clamp(0, 1)
QUICK = {"latent_dim": 3, "hidden": (16,), "epochs": 40, "learning_rate": 1e-2}


@pytest.fixture(scope="module")
def module() -> nn.Module:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        network = mlp_classifier((20, 12, 3))
    return fit_classifier(network, PICTURES, LABELS, epochs=20)


@pytest.fixture(scope="module")
def classifier(module):
    return adapt(module, units=fit_units(PICTURES.numpy()), class_names=["a", "b", "c"])


@pytest.mark.parametrize("name", ["joint", "embedding"])
def test_fits_repeat_and_leave_the_global_generator_alone(name, classifier):
    before = torch.get_rng_state()
    fit = (
        (lambda: Joint.fit(PICTURES, LABELS, **QUICK))
        if name == "joint"
        else (lambda: Embedding.fit(PICTURES, classifier, **QUICK))
    )
    a, b = fit().state_dict(), fit().state_dict()
    assert all(a[key].equal(b[key]) for key in a)
    assert before.equal(torch.get_rng_state())


@pytest.mark.parametrize("env_id", ["Manifold/DigitsJoint-v0", "Manifold/DigitsEmbedding-v0"])
def test_the_shipped_manifolds_keep_the_class(env_id):
    from envs import SPECS

    world = make_world(**SPECS[env_id])
    x = world.held_out.x
    frames = world.manifold.decode(world.manifold.encode(x))
    kept = world.classifier.predict_proba(frames).argmax(1) == world.classifier.predict_proba(x).argmax(1)
    assert float(kept.float().mean()) > 0.96
    torch.testing.assert_close(world.manifold.encode(world.reference.x), world.reference.z, atol=1e-4, rtol=1e-4)
