"""The classifier's own embedding as a manifold, and the features that it is made of."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import nn

from envs import ManifoldError, UnknownNameError, make_world
from envs.classifiers import adapt
from envs.classifiers.networks import mlp_classifier
from envs.manifolds import Embedding, Manifold
from envs.modalities.fitting import fit_units
from tests.envs.manifolds.three_classes import PICTURES, QUICK


@pytest.fixture(scope="module")
def embedding(classifier) -> Embedding:
    return Embedding.fit(PICTURES, classifier, **QUICK)


def test_features_go_into_the_last_linear_layer(classifier, module):
    asked = classifier.queries
    features = classifier.features(PICTURES)
    torch.testing.assert_close(features, module[:-1](PICTURES))
    torch.testing.assert_close(module[-1](features), module(PICTURES))
    assert classifier.queries == asked, "no answer leaves, no query is counted"
    assert not any(part._forward_pre_hooks for part in module.modules()), "no hook is left behind"


def test_a_modules_own_features_win():
    class Own(nn.Module):
        def __init__(self):
            super().__init__()
            self.last = nn.Linear(20, 3)

        def features(self, x):
            return 2 * x.flatten(1)

        def forward(self, x):
            return self.last(x.flatten(1))

    classifier = adapt(Own(), units=fit_units(PICTURES.numpy()))
    torch.testing.assert_close(classifier.features(PICTURES), 2 * PICTURES.flatten(1))


def test_codes_are_the_whitened_components_of_the_features(embedding, classifier):
    features = classifier.features(PICTURES)
    codes = (features - embedding.mean) @ embedding.whitening
    torch.testing.assert_close(codes.mean(0), torch.zeros(3), atol=1e-4, rtol=0)
    torch.testing.assert_close(torch.cov(codes.T), torch.eye(3), atol=1e-3, rtol=1e-3)
    torch.testing.assert_close(embedding.encode(PICTURES), embedding.prior.project(codes))
    variance = torch.linalg.eigvalsh(torch.cov(features.T)).flip(0)[:3].sum()
    axes = torch.linalg.qr(embedding.whitening)[0]
    torch.testing.assert_close(torch.cov((features @ axes).T).trace(), variance, atol=1e-4, rtol=1e-3)


def test_embedding_jacobians_are_those_of_automatic_differentiation(embedding):
    z = torch.randn(5, 3, generator=torch.Generator().manual_seed(0))
    embedding_low, embedding_high = embedding.low.clone(), embedding.high.clone()
    embedding.low.fill_(-9), embedding.high.fill_(9)
    try:
        torch.testing.assert_close(embedding.jacobian(z), Manifold.jacobian(embedding, z), atol=1e-5, rtol=1e-4)
    finally:
        embedding.low.copy_(embedding_low), embedding.high.copy_(embedding_high)


def test_an_embedding_is_saved_without_its_classifier_and_knows_it_again(embedding, classifier, module, tmp_path):
    embedding.save(tmp_path)
    loaded = Manifold.load(tmp_path)
    with pytest.raises(ManifoldError, match="attach"):
        loaded.encode(PICTURES)
    z = torch.zeros(2, 3)
    assert loaded.decode(z).equal(embedding.decode(z))
    loaded.attach(classifier)
    assert loaded.encode(PICTURES).equal(embedding.encode(PICTURES))
    world = make_world(data=PICTURES.numpy(), classifier=module, manifold=str(tmp_path))
    assert world.reference.z.equal(embedding.encode(PICTURES))
    other = mlp_classifier((20, 12, 3))
    with pytest.raises(ManifoldError, match="belongs to another classifier"):
        make_world(data=PICTURES.numpy(), classifier=other, manifold=str(tmp_path))
    with pytest.raises(ManifoldError, match="belongs to another classifier"):
        make_world(data=PICTURES.numpy(), classifier=mlp_classifier((20, 13, 3)), manifold=str(tmp_path))


@pytest.mark.parametrize(
    ("kwargs", "match"),
    [
        ({"classifier": lambda x: np.full((len(x), 2), 0.5), "class_names": ["a", "b"]}, "shows no hidden layer"),
        ({"label_only": True}, "is label-only"),
        ({"latent_dim": 13}, "latent_dim must be between 1 and"),
        ({"fit": {"depth": 3}}, "unknown setting of the embedding fit 'depth'"),
        ({"fit": {"latent_dim": 3}}, "unknown setting of the embedding fit 'latent_dim'"),
    ],
)
def test_impossible_embeddings_are_refused(module, kwargs, match):
    with pytest.raises((ManifoldError, UnknownNameError), match=match):
        make_world(**{"data": PICTURES.numpy(), "classifier": module, "manifold": "embedding", **kwargs})
