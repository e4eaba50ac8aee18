"""The convolutional VAE of large pictures: levels, padding, edges and shifts."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch

from envs import make_world
from envs.errors import ManifoldError, UnknownNameError
from envs.manifolds import ConvVAE, Manifold
from envs.manifolds.conv_vae import edge_loss, shifted


def squares(shape: tuple[int, ...], count: int = 24) -> torch.Tensor:
    """Bright squares at drawn places (N, *shape)."""
    generator = torch.Generator().manual_seed(0)
    x = torch.zeros(count, *shape)
    for row, (top, left) in zip(x, torch.randint(1, 4, (count, 2), generator=generator).tolist(), strict=True):
        row[..., 4 * top : 4 * top + 6, 4 * left : 4 * left + 6] = 1.0
    return x


@pytest.mark.parametrize("decoder", ["conv", "mlp"])
@pytest.mark.parametrize("shape", [(64, 64), (3, 32, 32), (30, 45)])
def test_large_pictures_are_fitted_saved_and_loaded(tmp_path, shape, decoder):
    x = squares(shape)
    vae = ConvVAE.fit(x, latent_dim=4, hidden=(32,), epochs=2, decoder=decoder, detail=2.0, shift=1)
    z = vae.encode(x)
    assert vae.decode(z).shape == x.shape
    assert len(vae.channels) == math.ceil(math.log2(max(shape[-2:]) / 8))
    vae.save(tmp_path)
    again = Manifold.load(tmp_path)
    assert again.settings == vae.settings
    torch.testing.assert_close(again.decode(z), vae.decode(z))


@pytest.mark.parametrize("shape", [(32, 32), (3, 32, 32)])
def test_detail_restores_edges(shape):
    x = squares(shape, 64)
    how = {"latent_dim": 4, "hidden": (64,), "epochs": 40, "learning_rate": 3e-3, "decoder": "mlp"}
    axes = (-1, *((1, *shape) if len(shape) == 2 else shape))
    plain, sharp = (ConvVAE.fit(x, detail=detail, **how) for detail in (0.0, 10.0))
    lost = [float(edge_loss(vae.decode(vae.encode(x)).reshape(axes), x.reshape(axes))) for vae in (plain, sharp)]
    assert lost[1] < lost[0]


def test_the_loss_of_edges_ignores_brightness_and_counts_every_size():
    real = torch.rand(2, 3, 16, 16, generator=torch.Generator().manual_seed(0))
    assert float(edge_loss(real, real)) == 0
    torch.testing.assert_close(edge_loss(real + 0.25, real), torch.zeros(()))
    wide, fine = torch.zeros(1, 1, 16, 16), torch.zeros(1, 1, 16, 16)
    wide[..., 8:] = 1
    fine[..., ::2] = 1
    zero = torch.zeros_like(wide)
    assert float(edge_loss(wide, zero)) == 16 + 4 * 8 + 16 * 4  # one edge, at each of three sizes
    assert float(edge_loss(fine, zero)) == 16 * 15  # stripes of one pixel are gone at half the size
    assert math.isfinite(float(edge_loss(zero[..., :4, :4], real[:1, :1, :4, :4])))


def test_pictures_are_shifted_row_by_row_and_keep_their_border():
    x = squares((3, 32, 32), 8)
    moved = shifted(x, 2, torch.Generator().manual_seed(1))
    assert moved.shape == x.shape
    assert not moved.equal(x)
    torch.testing.assert_close(moved.flatten(1).sum(1), x.flatten(1).sum(1))  # nothing leaves these pictures
    assert shifted(torch.full((2, 8, 8), 0.3), 3, torch.Generator().manual_seed(0)).eq(0.3).all()


@pytest.mark.parametrize(
    ("settings", "told"), [({"detail": -1.0}, "detail"), ({"shift": -1}, "shift"), ({"channels": (4,)}, "channels")]
)
def test_settings_that_make_no_sense_are_refused(settings, told):
    with pytest.raises(ManifoldError, match=told):
        ConvVAE((8, 8), **settings)


def test_settings_of_the_architecture_are_settings_of_a_fit():
    x = squares((16, 16)).numpy()
    how = {"decoder": "mlp", "channels": [4, 8], "detail": 1.0, "hidden": [16], "epochs": 1}
    world = make_world(
        data=x, classifier=lambda rows: np.eye(2)[(rows[:, 8].mean(1) > 0.2).astype(int)], class_names=["a", "b"],
        manifold="conv_vae", latent_dim=3, fit=how, modality="image", progress=False,
    )  # fmt: skip
    assert world.manifold.settings["decoder"] == "mlp"
    assert world.manifold.settings["detail"] == 1.0
    with pytest.raises(UnknownNameError, match="did you mean 'detail'"):
        make_world(
            data=x, classifier=lambda rows: np.eye(2)[rows.reshape(len(rows), -1).argmax(1) % 2], class_names=["a", "b"],
            manifold="conv_vae", fit={"detial": 1.0}, modality="image", progress=False,
        )  # fmt: skip
