"""A map of the latent space: the plane of largest variance through the reference codes, coloured by predicted class."""

from __future__ import annotations

from functools import cached_property

import numpy as np
import torch
from torch import Tensor

from envs.core.world import World


class LatentMap:
    """The first two principal axes of the reference codes; the largest loading of each axis is positive.

    Args:
        world: of the latent space.

    Example:
        >>> from envs import make_world
        >>> world = make_world(data="digits")
        >>> LatentMap(world).project(world.reference.z[:3]).shape
        (3, 2)
    """

    def __init__(self, world: World) -> None:
        self.world = world
        codes = world.reference.z
        self.centre = codes.mean(0)
        _, _, axes = torch.linalg.svd(codes - self.centre, full_matrices=False)
        axes = axes[:2] if len(axes) >= 2 else torch.cat([axes, torch.zeros(1, codes.shape[1])])
        largest = axes.abs().argmax(1, keepdim=True)
        self.axes = axes * torch.where(axes.gather(1, largest) < 0, -1.0, 1.0)  # (2, d)

    def project(self, z: Tensor) -> np.ndarray:
        """Map coordinates (B, 2) of codes (B, d)."""
        return ((z - self.centre) @ self.axes.T).numpy()

    @cached_property
    def reference(self) -> np.ndarray:
        """Map coordinates (N, 2) of the reference codes."""
        return self.project(self.world.reference.z)

    @cached_property
    def extent(self) -> tuple[float, float, float, float]:
        """(left, right, bottom, top): the reference codes with a margin."""
        low, high = self.reference.min(0), self.reference.max(0)
        margin = 0.08 * (high - low) + 1e-3
        return (float(low[0] - margin[0]), float(high[0] + margin[0]), float(low[1] - margin[1]), float(high[1] + margin[1]))

    def regions(self, size: int = 64) -> tuple[np.ndarray, np.ndarray]:
        """The majority class of each cell of the map, row 0 at the bottom. No query.

        The map is a projection: many codes fall on one point. A cell shows the majority among the 15 reference codes that are
        nearest to it on the map.

        Args:
            size: cells a side.

        Returns:
            Classes (size, size) int64, and their share (size, size) in (0, 1] of the 15.
        """
        from scipy.spatial import cKDTree

        left, right, bottom, top = self.extent
        x, y = np.meshgrid(np.linspace(left, right, size), np.linspace(bottom, top, size))
        # A tree: all distances of 128 x 128 cells to 60,000 codes would take 4 GB.
        k = min(15, len(self.reference))
        _, near = cKDTree(self.reference).query(np.stack([x.ravel(), y.ravel()], 1), k=np.arange(1, k + 1))
        votes = self.world.one_hot[self.world.reference.label[torch.from_numpy(near)]].mean(1)
        share, winner = votes.max(1)
        return winner.reshape(size, size).numpy(), share.reshape(size, size).numpy()
