"""Averages over the nearest known points: an encoder and a decoder of a map that need no training."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

CHUNK = 4_000_000  # distances in memory at once: 16 MB
WEISZFELD_STEPS = 20


class Near(NamedTuple):
    """The k nearest of some points to each query, and the next one.

    Attributes:
        distance: Distances of the k nearest, (B, k).
        place: Their indices, (B, k).
        reach: Distance of neighbour k + 1, (B, 1).
        edge: Its index, (B,).

    Example:
        >>> nearest(torch.tensor([[0.1]]), torch.tensor([[0.0], [1.0], [3.0]]), k=2).place
        tensor([[0, 1]])
    """

    distance: Tensor
    place: Tensor
    reach: Tensor
    edge: Tensor


def nearest(query: Tensor, points: Tensor, k: int) -> Near:
    """Find the k nearest points of each query.

    Args:
        query: Queries, (B, m).
        points: Points, (N, m) with N > k.
        k: Number of neighbours.
    """
    # Differences, not a matrix product: the distance of a point to itself must be exactly 0.
    exact = "donot_use_mm_for_euclid_dist"
    rows = max(1, CHUNK // len(points))
    found = [torch.cdist(part, points, compute_mode=exact).topk(k + 1, largest=False) for part in query.split(rows)]
    distance, index = torch.cat([f.values for f in found]), torch.cat([f.indices for f in found])
    return Near(distance[:, :k], index[:, :k], distance[:, k:].clamp_min(1e-12), index[:, k])


def interpolate(query: Tensor, points: Tensor, places: Tensor, k: int) -> Tensor:
    """Interpolate codes at queries from the codes of known points; exact at those points.

    The result is the geometric median of the k nearest points' codes, found by Weiszfeld's iteration ("Sur le point pour
    lequel la somme des distances de n points donnés est minimum", 1937), with the weights ((r - s) / (r s))^2 of Franke and
    Little's modified Shepard interpolation (s: the distance, r: the distance of neighbour k + 1). A weighted mean would put a
    query between two clusters into the gap; a median stays with the heavier one.

    Args:
        query: Queries, (B, m).
        points: Known points, (N, m).
        places: Their codes, (N, d).
        k: Number of neighbours.

    Returns:
        Codes, (B, d).
    """
    near = nearest(query, points, k)
    distance = near.distance.clamp_min(1e-9)
    weight = ((near.reach - distance).clamp_min(0) / (near.reach * distance)).square() + 1e-12
    weight = weight / weight.sum(1, keepdim=True)
    around = places[near.place]  # (B, k, d)
    place = (weight[:, :, None] * around).sum(1)
    for _ in range(WEISZFELD_STEPS):
        pull = weight / torch.linalg.vector_norm(around - place[:, None], dim=2).clamp_min(1e-6)
        place = (pull[:, :, None] * around).sum(1) / pull.sum(1, keepdim=True)
    return place


class NeighbourAverage(torch.nn.Module):
    """Decoder by averaging over the k known codes nearest to z: f(z) = sum_i w_i x_i / sum_i w_i, w_i = (1 - s_i^2 / r^2)^2.
    s_i is the distance to code i, and r the distance to code k + 1. A weight is zero before its neighbour changes, so f is
    continuous. Its derivative is known in closed form wherever the nearest codes stay the same.

    Args:
        codes: Known codes, (N, d).
        data: Their data, (N, D).
        k: Number of neighbours, less than N.

    Example:
        >>> decoder = NeighbourAverage(torch.tensor([[0.0], [1.0], [9.0]]), torch.tensor([[0.0], [10.0], [50.0]]), k=2)
        >>> decoder(torch.tensor([[0.5]])).round()
        tensor([[5.]])
    """

    def __init__(self, codes: Tensor, data: Tensor, k: int) -> None:
        super().__init__()
        self.codes, self.data, self.k = codes, data, k

    def forward(self, z: Tensor) -> Tensor:
        """Averages (B, D) at codes (B, d)."""
        near = nearest(z, self.codes, self.k)
        weight = (1 - (near.distance / near.reach).square()).square() + 1e-12
        weight = weight / weight.sum(1, keepdim=True)
        return torch.bmm(weight[:, None], self.data[near.place])[:, 0]

    def jacobian(self, z: Tensor) -> Tensor:
        """Jacobian (B, D, d) at codes (B, d)."""
        around, slope = self._slopes(z)
        return around.transpose(1, 2) @ slope

    def jvp(self, z: Tensor, tangent: Tensor) -> Tensor:
        """Change (B, D) of f along code tangents (B, d)."""
        around, slope = self._slopes(z)
        return torch.bmm((slope @ tangent[:, :, None]).transpose(1, 2), around)[:, 0]

    def vjp(self, z: Tensor, cotangent: Tensor) -> Tensor:
        """Gradient (B, d) by the code of <cotangent, f>, cotangents (B, D)."""
        around, slope = self._slopes(z)
        return torch.bmm((around @ cotangent[:, :, None]).transpose(1, 2), slope)[:, 0]

    def _slopes(self, z: Tensor) -> tuple[Tensor, Tensor]:
        """Neighbours' data minus their average (B, k, D), and d w_i / d z divided by the sum of the weights (B, k, d)."""
        distance, place, reach, edge = nearest(z, self.codes, self.k)
        step = (z[:, None] - self.codes[place]) / reach[:, :, None].square()  # half the gradient of s^2, over r^2
        outer = (z - self.codes[edge]) / reach.square()
        ratio = (distance / reach).square()
        root = 1 - ratio
        # w = (1 - s^2/r^2)^2:  dw = -2 (1 - s^2/r^2) d(s^2/r^2),  d(s^2/r^2) = 2 step - 2 (s^2/r^2) outer.
        gradient = -4 * root[:, :, None] * (step - ratio[:, :, None] * outer[:, None])
        weight = root.square() + 1e-12
        total = weight.sum(1, keepdim=True)
        data = self.data[place]
        average = torch.bmm((weight / total)[:, None], data)
        return data - average, gradient / total[:, :, None]
