"""Distance from data to a class: the mean distance to its k nearest reference rows, and the gradient of that mean."""

from __future__ import annotations

from itertools import pairwise
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

NEIGHBOURS = 5
PER_CLASS = 300  # rows a class keeps: more change the distance little, and slow every step


class Near(NamedTuple):
    """Result of a search.

    Attributes:
        distance: (B,) mean distance to the nearest rows of a class.
        gradient: (B, D) gradient of that mean by the data.

    Example:
        >>> x = torch.tensor([[0.0, 0.0], [3.0, 4.0]])
        >>> near = ClassNeighbours(x, torch.tensor([0, 1]), classes=2, k=1)(x[:1], torch.tensor([1]))
        >>> near.distance
        tensor([5.])
    """

    distance: Tensor
    gradient: Tensor


class ClassNeighbours:
    """The rows of each class, searched in batches.

    Args:
        x: (N, D) data.
        label: (N,) classes in [0, K); rows with -1 are left out.
        classes: K.
        k: number of neighbours.

    Example:
        >>> x = torch.tensor([[0.0], [1.0], [5.0], [7.0]])
        >>> search = ClassNeighbours(x, torch.tensor([0, 0, 1, 1]), classes=2, k=2)
        >>> search(torch.tensor([[3.0]]), torch.tensor([1])).distance
        tensor([3.])
    """

    def __init__(self, x: Tensor, label: Tensor, classes: int, k: int = NEIGHBOURS) -> None:
        rows = [(label == c).nonzero()[:, 0] for c in range(classes)]
        rows = [r[torch.linspace(0, len(r) - 1, PER_CLASS).long()] if len(r) > PER_CLASS else r for r in rows]
        widest = max(len(r) for r in rows)
        self.k = min(k, widest)
        self.scarce = min(len(r) for r in rows) < self.k  # some class has fewer rows than are searched
        self.points = np.zeros((classes, widest, x.shape[1]), np.float32)
        self.square = np.full((classes, widest), np.inf, np.float32)  # places without a row are infinitely far
        for c, r in enumerate(rows):
            self.points[c, : len(r)] = x[r].numpy()
            self.square[c, : len(r)] = x[r].square().sum(1).numpy()

    def __call__(self, x: Tensor, target: Tensor) -> Near:
        """Neighbours of data x (B, D) in the classes `target` (B,); a class without rows is at distance 0."""
        return Near(*map(torch.from_numpy, self.near(x.numpy(), target.numpy())))

    def near(self, x: np.ndarray, target: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """The same as a call, on arrays."""
        if len(x) == 1:
            return self._sorted(x, target) if self.scarce else self._one(x[0], int(target[0]))
        order = target.argsort(kind="stable")
        distance, gradient = np.empty(len(x), np.float32), np.empty_like(x)
        distance[order], gradient[order] = self._sorted(x[order], target[order])
        return distance, gradient

    def _one(self, x: np.ndarray, c: int) -> tuple[np.ndarray, np.ndarray]:
        """`near` for one datum x (D,) and class c: the overhead of calls dominates, so that there are few."""
        gaps = self.points[c] @ (-2 * x)
        gaps += self.square[c]
        place = gaps.argpartition(self.k - 1)[: self.k]
        distance = np.sqrt(np.maximum(gaps[place] + x @ x, np.float32(1e-4)))
        share = np.float32(1 / self.k)
        weight = share / distance
        return distance.sum(keepdims=True) * share, (x * weight.sum() - weight @ self.points[c, place])[None]

    def _sorted(self, x: np.ndarray, target: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """`near` for data with ascending targets."""
        gaps = self._square_gaps(x, target)
        place = self._nearest(gaps)
        nearest = gaps[np.arange(len(x))[:, None], place]
        distance = np.sqrt(np.maximum(nearest + np.vecdot(x, x)[:, None], np.float32(1e-4)))
        if self.scarce:
            known = np.isfinite(nearest)
            share = 1 / np.maximum(known.sum(1, keepdims=True), 1, dtype=np.float32)
            distance[~known] = np.inf  # no weight
            mean = np.where(known, distance, 0).sum(1, keepdims=True) * share
        else:
            share = np.float32(1 / self.k)
            mean = distance.sum(1, keepdims=True) * share
        weight = share / distance
        points = self.points.reshape(-1, x.shape[1]).take(target[:, None] * self.points.shape[1] + place, axis=0)
        return mean[:, 0], x * weight.sum(1, keepdims=True) - (weight[:, None] @ points)[:, 0]

    def _square_gaps(self, x: np.ndarray, target: np.ndarray) -> np.ndarray:
        """|y|^2 - 2 <x, y> for every y of the target's class, (B, widest), for ascending targets: class by class, which takes
        1 / K of the work for all classes at once."""
        gaps, doubled = np.empty((len(x), self.square.shape[1]), np.float32), -2 * x
        bounds = [0, *(np.flatnonzero(target[1:] != target[:-1]) + 1), len(x)]
        for low, high in pairwise(bounds):
            if low < high:
                part, c = gaps[low:high], target[low]
                np.matmul(doubled[low:high], self.points[c].T, out=part)
                part += self.square[c]
        return gaps

    def _nearest(self, gaps: np.ndarray) -> np.ndarray:
        """Columns (B, k) of the k smallest gaps of each row, in any order."""
        bound = np.partition(gaps, self.k - 1, axis=1)[:, self.k - 1 : self.k]
        # A third of the time that argpartition takes, where there are no ties.
        place = np.flatnonzero(gaps <= bound) % gaps.shape[1]
        if len(place) != self.k * len(gaps):
            place = np.argpartition(gaps, self.k - 1, axis=1)[:, : self.k]
        return place.reshape(-1, self.k)
