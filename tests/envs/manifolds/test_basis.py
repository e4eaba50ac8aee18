"""Navigation bases: each finds the directions that it is named for."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from envs import ManifoldError, make_world
from envs.manifolds import PCA, VAE, Pair
from envs.manifolds.basis import BASES, Encoded, directions_at, directions_of, share_of_movement

GENERATOR = torch.Generator().manual_seed(0)


class Scaled(nn.Module):
    """A linear decoder, whose coordinates have effects of different size."""

    def __init__(self, *sizes: float):
        super().__init__()
        self.layer = nn.Linear(len(sizes), len(sizes), bias=False)
        self.layer.weight = nn.Parameter(torch.diag(torch.tensor(sizes)))

    def forward(self, z):
        return self.layer(z)


@pytest.fixture(scope="module")
def scaled():
    """Codes vary most along axis 0, the decoder along axis 2, and the classes along axis 1."""
    z = torch.randn(400, 4, generator=GENERATOR) * torch.tensor([60.0, 1.0, 1.0, 0.1])
    label = torch.arange(400) % 2
    z[:, 1] += 60 * label
    pair = Pair.of((nn.Identity(), Scaled(0.1, 1.0, 9.0, 2.0)), z, modality="table")
    return Encoded(pair, z, lambda: label)


@pytest.mark.parametrize(("name", "axis"), [("principal", 0), ("decoder", 2), ("first_layer", 2), ("classes", 1)])
def test_each_basis_begins_with_its_own_direction(scaled, name, axis):
    first = directions_of(name, scaled, 1)[0]
    assert abs(float(first[axis])) > 0.95


@pytest.mark.parametrize("name", BASES)
def test_directions_are_orthonormal_and_the_same_again(scaled, name):
    found = directions_of(name, scaled, 4)
    torch.testing.assert_close(found @ found.T, torch.eye(4), atol=1e-5, rtol=0)
    assert found.equal(directions_of(name, scaled, 4))


def test_directions_at_a_code_are_those_of_its_metric_in_the_order_of_the_others():
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        vae = VAE(data_shape=(12,), latent_dim=6, hidden=(16,), modality="table").eval().requires_grad_(False)
    z = torch.randn(3, 6, generator=GENERATOR)
    aligned = torch.eye(6)[:5]
    found = directions_at(vae, z, aligned)
    metric = vae.metric(z)
    reached = torch.einsum("bkd,bde,bke->b", found, metric, found)
    best = torch.linalg.eigvalsh(metric)[:, 1:].sum(1)
    assert (reached > 0.98 * best).all()
    torch.testing.assert_close(found @ found.transpose(1, 2), torch.eye(5).expand(3, 5, 5), atol=1e-4, rtol=0)
    torch.testing.assert_close(directions_at(vae, z[2:], aligned)[0], found[2], atol=1e-4, rtol=0)  # alone as in a batch
    every = directions_at(vae, z, torch.eye(6))
    torch.testing.assert_close(every, torch.eye(6).expand(3, 6, 6), atol=1e-4, rtol=0)


def test_the_share_of_movement_of_a_linear_decoder_is_that_of_the_variance(scaled):
    decoded = scaled.z.var(0) * torch.tensor([0.1, 1.0, 9.0, 2.0]) ** 2
    for axis in range(4):
        found = share_of_movement(scaled.manifold, scaled.z, torch.eye(4)[axis : axis + 1])
        assert found == pytest.approx(float(decoded[axis] / decoded.sum()), abs=0.08)
    assert share_of_movement(scaled.manifold, scaled.z, torch.eye(4)) == pytest.approx(1)


def test_a_basis_of_too_few_directions_or_another_size_is_refused(scaled):
    with pytest.raises(ManifoldError, match="2 independent directions, fewer than basis_dim=3"):
        directions_of(torch.eye(4)[[0, 1, 1]], scaled, 3)
    with pytest.raises(ManifoldError, match=r"directions \(k, 4\).*\(2, 3\)"):
        directions_of(torch.eye(3)[:2], scaled, 2)
    pca = PCA.fit(scaled.z, latent_dim=3, modality="table")
    with pytest.raises(ManifoldError, match=r"first_layer.*PCA.*basis='decoder'"):
        directions_of("first_layer", Encoded(pca, pca.encode(scaled.z), scaled.labels), 2)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"basis": "principle"}, "principal"),
        ({"basis_dim": 3}, "basis_dim=3.*pass basis="),
        ({"basis": "principal", "basis_dim": 9}, "basis_dim=9.*8 values"),
        ({"basis": "principal", "basis_dim": 0}, "basis_dim"),
        ({"basis": "principal", "distractors": 1}, "distractors=1"),
    ],
)
def test_impossible_settings_are_named(settings, message):
    with pytest.raises(ManifoldError, match=message):
        make_world(data="digits", **settings)


def test_directions_of_ones_own_are_taken_in_every_form():
    rows = torch.eye(8)[[2, 5]]
    listed = make_world(data="digits", basis=rows.tolist())
    live = make_world(data="digits", basis=lambda encoded, k: rows.to(encoded.z), basis_dim=2)
    assert listed.latent_dim == 2
    assert listed.manifold.directions.equal(rows)
    assert live.manifold.directions.equal(rows)
    assert "basis" in live.config.live
    assert make_world(type(listed.config).from_json(listed.config.to_json())).manifold.directions.equal(rows)
