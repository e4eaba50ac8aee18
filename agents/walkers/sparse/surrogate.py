"""A linear surrogate of the classifier: what a change of each column is worth, by answers that are known already."""

from __future__ import annotations

import torch
from torch import Tensor

from envs.core.reference_data import ReferenceData

RIDGE = 1.0  # penalty, in rows
FLOOR = 0.01  # probabilities are kept this far from 0 and 1


class LinearSurrogate:
    """Ridge regression of the log probabilities on encoded rows, fitted to the reference rows. It costs no query.

    A linear fit is rough, but it only orders what is tried next; each find is checked by a query.

    Args:
        reference: gives the rows (N, D) and their predictions (N, K).

    Example:
        >>> from envs import make_world
        >>> LinearSurrogate(make_world(data="iris", progress=False).reference).weights.shape
        torch.Size([4, 3])
    """

    def __init__(self, reference: ReferenceData) -> None:
        x = reference.x.double()
        logits = torch.log(reference.prediction.double().clamp(FLOOR, 1 - FLOOR))
        self.mean = x.mean(0)
        x = x - self.mean
        gram = x.T @ x + RIDGE * torch.eye(x.shape[1], dtype=x.dtype)
        self.weights = torch.linalg.solve(gram, x.T @ (logits - logits.mean(0))).float()  # (D, K)

    def worth(self, change: Tensor, group: Tensor, count: int, source: Tensor, target: Tensor) -> Tensor:
        """Rise (B, E, C) of log p(target) - log p(source) by each group's part of changes.

        Args:
            change: (B, E, D) of encoded rows.
            group: (D,) index of each place's group of columns.
            count: C.
            source: (B,) classes.
            target: (B,) classes.
        """
        slope = (self.weights[:, target] - self.weights[:, source]).T  # (B, D)
        return per_group(change * slope[:, None], group, count)


def per_group(parts: Tensor, group: Tensor, count: int) -> Tensor:
    """Sums (..., count) of parts (..., D) over groups (D,)."""
    return parts.new_zeros(*parts.shape[:-1], count).index_add_(-1, group, parts)
