"""A variational auto-encoder and a classifier trained together on one latent space."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from envs.errors import ManifoldError
from envs.manifolds.fitting import check_fit, descend, untrained
from envs.manifolds.networks.dense import MLP
from envs.manifolds.vae import VAE
from envs.runtime.torch_defaults import in_usual_torch

HEAD_WIDTH = 64


class Joint(VAE):
    """A VAE with a classification head on its codes: the encoder serves both, so codes separate what the classifier separates.

    The loss is that of the VAE plus `weight` times the cross-entropy of the head on the sampled code (model M1 of Kingma and
    others, "Semi-Supervised Learning with Deep Generative Models", NeurIPS 2014, section 2, trained jointly). The black box to
    be explained is x -> head(encode(x)), see `classifier`; decoded images pass through the encoder again, like any image.

    Args:
        data_shape: Shape of one datum.
        latent_dim: Number of latent coordinates d.
        hidden: Widths of the encoder's hidden layers; the decoder mirrors them.
        modality: ``image`` or ``table``.
        classes: Number of classes K.

    Example:
        >>> x = torch.rand(32, 5, generator=torch.Generator().manual_seed(0))
        >>> joint = Joint.fit(x, (x[:, 0] > 0.5).long(), latent_dim=2, hidden=(8,), modality="table", epochs=2)
        >>> tuple(joint.classifier()(x).shape)
        (32, 2)
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
        """JSON-serialisable arguments that build an untrained copy."""
        return {**super().settings, "classes": self.head.last.out_features}

    def classifier(self) -> nn.Module:
        """The network trained together with the codes: a module from data (B, \\*data_shape) to logits (B, K)."""
        return HeadOfCodes(self)

    def labelled_loss(self, x: Tensor, y: Tensor, beta: float, weight: float, generator: torch.Generator) -> Tensor:
        """`VAE.loss` plus the weighted cross-entropy of the head on sampled codes.

        Args:
            x: Data, (B, \\*data_shape).
            y: Class indices, (B,).
            beta: Weight of the KL term.
            weight: Weight of the cross-entropy.
            generator: Draws the noise of the codes.

        Returns:
            Scalar, in nats per datum.
        """
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
        """Train on labelled data with Adam and a cosine learning rate.

        Args:
            x: Data, (N, \\*data_shape).
            y: Class indices, (N,).
            classes: Number of classes K; default: the largest index plus one.
            latent_dim: Number of latent coordinates d.
            hidden: Widths of the encoder's hidden layers.
            modality: ``image`` or ``table``.
            beta: Weight of the KL term.
            weight: Weight of the cross-entropy. Near 0 the codes are those of a plain VAE; from 100 on, reconstructions
                suffer.
            epochs: Passes over the data.
            batch_size: Rows per minibatch.
            learning_rate: Learning rate of the first step.
            seed: Seed of weights, minibatches and noise.
            progress: Show a progress bar.

        Returns:
            The model, frozen and in eval mode.

        Raises:
            ManifoldError: If there are fewer than two rows or classes, the numbers of rows and labels differ, a label is not a
                class index, or `latent_dim` exceeds the data's dimension.
        """
        if len(x) < 2 or len(x) != len(y):
            raise ManifoldError(f"a joint model needs at least 2 rows and one label a row, got {len(x)} and {len(y)}")
        count = classes if classes is not None else int(y.max()) + 1
        if count < 2 or int(y.min()) < 0 or int(y.max()) >= count:
            raise ManifoldError(
                f"labels must be class indices from 0 to {max(count, 2) - 1}, two classes at least; got {y.unique().tolist()}"
            )
        check_fit("a joint model", x, latent_dim)
        generator = torch.Generator().manual_seed(seed)
        joint = untrained(lambda: cls(x.shape[1:], latent_dim, hidden, modality, count), seed)
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
    """x -> head(encode(x)): the classifier of a `Joint` manifold.

    Args:
        joint: The manifold with the head.

    Example:
        >>> joint = Joint(data_shape=(4,), latent_dim=2, hidden=(8,), modality="table", classes=3)
        >>> tuple(HeadOfCodes(joint)(torch.zeros(2, 4)).shape)
        (2, 3)
    """

    def __init__(self, joint: Joint) -> None:
        super().__init__()
        self.joint = joint

    def forward(self, x: Tensor) -> Tensor:
        """Logits (B, K) of data (B, \\*data_shape)."""
        return self.joint.head(self.joint.encode(x))
