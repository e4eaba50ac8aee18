"""Uncertainty of a decoder: an ensemble of decoders on one latent space, and the metric that avoids regions of disagreement.

The pullback metric of a single decoder is small where nothing was learned, so its shortest paths cross holes in the data. For
a stochastic decoder with mean mu(z) and standard deviation sigma(z) the expected metric is

    E[G] = J_mu^T J_mu + J_sigma^T J_sigma                        ([1]_, equation 6)

Leaving the data, where sigma grows, then adds length. Here mu and sigma are those of an ensemble [2]_.

References:
    .. [1] Arvanitidis, Hansen and Hauberg, "Latent Space Oddity: on the Curvature of Deep Generative Models", ICLR 2018.
    .. [2] Syrota, Moreno-Munoz and Hauberg, "Decoder Ensembling for Learned Latent Geometries", 2024.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor

from envs.errors import ManifoldError
from envs.geometry.curves import View
from envs.manifolds.base import Manifold
from envs.manifolds.fitting import descend, untrained
from envs.manifolds.networks.dense import MLP
from envs.runtime.progress import progress_bar

FLOOR = 1e-6  # added variance that keeps the square root smooth


class DecoderEnsemble:
    """Decoders fitted to the same codes from different initial weights and resampled data. Calling it gives a view.

    Args:
        members: Two or more differentiable functions from codes (N, d) to flat data (N, D).
        weight: Weight of sigma relative to mu. 1 is the expected metric; larger values keep paths nearer to the data.

    Raises:
        ManifoldError: If there are fewer than two members, or the weight is negative.

    Example:
        >>> ensemble = DecoderEnsemble([lambda z: z, lambda z: 3 * z])
        >>> ensemble.moments(torch.tensor([[1.0]]))[0]
        tensor([[2.]])
    """

    def __init__(self, members: Sequence[View], weight: float = 1.0) -> None:
        if len(members) < 2:
            raise ManifoldError(f"an ensemble needs at least 2 decoders, got {len(members)}")
        if weight < 0:
            raise ManifoldError(f"the weight of the disagreement must be at least 0, not {weight}")
        self.members = list(members)
        self.weight = weight

    def moments(self, z: Tensor) -> tuple[Tensor, Tensor]:
        """Mean and standard deviation over the members, each (N, D), at codes (N, d)."""
        outputs = torch.stack([member(z) for member in self.members])
        return outputs.mean(0), (outputs.var(0, correction=1) + FLOOR).sqrt()

    def uncertainty(self, z: Tensor) -> Tensor:
        """Norm of the standard deviation (N,), in units of data-space distances."""
        return self.moments(z)[1].norm(dim=1)

    def __call__(self, z: Tensor) -> Tensor:
        """The view (N, 2 D): mu and weighted sigma, concatenated. Its pullback is the expected metric."""
        mean, spread = self.moments(z)
        return torch.cat([mean, math.sqrt(self.weight) * spread], dim=1)

    def metric(self, z: Tensor) -> Tensor:
        """J_mu^T J_mu + weight J_sigma^T J_sigma, (N, d, d)."""
        return pullback_metric(self, z)

    @classmethod
    def fit(
        cls, manifold: Manifold, x: Tensor, *, members: int = 4, epochs: int = 60, hidden: int = 128,
        weight: float = 1.0, seed: int = 0, progress: bool = False,
    ) -> DecoderEnsemble:  # fmt: skip
        """Fit decoders to a manifold's codes of data.

        Each member sees a bootstrap sample and has its own initial weights. The loss is the squared error; Adam with a cosine
        learning rate. The latent space stays that of the manifold.

        Args:
            manifold: The manifold.
            x: Data, (N, \\*data_shape).
            members: Number of decoders.
            epochs: Passes over the data.
            hidden: Width of the hidden layer.
            weight: See the class.
            seed: Seed of weights, bootstrap samples and minibatches.
            progress: Show a progress bar.
        """
        size = math.prod(manifold.data_shape)
        with torch.inference_mode():
            codes = manifold.encode(x)
        codes, flat = codes.clone(), x.flatten(1).clone()
        squash = manifold.modality == "image"
        generator = torch.Generator().manual_seed(seed)
        fitted: list[View] = []
        for member in progress_bar(range(members), "fitting decoders", progress):
            network = untrained(lambda: MLP((codes.shape[1], hidden, size), squash=squash), 1000 * seed + member)
            rows = torch.randint(len(codes), (len(codes),), generator=generator)
            _regress(network, codes[rows], flat[rows], epochs, generator)
            fitted.append(network)
        return cls(fitted, weight)


def _regress(network: MLP, z: Tensor, x: Tensor, epochs: int, generator: torch.Generator) -> None:
    """Fit x (N, D) to z (N, d) by squared error."""
    descend(
        network, lambda index: (network(z[index]) - x[index]).square().sum(1).mean(), len(z), epochs=epochs, batch_size=64,
        learning_rate=4e-3, generator=generator,
    )  # fmt: skip


def pullback_metric(view: View, z: Tensor, floor: float = 0.0) -> Tensor:
    """Pullback metric J^T J + floor I (N, d, d) of a differentiable view at codes (N, d), by forward-mode differentiation."""
    jacobian = torch.func.vmap(torch.func.jacfwd(lambda code: view(code[None])[0]))(z)
    return jacobian.transpose(1, 2) @ jacobian + floor * torch.eye(z.shape[1])


def magnification(metric: Tensor) -> Tensor:
    """Magnification factor sqrt det G (N,) of metrics (N, d, d): data-space volume per unit of latent volume.

    In more than a few dimensions it underflows; use half the sum of the log eigenvalues instead.
    """
    return torch.linalg.det(metric.double()).clamp_min(0).sqrt()
