"""How near data lie to a class's own: the mean distance to the k nearest starts of the class, and which way they lie."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

NEIGHBOURS = 5
PER_CLASS = 300  # starts a class keeps: more make the distance little finer, and every step dearer
FEW = 4  # up to so many data are searched each by itself: sorting them by class would cost more


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
        widest = max(len(r) for r in rows)
        self.k = min(k, widest)
        self.scarce = min(len(r) for r in rows) < self.k  # some class has fewer starts than are looked for
        self.points = x.new_zeros(classes, widest, x.shape[1])
        self.square = x.new_full((classes, 1, widest), torch.inf)  # where a class has fewer starts, none is ever near
        for c, r in enumerate(rows):
            self.points[c, : len(r)] = x[r]
            self.square[c, 0, : len(r)] = x[r].square().sum(1)

    def __call__(self, x: Tensor, target: Tensor) -> Near:
        """Neighbours of data x (B, D) in the classes `target` (B,); a class without starts lies at distance 0."""
        nearest, place = self._square_gaps(x, target).topk(self.k, dim=1, largest=False)
        distance = (nearest + x.square().sum(1, keepdim=True)).clamp_min_(1e-4).sqrt_()
        points = self.points[target[:, None], place]
        if not self.scarce:
            weight = (1 / self.k) / distance
            gradient = x * weight.sum(1, keepdim=True) - torch.bmm(weight[:, None], points)[:, 0]
            return Near(distance.mean(1), gradient)
        known = torch.isfinite(nearest)
        count = known.sum(1, keepdim=True).clamp_min(1)
        weight = torch.where(known, 1 / (distance * count), 0.0)
        gradient = x * weight.sum(1, keepdim=True) - torch.bmm(weight[:, None], points)[:, 0]
        return Near(torch.where(known, distance / count, 0.0).sum(1), gradient)

    def _square_gaps(self, x: Tensor, target: Tensor) -> Tensor:
        """|y|^2 - 2 <x, y> for every y of the target's class, (B, widest).

        Data are sorted by target and multiplied class by class in one batched product: against all classes at once the work
        would be K times as much.
        """
        if len(x) == 1:  # without a copy of the class
            only = int(target)
            return torch.addmm(self.square[only], x, self.points[only].T, alpha=-2)
        if len(x) <= FEW:
            return torch.baddbmm(self.square[target], x[:, None], self.points[target].transpose(1, 2), alpha=-2)[:, 0]
        present, group, count = np.unique(target.numpy(), return_inverse=True, return_counts=True)
        order = np.argsort(group, kind="stable")
        rank = np.empty_like(order)
        rank[order] = np.arange(len(order)) - np.repeat(np.cumsum(count) - count, count)
        slot = torch.from_numpy(group), torch.from_numpy(rank)
        grouped = x.new_zeros(len(present), int(count.max(initial=1)), x.shape[1])
        grouped[slot] = x
        square, points = self.square, self.points
        if len(present) < len(points):
            chosen = torch.from_numpy(present)
            square, points = square[chosen], points[chosen]
        return torch.baddbmm(square, grouped, points.transpose(1, 2), alpha=-2)[slot]
