"""Directions of attributes in a latent space, and how well one dot product with them tells who has the attribute.

    plain       a = mean(z | has) - mean(z | has not)
    balanced    the same difference within every cell of the other attributes, averaged over the cells
    synthetic   a = mean(enc(op(x)) - enc(x)), for what an image operation can put there

Attributes are correlated in data; the plain vector then carries the others along. Balancing by replicating the members of
the smaller cells, as [1]_ does, comes to the mean over cells, which is what is computed here. AtDot [1]_ scores an input by
<a, z(x)> and cuts at a threshold chosen on training scores.

References
----------
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
    """Direction (d,) from the codes without an attribute to those with it.

    Args:
        z: (N, d) codes.
        has: (N,) bool.
        others: (N, m) further attributes (bool or small integers) to be balanced; None: the plain vector.
        names: of the m others, for messages.

    Raises:
        ManifoldError: lengths that differ, nobody with or without the attribute, or an empty cell: values of the others
            which nobody with (or without) the attribute has.
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
                    f"empty attribute cell: nobody {who} the attribute has {label}; leave one of these attributes out of "
                    "the balancing, or add such rows"
                )
        vector += z[cell & has].mean(0) - z[cell & ~has].mean(0)
    return vector / len(cells)


def augmentation_vector(manifold: Manifold, x: Tensor, operation: Callable[[Tensor], Tensor]) -> Tensor:
    """Direction (d,) of what `operation` does to data x (N, \\*data_shape): the mean of paired differences of codes.

    Pairing leaves out how much the data themselves differ, so a few hundred rows do.
    """
    with torch.inference_mode():
        return (manifold.encode(operation(x)) - manifold.encode(x)).mean(0)


class AtDot(NamedTuple):
    """A classifier that is one direction and one number: score <a, z>, positive above the threshold.

    Attributes:
        vector: a (d,).
        threshold: a score.
    """

    vector: Tensor
    threshold: float

    @classmethod
    def fit(cls, z: Tensor, has: Tensor, others: Tensor | None = None, names: Sequence[str] | None = None) -> AtDot:
        """The attribute vector of training codes with the threshold of largest training accuracy; see `attribute_vector`."""
        vector = attribute_vector(z, has, others, names)
        return cls(vector, best_threshold(z @ vector, has)[0])

    def score(self, z: Tensor) -> Tensor:
        """<a, z>, (N,)."""
        return z @ self.vector

    def predict(self, z: Tensor) -> Tensor:
        """Who is said to have the attribute, (N,) bool."""
        return self.score(z) > self.threshold

    def accuracy(self, z: Tensor, has: Tensor) -> float:
        """Share of rows told right."""
        return float((self.predict(z) == _members(z, has)).float().mean())

    def auc(self, z: Tensor, has: Tensor) -> float:
        """Area under the ROC curve of the scores: no threshold in it."""
        from sklearn.metrics import roc_auc_score

        return float(roc_auc_score(_members(z, has).numpy(), self.score(z).numpy()))


def best_threshold(scores: Tensor, has: Tensor) -> tuple[float, float]:
    """The cut of scores (N,) with the largest accuracy, and that accuracy: all N + 1 cuts are looked at.

    Cuts lie half way between different scores, or outside of all. Of equally good cuts the middle one in order is taken.
    """
    values, truth = scores.double().numpy(), _members(scores, has).numpy()
    order = np.argsort(values, kind="stable")
    values, truth = values[order], truth[order]
    n = len(values)
    # With the cut before rank i: positives from i on, negatives below it are told right.
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
    """Masks (N,) of every combination of the others' values, and what to call each."""
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
