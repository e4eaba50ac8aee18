"""Nearest rows: exact, by blocks of matrix products, in memory that does not grow with the number of queries.

docs/results/performance.md compares this with a tree.
"""

from __future__ import annotations

import torch
from torch import Tensor

MAX_GAPS = 10_000_000  # distances held at once: 40 MB
SPARE = 4  # further rows whose distances are computed exactly, against the rounding of the products


def nearest(query: Tensor, rows: Tensor, k: int = 1) -> tuple[Tensor, Tensor]:
    """The k rows that are nearest to each query.

    Args:
        query: (B, D).
        rows: (N, D), at least one.
        k: how many; all rows if there are fewer.

    Returns:
        Euclidean distances (B, k), the smallest first, and indices (B, k). Equal distances are in the order of the rows.

    Example:
        >>> distance, index = nearest(torch.tensor([[0.9]]), torch.tensor([[0.0], [1.0], [3.0]]), k=2)
        >>> index.tolist()
        [[1, 0]]
    """
    k = min(k, len(rows))
    wide = len(query) > 1  # of one query, the distances themselves cost less than centring all rows
    centre = rows.mean(0) if wide else query[0] if len(query) else 0.0
    centred = rows - centre
    squares = torch.einsum("ij,ij->i", centred, centred)
    found = []
    for part in query.split(max(1, MAX_GAPS // len(rows))):
        gaps = torch.addmm(squares[None], part - centre, centred.T, alpha=-2) if wide else squares[None]
        near = gaps.topk(min(k + SPARE, len(rows)), largest=False).indices.sort(1).values
        exact = torch.linalg.vector_norm(rows[near] - part[:, None], dim=2)
        distance, order = exact.sort(dim=1, stable=True)
        found.append((distance[:, :k], near.gather(1, order[:, :k])))
    if not found:
        return query.new_zeros(0, k), torch.zeros(0, k, dtype=torch.int64)
    distances, indices = zip(*found, strict=True)
    return torch.cat(distances), torch.cat(indices)
