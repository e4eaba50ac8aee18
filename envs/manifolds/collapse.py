"""Collapsed generators: classes of the data that are missing among the samples. A histogram says so; distances seldom do."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from envs.errors import ManifoldError

if TYPE_CHECKING:
    from envs.manifolds.base import Manifold

LOST = 0.1  # a class is lost if it comes up less than this often, as a share of how often it stands in the data
MOST_LOST = 0.25  # share of the data that may lie in lost classes
CLUSTERS = 10


class CollapsedError(ManifoldError):
    """A generator that lost classes; `manifold` is the generator all the same, `shares` (K,) how often it makes each class."""

    manifold: Manifold | None = None

    def __init__(self, message: str, shares: Tensor) -> None:
        super().__init__(message)
        self.shares = shares


def class_shares(labels: Tensor, classes: int) -> Tensor:
    """How often each class comes up, (K,), as shares of all labels (N,)."""
    return torch.bincount(labels, minlength=classes) / len(labels)


def check_modes(real: Tensor, made: Tensor, names: Sequence[str] | None = None) -> Tensor:
    """The class shares (K,) of generated rows, compared with the real ones; labels (N,) and (M,) from one classifier.

    Raises:
        CollapsedError: classes that hold more than a quarter of the data come up less than a tenth as often as they should.
    """
    classes = int(max(real.max(), made.max())) + 1
    wanted, got = class_shares(real, classes), class_shares(made, classes)
    lost = got < LOST * wanted
    if float(wanted[lost].sum()) > MOST_LOST:
        names = names or [str(k) for k in range(classes)]
        told = ", ".join(f"{name}: {100 * a:.1f} % ({100 * b:.1f} %)" for name, a, b in zip(names, got, wanted, strict=True))
        raise CollapsedError(
            f"the GAN collapsed: {int(lost.sum())} of {classes} classes are lost; share of samples (of data): {told}. "
            "Train longer, with loss 'wgan_gp', a lower learning rate or another seed",
            got,
        )
    return got


def nearest_mode(x: Tensor, seed: int = 0) -> Callable[[Tensor], Tensor]:
    """Where no classifier is at hand: tells which of ten clusters of the data x (N, \\*shape) is nearest (k-means)."""
    from sklearn.cluster import MiniBatchKMeans

    flat = x.flatten(1)
    found = MiniBatchKMeans(min(CLUSTERS, len(flat)), random_state=seed, n_init=3, batch_size=1024).fit(flat.numpy())
    centres = torch.as_tensor(found.cluster_centers_, dtype=torch.float32)

    def classify(rows: Tensor) -> Tensor:
        return torch.cdist(rows.flatten(1), centres).argmin(1)

    return classify
