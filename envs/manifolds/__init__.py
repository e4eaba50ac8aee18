"""Latent spaces under one contract. A new kind is one new file and one line here."""

from envs.manifolds.base import Manifold
from envs.manifolds.pca import PCA
from envs.manifolds.prior import Prior
from envs.manifolds.vae import VAE

__all__ = ["PCA", "VAE", "Manifold", "Prior"]
