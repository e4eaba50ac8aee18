"""Sentence models that several tests share."""

from __future__ import annotations

import pytest
import torch

from envs.assets import HERE
from envs.manifolds import Manifold, SentenceVAE

WORDS = [f"w{i}" for i in range(12)]


@pytest.fixture(scope="module")
def shipped() -> SentenceVAE:
    manifold = Manifold.load(HERE / "sentences")
    assert isinstance(manifold, SentenceVAE)
    return manifold


@pytest.fixture(scope="module")
def raw() -> SentenceVAE:
    """Random weights, large enough for every word to have its turn."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(3)
        vae = SentenceVAE(WORDS, 7, latent_dim=4, embedding=5, hidden=6)
        for parameter in vae.parameters():
            parameter.data.mul_(3.0)
    return vae.eval().requires_grad_(False)
