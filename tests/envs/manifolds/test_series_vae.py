"""The VAE of series."""

from __future__ import annotations

import pytest
import torch

from envs.errors import ManifoldError
from envs.manifolds import Manifold, SeriesVAE


@pytest.mark.parametrize("shape", [(1, 24), (2, 13), (3, 5)])
def test_it_takes_any_length_and_its_derivatives_agree(shape):
    size = shape[0] * shape[1]
    vae = SeriesVAE((size,), latent_dim=2, hidden=(8,), shape=shape, channels=(2, 3)).eval().requires_grad_(False)
    z, tangent, cotangent = torch.randn(4, 2), torch.randn(4, 2), torch.randn(4, size)
    assert vae.decode(z).shape == (4, size)
    assert vae.encode(vae.decode(z)).shape == (4, 2)
    jacobian = vae.jacobian(z)
    assert torch.allclose(vae.jvp(z, tangent), (jacobian @ tangent[:, :, None])[:, :, 0], atol=1e-5)
    assert torch.allclose(vae.vjp(z, cotangent), (cotangent[:, None] @ jacobian)[:, 0], atol=1e-5)


def test_it_learns_a_family_of_sines_and_is_kept_on_disk(tmp_path):
    phase = torch.rand(128, generator=torch.Generator().manual_seed(0)) * 3
    x = torch.sin(torch.linspace(0, 6, 32)[None] + phase[:, None])
    vae = SeriesVAE.fit(x, latent_dim=2, hidden=(16,), modality="series", epochs=60, channels=(4, 8))
    assert float((vae.decode(vae.encode(x)) - x).square().mean()) < 0.2 * float(x.var())
    vae.save(tmp_path)
    again = Manifold.load(tmp_path)
    assert torch.equal(again.decode(again.encode(x)), vae.decode(vae.encode(x)))


def test_other_data_are_refused():
    with pytest.raises(ManifoldError, match="needs series, not modality 'image'"):
        SeriesVAE((24,), modality="image")
    with pytest.raises(ManifoldError, match=r"shape \(2, 5\)"):
        SeriesVAE((24,), shape=(2, 5))
