"""Attribute directions in a latent space, and classification by one dot product with them.

    plain       a = mean(z | attribute) - mean(z | no attribute)
    balanced    the same difference within each combination of other attributes, averaged over the combinations
    synthetic   a = mean(enc(op(x)) - enc(x)), for attributes that an image operation creates

Attributes correlate in data, and the plain vector mixes them. Balancing by replicating members of the smaller groups, as in
[1]_, equals the mean over groups that is computed here. AtDot [1]_ scores an input by <a, z(x)> and compares it with a
threshold chosen on training scores.

References:
    .. [1] White, "Sampling Generative Networks", 2016, sections 3 and 4.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import product
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from envs.errors import ManifoldError
from envs.manifolds.base import Manifold


def attribute_vector(z: Tensor, has: Tensor, others: Tensor | None = None, names: Sequence[str] | None = None) -> Tensor:
    """Direction from codes without an attribute to codes with it.

    Args:
        z: Codes, (N, d).
        has: Who has the attribute, (N,) bool.
        others: Further attributes to balance, (N, m) bool or small integers; None gives the plain vector.
        names: Their names, for messages.

    Returns:
        Direction, (d,).

    Raises:
        ManifoldError: If lengths differ, nobody has or lacks the attribute, or a combination of the others occurs only with,
            or only without it.

    Example:
        >>> attribute_vector(torch.tensor([[0.0, 0.0], [1.0, 0.0], [3.0, 0.0]]), torch.tensor([False, False, True]))
        tensor([2.5000, 0.0000])
    """
    has = _members(z, has)
    if others is None:
        return z[has].mean(0) - z[~has].mean(0)
    cells, labels = _cells(others, len(z), names)
    vector = torch.zeros(z.shape[1])
    for label, cell in zip(labels, cells, strict=True):
        for side, who in ((cell & has, "with"), (cell & ~has, "without")):
            if not bool(side.any()):
                raise ManifoldError(
                    f"empty attribute cell: nobody {who} the attribute has {label}; balance fewer attributes, or add such rows"
                )
        vector += z[cell & has].mean(0) - z[cell & ~has].mean(0)
    return vector / len(cells)


def augmentation_vector(manifold: Manifold, x: Tensor, operation: Callable[[Tensor], Tensor]) -> Tensor:
    """Direction of what an operation does to data: the mean difference of paired codes.

    Pairing removes the variation of the data, so a few hundred rows suffice.

    Args:
        manifold: The manifold.
        x: Data, (N, \\*data_shape).
        operation: Maps data to changed data.

    Returns:
        Direction, (d,).
    """
    with torch.inference_mode():
        return (manifold.encode(operation(x)) - manifold.encode(x)).mean(0)


class AtDot(NamedTuple):
    """A linear classifier of an attribute: score <a, z>, positive above the threshold.

    Attributes:
        vector: Direction a, (d,).
        threshold: A score.

    Example:
        >>> z, has = torch.tensor([[0.0], [1.0], [2.0]]), torch.tensor([False, False, True])
        >>> AtDot.fit(z, has).predict(z)
        tensor([False, False,  True])
    """

    vector: Tensor
    threshold: float

    @classmethod
    def fit(cls, z: Tensor, has: Tensor, others: Tensor | None = None, names: Sequence[str] | None = None) -> AtDot:
        """Fit the attribute vector and the threshold with the best training accuracy, see `attribute_vector`."""
        vector = attribute_vector(z, has, others, names)
        return cls(vector, best_threshold(z @ vector, has)[0])

    def score(self, z: Tensor) -> Tensor:
        """Scores <a, z>, (N,)."""
        return z @ self.vector

    def predict(self, z: Tensor) -> Tensor:
        """Predicted attribute, (N,) bool."""
        return self.score(z) > self.threshold

    def accuracy(self, z: Tensor, has: Tensor) -> float:
        """Share of correct predictions."""
        return float((self.predict(z) == _members(z, has)).float().mean())

    def auc(self, z: Tensor, has: Tensor) -> float:
        """Area under the ROC curve of the scores, which needs no threshold."""
        from sklearn.metrics import roc_auc_score

        return float(roc_auc_score(_members(z, has).numpy(), self.score(z).numpy()))


def best_threshold(scores: Tensor, has: Tensor) -> tuple[float, float]:
    """The threshold with the best accuracy, among all N + 1 splits of the scores.

    Thresholds lie halfway between distinct scores, or outside all of them. Of equally good ones the middle one is chosen.

    Args:
        scores: Scores, (N,).
        has: Who has the attribute, (N,) bool.

    Returns:
        The threshold and its accuracy.
    """
    values, truth = scores.double().numpy(), _members(scores, has).numpy()
    order = np.argsort(values, kind="stable")
    values, truth = values[order], truth[order]
    n = len(values)
    # With the cut before rank i, positives from i on and negatives below it are right.
    right = np.concatenate([[0], np.cumsum(~truth)]) + truth.sum() - np.concatenate([[0], np.cumsum(truth)])
    allowed = np.concatenate([[True], values[1:] > values[:-1], [True]])
    best = np.flatnonzero(allowed & (right == right[allowed].max()))
    cut = int(best[len(best) // 2])
    if cut in (0, n):
        margin = max(1e-6, 1e-6 * float(np.abs(values).max()))
        threshold = values[0] - margin if cut == 0 else values[-1] + margin
    else:
        threshold = (values[cut - 1] + values[cut]) / 2
    return float(threshold), float(right[cut] / n)


def _members(z: Tensor, has: Tensor) -> Tensor:
    """`has` as bool (N,), checked against the rows of z."""
    has = torch.as_tensor(has)
    if has.shape != z.shape[:1]:
        raise ManifoldError(f"an attribute is one value a row: {tuple(has.shape)} does not fit {len(z)} rows")
    has = has.bool()
    if bool(has.all()) or not bool(has.any()):
        raise ManifoldError(f"empty attribute cell: {'everybody' if bool(has.any()) else 'nobody'} of {len(z)} rows has it")
    return has


def _cells(others: Tensor, n: int, names: Sequence[str] | None) -> tuple[list[Tensor], list[str]]:
    """Masks (N,) of every combination of the others' values, with their descriptions."""
    others = torch.as_tensor(others)
    others = others[:, None] if others.dim() == 1 else others
    if others.dim() != 2 or len(others) != n:
        raise ManifoldError(f"the attributes to balance are (N, m) for {n} rows, not {tuple(others.shape)}")
    called = list(names) if names is not None else [f"attribute {i}" for i in range(others.shape[1])]
    if len(called) != others.shape[1]:
        raise ManifoldError(f"{len(called)} names for {others.shape[1]} attributes: {called}")
    levels = [column.unique().tolist() for column in others.T]
    masks, labels = [], []
    for combination in product(*levels):
        masks.append((others == torch.tensor(combination, dtype=others.dtype)).all(1))
        labels.append(", ".join(f"{name} = {value}" for name, value in zip(called, combination, strict=True)))
    return masks, labels
