"""How near data lie to a class's own: the mean distance to the k nearest starts of the class, and which way they lie."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

NEIGHBOURS = 5
PER_CLASS = 300  # starts a class keeps: more make the distance little finer, and every step dearer


class Near(NamedTuple):
    """Mean distance (B,) to the nearest starts of a class, and the gradient (B, D) of that mean by the data."""

    distance: Tensor
    gradient: Tensor


class ClassNeighbours:
    """The starts of each class, searched in batches.

    Args:
        x: (N, D) data.
        label: (N,) classes in [0, K).
        classes: K.
        k: how many neighbours.
    """

    def __init__(self, x: Tensor, label: Tensor, classes: int, k: int = NEIGHBOURS) -> None:
        rows = [(label == c).nonzero()[:, 0] for c in range(classes)]
        rows = [r[torch.linspace(0, len(r) - 1, PER_CLASS).long()] if len(r) > PER_CLASS else r for r in rows]
        self.bank = x[torch.cat(rows)]
        self.square = self.bank.square().sum(1)
        widest = max(len(r) for r in rows)
        self.columns = torch.zeros(classes, widest, dtype=torch.long)
        self.padding = torch.full((classes, widest), torch.inf)
        place = 0
        for c, r in enumerate(rows):
            self.columns[c, : len(r)] = torch.arange(place, place + len(r))
            self.padding[c, : len(r)] = 0.0
            place += len(r)
        self.k = min(k, widest)

    def __call__(self, x: Tensor, target: Tensor) -> Near:
        """Neighbours of data x (B, D) in the classes `target` (B,); a class without starts lies at distance 0."""
        square = torch.addmm(self.square, x, self.bank.T, alpha=-2).gather(1, self.columns[target]) + self.padding[target]
        nearest, place = square.topk(self.k, dim=1, largest=False)
        known = torch.isfinite(nearest)
        distance = (nearest + x.square().sum(1, keepdim=True)).clamp_min_(1e-4).sqrt_()
        count = known.sum(1, keepdim=True).clamp_min(1)
        weight = torch.where(known, 1 / (distance * count), 0.0)
        points = self.bank[self.columns[target].gather(1, place)]
        gradient = x * weight.sum(1, keepdim=True) - torch.bmm(weight[:, None], points)[:, 0]
        return Near(torch.where(known, distance / count, 0.0).sum(1), gradient)
