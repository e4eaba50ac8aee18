"""Latent spaces under one contract. A new kind is one new file and one line in `MANIFOLDS`."""

from envs.manifolds.base import Manifold
from envs.manifolds.conv_vae import ConvVAE
from envs.manifolds.distracted import Distracted
from envs.manifolds.edits.manifold import Edits
from envs.manifolds.embedding import Embedding
from envs.manifolds.generators.gan import GAN
from envs.manifolds.generators.generator import Generator
from envs.manifolds.joint import Joint
from envs.manifolds.navigated import Navigated
from envs.manifolds.pair import Pair
from envs.manifolds.pca import PCA
from envs.manifolds.prior import Prior
from envs.manifolds.sentence.vae import SentenceVAE
from envs.manifolds.series_vae import SeriesVAE
from envs.manifolds.table_vae import TableVAE
from envs.manifolds.umap import UMAPMap
from envs.manifolds.vae import VAE

#: Every kind of manifold by its name; the name is the class's `kind`, under which `Manifold.save` records it.
MANIFOLDS: dict[str, type[Manifold]] = {
    "vae": VAE,
    "conv_vae": ConvVAE,
    "gan": GAN,
    "pca": PCA,
    "umap": UMAPMap,
    "joint": Joint,
    "embedding": Embedding,
    "table_vae": TableVAE,
    "series_vae": SeriesVAE,
    "sentences": SentenceVAE,
    "edits": Edits,
    "pair": Pair,
    "generator": Generator,
    "distracted": Distracted,
    "navigated": Navigated,
}
#: Those that `envs.make_world(manifold=name)` fits to the data.
FITS = {name: kind for name, kind in MANIFOLDS.items() if kind.fitted_by_name}

__all__ = [
    "FITS",
    "GAN",
    "MANIFOLDS",
    "PCA",
    "VAE",
    "ConvVAE",
    "Distracted",
    "Edits",
    "Embedding",
    "Generator",
    "Joint",
    "Manifold",
    "Navigated",
    "Pair",
    "Prior",
    "SentenceVAE",
    "SeriesVAE",
    "TableVAE",
    "UMAPMap",
]
