"""Encoders and decoders in the forms that people have them in."""

from __future__ import annotations

import sys
import textwrap
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from torch import nn

from agents.explain import explain
from envs import ManifoldError, make_world
from envs.datasets import DATASETS
from envs.manifolds import Manifold, Pair
from tests.benchmarks.harness.autoencoder import AutoencoderKL, fitted_autoencoder

LATENT = (4, 4, 4)


@pytest.fixture(scope="module")
def digits_data():
    data = DATASETS["digits"](seed=0)
    return torch.from_numpy(data.x)[:, None], torch.as_tensor(data.truth)


@pytest.fixture(scope="module")
def trained(digits_data):
    return fitted_autoencoder(digits_data[0])


def test_an_autoencoder_of_the_kind_of_diffusers_is_a_manifold(digits_data):
    x, model = digits_data[0], AutoencoderKL()
    pair = Pair.of(model, x)
    assert pair.latent_dim == 64
    assert pair.latent_shape == LATENT
    z = pair.encode(x[:5])
    torch.testing.assert_close(z, model.encode(2 * x[:5] - 1).latent_dist.mean.flatten(1))
    frames = pair.decode(z)
    assert frames.shape == (5, 1, 8, 8)
    assert 0 <= float(frames.min()) <= float(frames.max()) <= 1
    model.train()  # its owner goes on training
    assert pair.decode(z).equal(frames)


def test_a_trained_one_is_walked_in_a_basis(trained, digits_data):
    x, truth = digits_data
    kept = nn.Sequential(nn.Flatten(), nn.Linear(64, 10))
    with torch.no_grad():  # the nearest class mean
        means = torch.stack([x[truth == c].mean(0).flatten() for c in range(10)])
        kept[1].weight.copy_(20 * means)
        kept[1].bias.copy_(-10 * means.square().sum(1))
    world = make_world(
        data=x.numpy(),
        truth=truth.numpy(),
        classifier=kept,
        input_shape=(1, 8, 8),
        manifold=trained,
        basis="principal",
        basis_dim=24,
    )
    assert world.latent_dim == 24
    assert world.manifold.inner.latent_dim == 64
    assert 0.5 < world.manifold.reach < 1
    error = float((world.reference.frame - world.reference.x).square().mean())
    assert error < 0.02
    paths = explain(world, list(range(30)), walker="line")
    assert sum(path.success for path in paths) > 15
    assert all(path.actions.shape[1] == 24 for path in paths)


@pytest.mark.parametrize("form", ["script", "trace", "export", "functions", "methods"])
def test_other_forms_give_the_codes_data_and_derivatives_of_the_modules(form):
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        encoder, decoder = nn.Linear(6, 3).eval(), nn.Sequential(nn.Linear(3, 8), nn.SiLU(), nn.Linear(8, 6)).eval()
    x = torch.randn(40, 6, generator=torch.Generator().manual_seed(0))
    plain = Pair.of((encoder, decoder), x, modality="table")
    if form == "script":
        given = torch.jit.script(encoder), torch.jit.script(decoder)
    elif form == "trace":
        given = torch.jit.trace(encoder, x), torch.jit.trace(decoder, x[:, :3])
    elif form == "export":
        rows = ({0: torch.export.Dim("rows")},)
        given = (
            torch.export.export(encoder, (x,), dynamic_shapes=rows),
            torch.export.export(decoder, (x[:, :3],), dynamic_shapes=rows),
        )
    elif form == "functions":
        given = (lambda rows: encoder(rows)), (lambda rows: decoder(rows))
    else:
        given = SimpleNamespace(encode=encoder.forward, decode=decoder.forward)
    pair = Pair.of(given, x, modality="table")
    z, tangent, cotangent = plain.encode(x[:4]), torch.ones(4, 3), torch.ones(4, 6)
    torch.testing.assert_close(pair.encode(x[:4]), z)
    torch.testing.assert_close(pair.decode(z), plain.decode(z))
    torch.testing.assert_close(pair.jvp(z, tangent), plain.jvp(z, tangent))
    torch.testing.assert_close(pair.vjp(z, cotangent), plain.vjp(z, cotangent))
    torch.testing.assert_close(pair.metric(z), plain.metric(z))


def test_functions_make_a_world(digits_data):
    x = digits_data[0].flatten(1).numpy()
    axes = torch.linalg.svd(torch.from_numpy(x - x.mean(0)), full_matrices=False).Vh[:6]
    pair = (lambda rows: rows @ axes.T), (lambda z: z @ axes)
    world = make_world(data=x, classifier=lambda rows: np.stack([p := rows.mean(1) > x.mean(), ~p], 1).astype(float),
                       class_names=["more", "less"], manifold=pair)  # fmt: skip
    assert world.latent_dim == 6


def test_a_decoder_without_derivative_is_named():
    pair = Pair.of(
        (lambda x: x[:, :2], lambda z: torch.from_numpy(z.detach().numpy().repeat(3, 1))), torch.rand(9, 6), modality="table"
    )
    with pytest.raises(ManifoldError, match="no derivative by the code: write it in torch"):
        pair.vjp(torch.zeros(1, 2), torch.ones(1, 6))


def test_an_autoencoder_by_name_is_saved_with_its_weights(tmp_path, monkeypatch, digits_data):
    (tmp_path / "my_autoencoder.py").write_text(
        textwrap.dedent("""
        from tests.benchmarks.harness.autoencoder import AutoencoderKL
        """)
    )
    monkeypatch.setattr(sys, "path", [str(tmp_path), *sys.path])
    x = digits_data[0]
    pair = Pair.of("my_autoencoder:AutoencoderKL", x)
    with torch.no_grad():
        pair.encoder.owner.decoder[3].bias += 0.1
    pair.save(tmp_path / "saved")
    again = Manifold.load(tmp_path / "saved")
    torch.testing.assert_close(again.decode(again.encode(x[:3])), pair.decode(pair.encode(x[:3])))
    sys.modules.pop("my_autoencoder", None)
