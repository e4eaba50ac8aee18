"""Typicality of codes by their distance to the nearest codes of real data."""

from __future__ import annotations

import torch
from torch import Tensor

from envs.errors import ManifoldError
from envs.manifolds.neighbours import nearest

K = 5  # neighbours whose mean distance counts
MOST_ROWS = 10_000  # codes that are kept
MASS = 0.99  # share of real codes inside the typical set
HALVINGS = 8  # of the bisection
FAR = 1e4  # standard deviations at which codes are clipped


class Neighbours:
    """Typicality of codes by the mean distance to the five nearest real codes, in standard deviations of each coordinate.

    The typical set holds the codes that lie no further from real codes than 99 % of these lie from their own five nearest.
    Nothing is saved with a manifold, which therefore holds no real codes: a world that is built again computes them again.

    Args:
        z: Codes of real data, (N, d), at least 7.

    Attributes:
        usual: Mean distance from a real code to the five nearest others, in standard deviations.
        limit: 0.99 quantile of these distances.
        inside: Standard scores (M, d) of the real codes in the typical set.

    Raises:
        ManifoldError: If there are fewer than 7 codes, or values that are not finite.

    Example:
        >>> angle = torch.linspace(0, 6.28, 200)
        >>> ring = Neighbours(torch.stack([angle.cos(), angle.sin()], 1))
        >>> ring.typicality(torch.tensor([[1.0, 0.0], [0.0, 0.0]])) > 0.5
        tensor([ True, False])
    """

    def __init__(self, z: Tensor) -> None:
        if len(z) < K + 2:
            raise ManifoldError(f"neighbours need at least {K + 2} codes, got {len(z)}: leave typicality='neighbours' out")
        if not bool(z.isfinite().all()):
            raise ManifoldError(f"{int((~z.isfinite()).any(1).sum())} of {len(z)} codes hold values that are not finite")
        self.mean, self.scale = z.mean(0), z.std(0).clamp_min(1e-6)
        self.codes = (z - self.mean) / self.scale
        own = nearest(self.codes, self.codes, K + 1).distance[:, 1:].mean(1)  # the first is the code itself
        self.usual, self.limit = float(own.mean()), float(own.quantile(MASS))
        self.inside = self.codes[self._distance(self.codes) <= self.limit]

    @classmethod
    def fit(cls, z: Tensor, *, seed: int = 0, progress: bool = False) -> Neighbours:
        """From the codes (N, d) of real data; of more than 10,000, as many are drawn by `seed`."""
        if len(z) > MOST_ROWS:
            z = z[torch.randperm(len(z), generator=torch.Generator().manual_seed(seed))[:MOST_ROWS].sort().values]
        return cls(z)

    def _distance(self, scaled: Tensor) -> Tensor:
        return nearest(scaled, self.codes, K).distance.mean(1)

    def _scaled(self, z: Tensor) -> Tensor:
        """Standard scores (B, d) of codes, clipped at `FAR`; NaN becomes `FAR`."""
        return ((z - self.mean) / self.scale).nan_to_num(FAR).clamp(-FAR, FAR)

    def distance(self, z: Tensor) -> Tensor:
        """Mean distance (B,) from codes (B, d) to the five nearest real codes, in standard deviations."""
        return self._distance(self._scaled(z))

    def typicality(self, z: Tensor) -> Tensor:
        """Typicality (B,) of codes (B, d): 1, or the usual distance over theirs where theirs is larger."""
        usual = max(self.usual, 1e-6)  # 0 where all codes are equal
        return usual / self.distance(z).clamp_min(usual)

    def contains(self, z: Tensor) -> Tensor:
        """Whether codes (B, d) are in the typical set, (B,) bool."""
        return self.distance(z) <= self.limit

    def project(self, z: Tensor) -> Tensor:
        """Codes (B, d) in the typical set. Those outside move towards the nearest real code in it, to the boundary that a
        bisection finds."""
        scaled = self._scaled(z)
        outside = self._distance(scaled) > self.limit
        if not bool(outside.any()):
            return z
        far = scaled[outside]
        near = self.inside[torch.cdist(far, self.inside).argmin(1)]
        low, high = torch.zeros(len(far), 1), torch.ones(len(far), 1)  # shares of the way inside, and outside
        for _ in range(HALVINGS):
            middle = (low + high) / 2
            within = (self._distance(torch.lerp(near, far, middle)) <= self.limit)[:, None]
            low, high = torch.where(within, middle, low), torch.where(within, high, middle)
        found = z.clone()
        found[outside] = torch.lerp(near, far, low) * self.scale + self.mean
        return found
