"""Convex hulls of codes in one to three dimensions: typical sets without a density."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from envs.errors import ManifoldError

MAX_DIMENSIONS = 3  # beyond, the number of faces and the cost of a projection grow too fast


class Hull:
    """Convex hull of points in one to three dimensions.

    Args:
        points: Points (n, d) that span all d dimensions.

    Raises:
        ManifoldError: If d is more than 3, or the points do not span d dimensions.

    Example:
        >>> hull = Hull(torch.tensor([[0.0, 0.0], [1.0, 0.0], [0.0, 1.0]]))
        >>> hull.project(torch.tensor([[2.0, 0.0], [0.2, 0.2]]))
        tensor([[1.0000, 0.0000],
                [0.2000, 0.2000]])
    """

    def __init__(self, points: Tensor) -> None:
        self.dim = points.shape[1]
        if self.dim > MAX_DIMENSIONS:
            raise ManifoldError(f"a convex hull has at most {MAX_DIMENSIONS} dimensions here, not {self.dim}")
        if self.dim == 1:
            self.low, self.high = points.amin(0), points.amax(0)
            if not bool(self.low < self.high):
                raise ManifoldError("all codes are equal, so their hull is a point: there is nowhere to walk")
            return
        from scipy.spatial import ConvexHull, QhullError

        try:
            hull = ConvexHull(points.numpy().astype(np.float64))
        except QhullError as error:
            raise ManifoldError(
                f"{len(points)} codes do not span {self.dim} dimensions, so they have no hull; use fewer dimensions"
            ) from error
        self.normal = torch.from_numpy(hull.equations[:, :-1]).float()  # (F, d), outwards
        self.offset = torch.from_numpy(hull.equations[:, -1]).float()  # (F,): inside where normal z + offset <= 0
        self.faces = torch.from_numpy(hull.points[hull.simplices]).float()  # (F, d, d): corners of each face
        corners = torch.from_numpy(hull.simplices.astype(np.int64))
        pairs = corners if self.dim == 2 else torch.cat([corners[:, [0, 1]], corners[:, [1, 2]], corners[:, [2, 0]]])
        pairs = pairs.sort(1).values.unique(dim=0)
        self.edges = torch.from_numpy(hull.points)[pairs].float()  # (E, 2, d)

    def outside(self, z: Tensor) -> Tensor:
        """Distance (B,) of codes (B, d) beyond the faces, 0 inside. It is at most the distance to the hull."""
        if self.dim == 1:
            return torch.maximum(self.low - z, z - self.high).amax(1).clamp_min(0)
        return torch.addmm(self.offset, z, self.normal.T).amax(1).clamp_min(0)

    def project(self, z: Tensor) -> Tensor:
        """Nearest points (B, d) of the hull to codes (B, d); codes inside stay where they are."""
        if self.dim == 1:
            return z.clamp(self.low, self.high)
        out = (self.outside(z) > 0).nonzero()[:, 0]
        if not len(out):
            return z
        far = z[out]
        start, end = self.edges[:, 0], self.edges[:, 1]
        along = end - start
        share = ((far[:, None] - start) * along).sum(2) / along.square().sum(1)
        candidates = start + share.clamp(0, 1)[:, :, None] * along  # (b, E, d)
        if self.dim == 3:
            candidates = torch.cat([candidates, self._on_triangles(far)], dim=1)
        gaps = (candidates - far[:, None]).square().sum(2)
        nearest = candidates[torch.arange(len(far)), gaps.argmin(1)]
        return z.index_copy(0, out, nearest)

    def _on_triangles(self, z: Tensor) -> Tensor:
        """Feet (b, F, 3) of the perpendiculars on the faces; infinite where a foot misses its triangle."""
        height = torch.addmm(self.offset, z, self.normal.T)
        foot = z[:, None] - height[:, :, None] * self.normal
        a, b, c = self.faces.unbind(1)
        # Barycentric coordinates from the areas of the three parts.
        area = torch.linalg.cross(b - a, c - a)
        size = area.square().sum(1)
        v = (torch.linalg.cross(foot - a, (c - a).expand_as(foot)) * area).sum(2) / size
        w = (torch.linalg.cross((b - a).expand_as(foot), foot - a) * area).sum(2) / size
        inside = (v >= 0) & (w >= 0) & (v + w <= 1)
        return torch.where(inside[:, :, None], foot, torch.inf)
