"""Manifolds trained with the network: the joint model and the classifier's own embedding."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import nn

from envs import ManifoldError, UnknownNameError, make_world
from envs.classifiers import adapt
from envs.classifiers.networks import fit_classifier, mlp_classifier
from envs.manifolds import VAE, Embedding, Joint, Manifold
from envs.modalities.fitting import fit_units

GENERATOR = torch.Generator().manual_seed(0)
LABELS = torch.arange(150) % 3
CENTRES = torch.rand(3, 4, 5, generator=GENERATOR)
PICTURES = (0.6 * CENTRES[LABELS] + 0.4 * torch.rand(150, 4, 5, generator=GENERATOR)).clamp(0, 1)
# Far from standardised: a network that reads data space must not be asked in these units.
ROWS = 1000 + 50 * (torch.randn(150, 5, generator=GENERATOR) + 3 * nn.functional.one_hot(LABELS, 5))
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


@pytest.fixture(scope="module")
def joint() -> Joint:
    return Joint.fit(PICTURES, LABELS, **QUICK)


@pytest.fixture(scope="module")
def embedding(classifier) -> Embedding:
    return Embedding.fit(PICTURES, classifier, **QUICK)


# --- joint -------------------------------------------------------------------------------------------------------------


def test_the_joint_classifier_reads_the_codes(joint):
    logits = joint.classifier()(PICTURES)
    torch.testing.assert_close(logits, joint.head(joint.encode(PICTURES)))
    assert logits.shape == (150, 3)
    assert float((logits.argmax(1) == LABELS).float().mean()) > 0.9


def test_the_joint_loss_is_the_bound_and_the_weighted_cross_entropy(joint):
    generators = [torch.Generator().manual_seed(3) for _ in range(3)]
    plain = joint.loss(PICTURES, 0.3, generators[0])
    without = joint.labelled_loss(PICTURES, LABELS, 0.3, 0.0, generators[1])
    weighted = joint.labelled_loss(PICTURES, LABELS, 0.3, 10.0, generators[2])
    torch.testing.assert_close(plain, without)
    mean, log_variance = joint.posterior(PICTURES)
    z = mean + (0.5 * log_variance).exp() * torch.randn(mean.shape, generator=torch.Generator().manual_seed(3))
    torch.testing.assert_close(weighted - without, 10 * nn.functional.cross_entropy(joint.head(z), LABELS))


def test_labels_shape_the_codes():
    """With the head codes of a class lie closer together, as a share of the whole spread, than without."""

    def within(codes: torch.Tensor) -> float:
        means = torch.stack([codes[k == LABELS].mean(0) for k in range(3)])
        return float((codes - means[LABELS]).square().sum() / (codes - codes.mean(0)).square().sum())

    quick = {**QUICK, "learning_rate": 2e-3}
    noisy = (0.8 * PICTURES + 0.2 * torch.rand(PICTURES.shape, generator=torch.Generator().manual_seed(1))).clamp(0, 1)
    plain, joint = VAE.fit(noisy, **quick), Joint.fit(noisy, LABELS, weight=30.0, **quick)
    assert within(joint.encode(noisy)) < 0.8 * within(plain.encode(noisy))


@pytest.mark.parametrize(
    ("labels", "settings", "match"),
    [
        (LABELS[:9], {}, "one label a row, got 150 and 9"),
        (LABELS, {"classes": 2}, r"from 0 to 1.*got \[0, 1, 2\]"),
        (LABELS * 0, {}, "two classes at least"),
        (LABELS - 1, {}, r"got \[-1, 0, 1\]"),
        (LABELS, {"latent_dim": 21}, "between 1 and the 20 data dimensions"),
    ],
)
def test_impossible_joint_fits_are_refused(labels, settings, match):
    with pytest.raises(ManifoldError, match=match):
        Joint.fit(PICTURES, labels, **{**QUICK, **settings})


def test_a_joint_world_explains_its_own_head_unless_another_is_given(module):
    own = make_world(
        data=PICTURES.numpy(), truth=LABELS.numpy(), manifold="joint", class_names=["a", "b", "c"], fit={"epochs": 40}
    )
    assert isinstance(own.manifold, Joint)
    torch.testing.assert_close(
        own.classifier.predict_proba(PICTURES), own.manifold.classifier()(PICTURES).softmax(1), atol=1e-5, rtol=1e-5
    )
    other = make_world(data=PICTURES.numpy(), classifier=module, manifold="joint", fit={"epochs": 40})
    assert other.classifier.torch_module is not None
    torch.testing.assert_close(other.classifier.predict_proba(PICTURES), module(PICTURES).softmax(1), atol=1e-5, rtol=1e-5)
    head = other.manifold.classifier()(PICTURES).argmax(1)
    assert float((head == module(PICTURES).argmax(1)).float().mean()) > 0.9, "its head learned the classifier's labels"
    with pytest.raises(ManifoldError, match="pass truth="):
        make_world(data=PICTURES.numpy(), manifold="joint")


def test_a_saved_joint_manifold_brings_its_classifier(joint, tmp_path):
    joint.save(tmp_path)
    world = make_world(data=PICTURES.numpy(), manifold=str(tmp_path), class_names=["a", "b", "c"])
    torch.testing.assert_close(
        world.classifier.predict_proba(PICTURES), joint.classifier()(PICTURES).softmax(1), atol=1e-5, rtol=1e-5
    )


def test_tables_have_joint_models_too():
    world = make_world(data=ROWS.numpy(), truth=LABELS.numpy(), manifold="joint", latent_dim=2, fit={"epochs": 20})
    frames = world.manifold.decode(world.manifold.prior.sample(40, torch.Generator().manual_seed(0)))
    assert float((world.reference.label == LABELS).float().mean()) > 0.8
    assert (frames >= world.reference.x.amin(0)).all()
    assert (frames <= world.reference.x.amax(0)).all()


# --- embedding ---------------------------------------------------------------------------------------------------------


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
        ({"classifier": lambda x: np.full((len(x), 2), 0.5), "class_names": ["a", "b"]}, "no hidden layer to show"),
        ({"label_only": True}, "shows labels alone"),
        ({"latent_dim": 13}, "latent_dim must be between 1 and"),
        ({"fit": {"depth": 3}}, "unknown setting of the embedding fit 'depth'"),
        ({"fit": {"latent_dim": 3}}, "unknown setting of the embedding fit 'latent_dim'"),
    ],
)
def test_impossible_embeddings_are_refused(module, kwargs, match):
    with pytest.raises((ManifoldError, UnknownNameError), match=match):
        make_world(**{"data": PICTURES.numpy(), "classifier": module, "manifold": "embedding", **kwargs})


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
