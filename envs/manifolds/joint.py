"""A variational auto-encoder and a classifier trained together on one latent space."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from envs.errors import ManifoldError
from envs.manifolds.fitting import descend
from envs.manifolds.networks.dense import MLP
from envs.manifolds.vae import VAE
from envs.runtime.torch_defaults import in_usual_torch

HEAD_WIDTH = 64


class Joint(VAE):
    """A VAE whose codes a classifier reads: one encoder serves both, so what the classifier tells apart is what codes hold.

    Loss per item: the VAE's, and `weight` times the cross-entropy of the head on the sampled code (model M1 of Kingma and
    others, "Semi-Supervised Learning with Deep Generative Models", 2014, section 2, trained in one go). As a black box the
    network is x -> head(encode(x)), see `classifier`: what it answers on a decoded picture goes through the encoder again,
    like any picture's answer.

    Args:
        classes: K.
    """

    kind = "joint"

    def __init__(
        self,
        data_shape: Sequence[int],
        latent_dim: int = 8,
        hidden: Sequence[int] = (128,),
        modality: str = "image",
        classes: int = 2,
    ) -> None:
        super().__init__(data_shape, latent_dim, hidden, modality)
        self.head = MLP((latent_dim, HEAD_WIDTH, classes))

    @property
    def settings(self) -> dict[str, Any]:
        """See `Manifold.settings`."""
        return {**super().settings, "classes": self.head.last.out_features}

    def classifier(self) -> nn.Module:
        """The network trained with the codes, as a module from data (B, \\*data_shape) to logits (B, K)."""
        return HeadOfCodes(self)

    def labelled_loss(self, x: Tensor, y: Tensor, beta: float, weight: float, generator: torch.Generator) -> Tensor:
        """`VAE.loss` plus `weight` times the cross-entropy (nats) of the head on sampled codes; scalar."""
        mean, log_variance = self.posterior(x)
        z = mean + (0.5 * log_variance).exp() * torch.randn(mean.shape, generator=generator)
        bound = self.bound(self.decoder.logits(z), x, mean, log_variance, beta)
        return bound + weight * F.cross_entropy(self.head(z), y)

    @classmethod
    @in_usual_torch
    def fit(  # type: ignore[override]  # labels are needed
        cls,
        x: Tensor,
        y: Tensor,
        *,
        classes: int | None = None,
        latent_dim: int = 8,
        hidden: Sequence[int] = (128,),
        modality: str = "image",
        beta: float = 0.3,
        weight: float = 10.0,
        epochs: int = 150,
        batch_size: int = 32,
        learning_rate: float = 2e-3,
        seed: int = 0,
        progress: bool = False,
    ) -> Joint:
        """Train on data (N, \\*data_shape) with class indices y (N,); Adam with cosine decay.

        `weight` is how many nats of reconstruction a nat of cross-entropy is worth: near 0 the codes are a plain VAE's, from
        100 on the pictures suffer.

        Raises:
            ManifoldError: fewer than two rows or classes, another number of labels than rows, labels that are no class, or a
                latent dimension beyond the data's.
        """
        size = math.prod(x.shape[1:])
        if len(x) < 2 or len(x) != len(y):
            raise ManifoldError(f"a joint model needs at least 2 rows and one label a row, got {len(x)} and {len(y)}")
        count = classes if classes is not None else int(y.max()) + 1
        if count < 2 or int(y.min()) < 0 or int(y.max()) >= count:
            raise ManifoldError(
                f"labels must be class indices from 0 to {max(count, 2) - 1}, two classes at least; got {y.unique().tolist()}"
            )
        if not 1 <= latent_dim <= size:
            raise ManifoldError(f"latent_dim must be between 1 and the {size} data dimensions, not {latent_dim}")
        generator = torch.Generator().manual_seed(seed)
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            joint = cls(x.shape[1:], latent_dim, hidden, modality, count)
        joint.keep_range(x)
        descend(
            joint, lambda index: joint.labelled_loss(x[index], y[index], beta, weight, generator), len(x), epochs=epochs,
            batch_size=batch_size, learning_rate=learning_rate, generator=generator,
            label="fitting manifold and classifier", progress=progress,
        )  # fmt: skip
        with torch.no_grad():
            joint.remember_codes(joint.encode(x))
        return joint


class HeadOfCodes(nn.Module):
    """x -> head(encode(x)): the classifier half of a `Joint`."""

    def __init__(self, joint: Joint) -> None:
        super().__init__()
        self.joint = joint

    def forward(self, x: Tensor) -> Tensor:
        """Logits (B, K) of data (B, \\*data_shape)."""
        return self.joint.head(self.joint.encode(x))
