"""The explained network's own embedding as the latent space, with a decoder fitted to it."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from envs.errors import ManifoldError
from envs.manifolds.base import NetworkManifold
from envs.manifolds.fitting import descend, reconstruction
from envs.manifolds.networks.dense import MLP
from envs.manifolds.prior import Prior
from envs.runtime.torch_defaults import in_usual_torch

if TYPE_CHECKING:
    from envs.classifiers.base import Classifier

PROBES = 4  # data by which the right network is known again
BATCH = 4096


class Embedding(NetworkManifold):
    """Codes are the whitened principal components of the network's last hidden layer; the decoder is a network of our own.

    What the classifier has thrown away the codes don't hold, so frames show the typical datum among those that it takes for
    the same. It is a white-box manifold: the way in runs through the classifier's own layers (`Classifier.features`, which
    counts no query, for no answer leaves). They are not saved with it; `attach` gives them back.

    Args:
        data_shape: shape of one datum.
        latent_dim: d.
        modality: ``image`` or ``table``.
        features: m, width of the hidden layer.
        hidden: widths of the decoder's hidden layers.
    """

    kind = "embedding"
    mean: Tensor
    whitening: Tensor
    probe: Tensor
    answer: Tensor
    low: Tensor
    high: Tensor

    def __init__(
        self,
        data_shape: Sequence[int],
        latent_dim: int = 8,
        modality: str = "image",
        features: int = 64,
        hidden: Sequence[int] = (128,),
    ) -> None:
        super().__init__(latent_dim)
        self.data_shape = tuple(data_shape)
        self.modality = modality
        self.hidden = tuple(hidden)
        self.prior = Prior("normal", latent_dim)
        self._classifier: Classifier | None = None
        size = math.prod(self.data_shape)
        self.decoder = MLP((latent_dim, *self.hidden, size), squash=modality == "image")
        self.register_buffer("mean", torch.zeros(features))
        self.register_buffer("whitening", torch.zeros(features, latent_dim))
        self.register_buffer("probe", torch.zeros(PROBES, size))
        self.register_buffer("answer", torch.zeros(PROBES, features))
        self.register_buffer("low", torch.full((size,), -math.inf))
        self.register_buffer("high", torch.full((size,), math.inf))

    @property
    def settings(self) -> dict[str, Any]:
        """See `Manifold.settings`."""
        return {
            "data_shape": list(self.data_shape),
            "latent_dim": self.latent_dim,
            "modality": self.modality,
            "features": len(self.mean),
            "hidden": list(self.hidden),
        }

    def attach(self, classifier: Classifier) -> None:
        """Take the way in from this classifier.

        Raises:
            ManifoldError: it offers no features, or is not the one that the decoder was fitted to.
        """
        features = classifier.features(self.probe.view(-1, *self.data_shape))
        if features.shape != self.answer.shape or not torch.allclose(features, self.answer, rtol=1e-3, atol=1e-3):
            raise ManifoldError(
                "this embedding belongs to another classifier: its last hidden layer answers otherwise than the one that the "
                "decoder was fitted to; fit it anew with manifold='embedding'"
            )
        self._classifier = classifier

    def encode(self, x: Tensor) -> Tensor:
        """Whitened features (B, d), kept inside the typical set.

        Raises:
            ManifoldError: no classifier is attached.
        """
        if self._classifier is None:
            raise ManifoldError(
                "an embedding is the classifier's own: call attach(classifier) first (make_world does it for its classifier)"
            )
        return self.prior.project((self._classifier.features(x) - self.mean) @ self.whitening)

    def decode(self, z: Tensor) -> Tensor:
        """Data (B, \\*data_shape) fitted to codes (B, d), kept in the range of real data."""
        return self.decoder(z).clamp(self.low, self.high).view(len(z), *self.data_shape)

    @classmethod
    @in_usual_torch
    def fit(
        cls,
        x: Tensor,
        classifier: Classifier,
        *,
        latent_dim: int = 8,
        hidden: Sequence[int] = (128,),
        modality: str = "image",
        epochs: int = 150,
        batch_size: int = 32,
        learning_rate: float = 2e-3,
        seed: int = 0,
        progress: bool = False,
    ) -> Embedding:
        """Whiten the features of data (N, \\*data_shape) and fit the decoder to the codes; Adam with cosine decay.

        Raises:
            ManifoldError: the classifier offers no features, or they do not vary in so many directions.
        """
        if len(x) < 2:
            raise ManifoldError(f"an embedding needs at least 2 rows, got {len(x)}")
        features = torch.cat([classifier.features(part) for part in x.split(BATCH)]).clone()
        mean = features.mean(0)
        _, singular, axes = torch.linalg.svd(features - mean, full_matrices=False)
        rank = int((singular > 1e-4 * singular[0].clamp_min(1e-12)).sum())
        if not 1 <= latent_dim <= rank:
            raise ManifoldError(
                f"latent_dim must be between 1 and {rank}, not {latent_dim}: in so many directions do the classifier's "
                f"{features.shape[1]} features vary over {len(x)} rows"
            )
        generator = torch.Generator().manual_seed(seed)
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            found = cls(x.shape[1:], latent_dim, modality, features.shape[1], hidden)
        found.mean.copy_(mean)
        found.whitening.copy_(axes[:latent_dim].T * (math.sqrt(len(x) - 1) / singular[:latent_dim]))
        flat = x.reshape(len(x), -1)
        rows = torch.linspace(0, len(x) - 1, PROBES).long()
        found.probe.copy_(flat[rows])
        found.answer.copy_(features[rows])
        found.low.copy_(flat.amin(0))
        found.high.copy_(flat.amax(0))
        found.attach(classifier)
        codes = torch.cat([found.encode(part) for part in x.split(BATCH)]).clone()
        descend(
            found.decoder, lambda index: reconstruction(found.decoder.logits(codes[index]), flat[index], modality), len(x),
            epochs=epochs, batch_size=batch_size, learning_rate=learning_rate, generator=generator,
            label="fitting the decoder", progress=progress,
        )  # fmt: skip
        found.remember_codes(codes)
        return found.eval().requires_grad_(False)
