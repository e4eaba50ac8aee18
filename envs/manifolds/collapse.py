"""Detection of mode collapse: classes of the data that are missing among generated samples."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
from torch import Tensor

from envs.errors import ManifoldError
from envs.manifolds.base import Manifold

LOST = 0.1  # a class is lost below this share of its frequency in the data
MOST_LOST = 0.25  # share of the data that lost classes may hold
CLUSTERS = 10


class CollapsedError(ManifoldError):
    """A generator lost classes of the data.

    Args:
        message: What is missing, and what to change.
        shares: Frequency of each class among the samples, (K,).

    Attributes:
        manifold: The generator nevertheless.
        shares: See above.

    Example:
        >>> try:
        ...     _ = check_modes(real=torch.tensor([0, 0, 1, 1]), made=torch.tensor([0, 0, 0, 0]))
        ... except CollapsedError as error:
        ...     print(error.shares)
        tensor([1., 0.])
    """

    manifold: Manifold | None = None

    def __init__(self, message: str, shares: Tensor) -> None:
        super().__init__(message)
        self.shares = shares


def class_shares(labels: Tensor, classes: int) -> Tensor:
    """Frequency (K,) of each class among labels (N,)."""
    return torch.bincount(labels, minlength=classes) / len(labels)


def check_modes(real: Tensor, made: Tensor, names: Sequence[str] | None = None) -> Tensor:
    """Compare the class frequencies of generated rows with those of real rows.

    Args:
        real: Labels of real rows, (N,).
        made: Labels of generated rows by the same classifier, (M,).
        names: Class names, for the message.

    Returns:
        Class frequencies (K,) of the generated rows.

    Raises:
        CollapsedError: If classes that hold more than a quarter of the data occur less than a tenth as often as they should.
    """
    classes = int(max(real.max(), made.max())) + 1
    wanted, got = class_shares(real, classes), class_shares(made, classes)
    lost = got < LOST * wanted
    if float(wanted[lost].sum()) > MOST_LOST:
        names = names or [str(k) for k in range(classes)]
        listed = ", ".join(f"{name}: {100 * a:.1f} % ({100 * b:.1f} %)" for name, a, b in zip(names, got, wanted, strict=True))
        raise CollapsedError(
            f"the GAN collapsed: {int(lost.sum())} of {classes} classes are lost; share of samples (of data): {listed}. "
            "Train longer, with loss 'wgan_gp', a lower learning rate or another seed",
            got,
        )
    return got


def nearest_mode(x: Tensor, seed: int = 0) -> Callable[[Tensor], Tensor]:
    """Labels for data without a classifier: the index of the nearest of ten k-means clusters.

    Args:
        x: Data, (N, \\*data_shape).
        seed: Seed of the clustering.

    Returns:
        A function from data (B, \\*data_shape) to cluster indices (B,).
    """
    from sklearn.cluster import MiniBatchKMeans

    flat = x.flatten(1)
    found = MiniBatchKMeans(min(CLUSTERS, len(flat)), random_state=seed, n_init=3, batch_size=1024).fit(flat.numpy())
    centres = torch.as_tensor(found.cluster_centers_, dtype=torch.float32)

    def classify(rows: Tensor) -> Tensor:
        return torch.cdist(rows.flatten(1), centres).argmin(1)

    return classify
