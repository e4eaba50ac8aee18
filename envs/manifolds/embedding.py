"""The explained network's own embedding as the latent space, with a decoder fitted to it."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from envs.errors import ManifoldError
from envs.manifolds.base import NetworkManifold
from envs.manifolds.fitting import descend, reconstruction, untrained
from envs.manifolds.networks.dense import MLP
from envs.manifolds.prior import Prior
from envs.runtime.torch_defaults import in_usual_torch

if TYPE_CHECKING:
    from envs.classifiers.base import Classifier

PROBES = 4  # data whose features identify the network
BATCH = 4096


class Embedding(NetworkManifold):
    """The whitened principal components of the classifier's last hidden layer, with an MLP decoder fitted to them.

    Codes do not hold what the classifier discards: decoded data show the typical datum among those that share an embedding.
    The manifold is white-box. Its encoder is the classifier's own network (`Classifier.features`, which counts no query
    because no prediction leaves). The network is not saved with the manifold; `attach` connects it again.

    Args:
        data_shape: Shape of one datum.
        latent_dim: Number of latent coordinates d.
        modality: ``image`` or ``table``.
        features: Width m of the hidden layer.
        hidden: Widths of the decoder's hidden layers.

    Example:
        >>> from envs.classifiers import adapt
        >>> from envs.modalities.fitting import fit_units
        >>> x = torch.rand(40, 5, generator=torch.Generator().manual_seed(0))
        >>> with torch.random.fork_rng():
        ...     _ = torch.manual_seed(0)
        ...     network = torch.nn.Sequential(torch.nn.Linear(5, 6), torch.nn.Tanh(), torch.nn.Linear(6, 2))
        >>> classifier = adapt(network, units=fit_units(x.numpy()), outputs="logits")
        >>> manifold = Embedding.fit(x, classifier, latent_dim=2, hidden=(8,), modality="table", epochs=2)
        >>> tuple(manifold.encode(x).shape)
        (40, 2)
    """

    kind = "embedding"
    fitted_by_name = True
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
        """JSON-serialisable arguments that build an untrained copy."""
        return {
            "data_shape": list(self.data_shape),
            "latent_dim": self.latent_dim,
            "modality": self.modality,
            "features": len(self.mean),
            "hidden": list(self.hidden),
        }

    def attach(self, classifier: Classifier) -> None:
        """Use this classifier's hidden layer as the encoder.

        Args:
            classifier: The classifier that the manifold was fitted to.

        Raises:
            ManifoldError: If it shows no features, or they differ from those that the decoder was fitted to.
        """
        features = classifier.features(self.probe.view(-1, *self.data_shape))
        if features.shape != self.answer.shape or not torch.allclose(features, self.answer, rtol=1e-3, atol=1e-3):
            raise ManifoldError(
                "this embedding belongs to another classifier: the features of this one differ from those that the decoder "
                "was fitted to; fit a new manifold with manifold='embedding'"
            )
        self._classifier = classifier

    def encode(self, x: Tensor) -> Tensor:
        """Whitened features (B, d), projected into the typical set.

        Raises:
            ManifoldError: If no classifier is attached.
        """
        if self._classifier is None:
            raise ManifoldError(
                "an embedding uses the classifier as its encoder: call attach(classifier) first (make_world does so)"
            )
        return self.prior.project((self._classifier.features(x) - self.mean) @ self.whitening)

    def decode(self, z: Tensor) -> Tensor:
        """Data (B, \\*data_shape) of codes (B, d), clamped to the range of real data."""
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
        """Whiten the classifier's features of the data and fit the decoder, with Adam and a cosine learning rate.

        Args:
            x: Data, (N, \\*data_shape).
            classifier: The classifier to be explained.
            latent_dim: Number of latent coordinates d.
            hidden: Widths of the decoder's hidden layers.
            modality: ``image`` or ``table``.
            epochs: Passes over the data.
            batch_size: Rows per minibatch.
            learning_rate: Learning rate of the first step.
            seed: Seed of weights and minibatches.
            progress: Show a progress bar.

        Returns:
            The manifold, frozen and in eval mode, with the classifier attached.

        Raises:
            ManifoldError: If the classifier shows no features, or they vary in fewer than `latent_dim` directions.
        """
        if len(x) < 2:
            raise ManifoldError(f"an embedding needs at least 2 rows, got {len(x)}")
        features = torch.cat([classifier.features(part) for part in x.split(BATCH)]).clone()
        mean = features.mean(0)
        _, singular, axes = torch.linalg.svd(features - mean, full_matrices=False)
        rank = int((singular > 1e-4 * singular[0].clamp_min(1e-12)).sum())
        if not 1 <= latent_dim <= rank:
            raise ManifoldError(
                f"latent_dim must be between 1 and {rank}, not {latent_dim}: the classifier's {features.shape[1]} features "
                f"vary in {rank} directions over {len(x)} rows"
            )
        generator = torch.Generator().manual_seed(seed)
        found = untrained(lambda: cls(x.shape[1:], latent_dim, modality, features.shape[1], hidden), seed)
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
