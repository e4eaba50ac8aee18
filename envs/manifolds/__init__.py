"""Latent spaces under one contract. A new kind is one new file and one line here."""

from envs.manifolds.base import Manifold
from envs.manifolds.conv_vae import ConvVAE
from envs.manifolds.embedding import Embedding
from envs.manifolds.generators.gan import GAN
from envs.manifolds.generators.generator import Generator
from envs.manifolds.joint import Joint
from envs.manifolds.pair import Pair
from envs.manifolds.pca import PCA
from envs.manifolds.prior import Prior
from envs.manifolds.sentence.vae import SentenceVAE
from envs.manifolds.table_vae import TableVAE
from envs.manifolds.umap import UMAPMap
from envs.manifolds.vae import VAE

__all__ = [
    "GAN",
    "PCA",
    "VAE",
    "ConvVAE",
    "Embedding",
    "Generator",
    "Joint",
    "Manifold",
    "Pair",
    "Prior",
    "SentenceVAE",
    "TableVAE",
    "UMAPMap",
]
