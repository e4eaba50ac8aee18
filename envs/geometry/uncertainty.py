"""What a decoder does not know: an ensemble of decoders on one latent space, and the metric that shuns where they disagree.

A single decoder's pullback metric is small where nothing was learned, so its shortest paths cross holes in the data. For a
stochastic decoder with mean mu(z) and standard deviation sigma(z) the expected metric is

    E[G] = J_mu^T J_mu + J_sigma^T J_sigma                        ([1]_, equation 6)

and leaving the data, where sigma grows, costs length. Here mu and sigma are those of an ensemble [2]_.

References
----------
.. [1] Arvanitidis, Hansen, Hauberg, "Latent Space Oddity: on the Curvature of Deep Generative Models", ICLR 2018.
.. [2] Syrota, Moreno-Munoz, Hauberg, "Decoder Ensembling for Learned Latent Geometries", 2024.
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

FLOOR = 1e-6  # variance below which the members count as agreeing: keeps the root smooth


class DecoderEnsemble:
    """Decoders that were fitted to the same codes from different first weights and resampled data.

    Args:
        members: two or more functions from codes (N, d) to flat data (N, D), differentiable.
        weight: how much sigma counts beside mu: 1 is the expected metric; more keeps paths nearer to the data.

    Raises:
        ManifoldError: fewer than two members, or a negative weight.
    """

    def __init__(self, members: Sequence[View], weight: float = 1.0) -> None:
        if len(members) < 2:
            raise ManifoldError(f"an ensemble needs at least 2 decoders to disagree, got {len(members)}")
        if weight < 0:
            raise ManifoldError(f"weight is how much disagreement counts, at least 0, not {weight}")
        self.members = list(members)
        self.weight = weight

    def moments(self, z: Tensor) -> tuple[Tensor, Tensor]:
        """Mean and standard deviation over the members, each (N, D)."""
        outputs = torch.stack([member(z) for member in self.members])
        return outputs.mean(0), (outputs.var(0, correction=1) + FLOOR).sqrt()

    def uncertainty(self, z: Tensor) -> Tensor:
        """Norm of the standard deviation (N,), in the units of data-space distances."""
        return self.moments(z)[1].norm(dim=1)

    def __call__(self, z: Tensor) -> Tensor:
        """The view (N, 2 D): mu and weighted sigma side by side, whose pullback is the expected metric."""
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
        """Fit decoders to the manifold's own codes of data x (N, \\*data_shape).

        Each sees a bootstrap sample and has first weights of its own; squared error, Adam with cosine decay. The latent
        space stays the manifold's. Interrupting leaves nothing behind.
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
    """Metric J^T J + floor I (N, d, d) of any differentiable view at codes (N, d), by forward-mode differentiation."""
    jacobian = torch.func.vmap(torch.func.jacfwd(lambda code: view(code[None])[0]))(z)
    return jacobian.transpose(1, 2) @ jacobian + floor * torch.eye(z.shape[1])


def magnification(metric: Tensor) -> Tensor:
    """sqrt det G (N,) of metrics (N, d, d): how much data-space volume a unit of latent volume holds.

    In more than a few dimensions it underflows; its logarithm is then the figure: half the sum of log eigenvalues.
    """
    return torch.linalg.det(metric.double()).clamp_min(0).sqrt()
