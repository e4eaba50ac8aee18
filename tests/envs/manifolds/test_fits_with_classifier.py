"""Joint models and embeddings: reproducible fits, and the shipped ones."""

from __future__ import annotations

import pytest
import torch

from envs import make_world
from envs.manifolds import Embedding, Joint
from tests.envs.manifolds.three_classes import LABELS, PICTURES, QUICK


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
