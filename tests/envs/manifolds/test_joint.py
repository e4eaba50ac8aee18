"""The joint model: one latent space for a VAE and a classifier."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from envs import ManifoldError, make_world
from envs.manifolds import VAE, Joint
from tests.envs.manifolds.three_classes import GENERATOR, LABELS, PICTURES, QUICK

# Far from standardised: a network that reads data space must not be asked in these units.
ROWS = 1000 + 50 * (torch.randn(150, 5, generator=GENERATOR) + 3 * nn.functional.one_hot(LABELS, 5))


@pytest.fixture(scope="module")
def joint() -> Joint:
    return Joint.fit(PICTURES, LABELS, **QUICK)


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
        (LABELS[:9], {}, "one label per row, got 150 and 9"),
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
