"""Principal component analysis: the linear baseline of a latent space."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from envs.errors import ManifoldError
from envs.manifolds.base import Manifold
from envs.manifolds.prior import Prior
from envs.runtime.torch_defaults import in_usual_torch


class PCA(Manifold):
    """Whitened principal components. Decoded data are clamped to the observed range, so images stay in [0, 1].

    The largest entry of each axis is positive, so the fitted axes do not depend on the linear algebra library.

    Args:
        data_shape: Shape of one datum.
        latent_dim: Number of components d.
        modality: ``image`` or ``table``.

    Example:
        >>> x = torch.tensor([[-1.0, -1.0], [1.0, 1.0], [0.0, 0.0]])
        >>> pca = PCA.fit(x, latent_dim=1, modality="table")
        >>> pca.decode(pca.encode(x[:2])).round()
        tensor([[-1., -1.],
                [ 1.,  1.]])
    """

    kind = "pca"
    fitted_by_name = True
    mean: Tensor
    basis: Tensor
    low: Tensor
    high: Tensor

    def __init__(self, data_shape: Sequence[int], latent_dim: int = 8, modality: str = "image") -> None:
        super().__init__(latent_dim)
        self.data_shape = tuple(data_shape)
        self.modality = modality
        self.prior = Prior("normal", latent_dim)
        size = math.prod(self.data_shape)
        self.register_buffer("mean", torch.zeros(size))
        self.register_buffer("basis", torch.zeros(size, latent_dim))  # columns scaled to one standard deviation
        self.register_buffer("low", torch.zeros(size))
        self.register_buffer("high", torch.ones(size))

    @property
    def settings(self) -> dict[str, Any]:
        """JSON-serialisable arguments that build an untrained copy."""
        return {"data_shape": list(self.data_shape), "latent_dim": self.latent_dim, "modality": self.modality}

    def encode(self, x: Tensor) -> Tensor:
        """Whitened scores (B, d), projected into the typical set."""
        scale = self.basis.square().sum(0).clamp_min(1e-12)
        return self.prior.project((x.reshape(len(x), -1) - self.mean) @ (self.basis / scale))

    def decode(self, z: Tensor) -> Tensor:
        """Linear reconstructions (B, \\*data_shape), clamped to the range of the data."""
        x = torch.addmm(self.mean, z, self.basis.T).clamp(self.low, self.high)
        return x.view(len(z), *self.data_shape)

    def jacobian(self, z: Tensor) -> Tensor:
        """The basis, (B, D, d); the clamp is left out."""
        return self.basis.expand(len(z), -1, -1)

    @classmethod
    @in_usual_torch
    def fit(cls, x: Tensor, *, latent_dim: int = 8, modality: str = "image", **_: Any) -> PCA:
        """Compute the components of data.

        Args:
            x: Data, (N, \\*data_shape).
            latent_dim: Number of components d.
            modality: ``image`` or ``table``.

        Raises:
            ManifoldError: If there are fewer than two rows, or more components than rows or columns.
        """
        flat = x.reshape(len(x), -1)
        if len(x) < 2:
            raise ManifoldError(f"principal components need at least 2 rows, got {len(x)}")
        if not 1 <= latent_dim <= min(flat.shape):
            raise ManifoldError(
                f"latent_dim must be between 1 and {min(flat.shape)} for data {tuple(x.shape)}, not {latent_dim}"
            )
        pca = cls(x.shape[1:], latent_dim, modality)
        pca.mean.copy_(flat.mean(0))
        _, singular, components = torch.linalg.svd(flat - pca.mean, full_matrices=False)
        # The decomposition leaves the sign of each axis open: the largest entry of each axis is made positive.
        largest = components.gather(1, components.abs().argmax(1, keepdim=True))
        components = components * torch.where(largest < 0, -1.0, 1.0)
        pca.basis.copy_(components[:latent_dim].T * (singular[:latent_dim] / math.sqrt(len(x) - 1)).clamp_min(1e-6))
        pca.low.copy_(flat.amin(0))
        pca.high.copy_(flat.amax(0))
        pca.remember_codes(pca.encode(x))
        return pca.eval()
