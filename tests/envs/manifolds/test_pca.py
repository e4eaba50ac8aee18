"""Principal components: the axes and their signs."""

from __future__ import annotations

import torch

from envs.manifolds import PCA

X = torch.randn(60, 5, generator=torch.Generator().manual_seed(0)) * torch.tensor([5.0, 4.0, 3.0, 2.0, 1.0])


def test_codes_are_whitened_scores():
    pca = PCA.fit(X, latent_dim=3, modality="table")
    scores = (X - X.mean(0)) @ (pca.basis / pca.basis.square().sum(0))
    torch.testing.assert_close(scores.T.cov(), torch.eye(3), atol=1e-4, rtol=1e-4)


def test_the_largest_entry_of_each_axis_is_positive_whatever_the_decomposition_gives():
    for x in (X, -X, X.flip(0)):
        basis = PCA.fit(x, latent_dim=5, modality="table").basis
        assert (basis.gather(0, basis.abs().argmax(0, keepdim=True)) > 0).all()
        torch.testing.assert_close(basis, PCA.fit(X, latent_dim=5, modality="table").basis, atol=1e-4, rtol=1e-4)
