"""Priors of latent spaces and their typical sets.

A prior with independent, identically distributed coordinates concentrates on a *typical set*: for N(0, I_d), a shell near
radius sqrt(d). Walks never leave a ball (normal), box (uniform), sphere, bounding box (empirical) or convex hull that contains
it. Outside, the decoder has learned nothing.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import torch
from torch import Tensor

from envs.errors import ManifoldError, UnknownNameError
from envs.manifolds.hull import Hull
from envs.manifolds.networks.arrays import norm

KINDS = ("normal", "uniform", "sphere", "empirical", "none", "hull")
OF_SAMPLES = ("empirical", "none", "hull")


@dataclass(frozen=True)
class Prior:
    """The distribution of the latent codes of a generative model.

    Args:
        kind: ``normal``, N(0, I); ``uniform`` on [-1, 1]^d; ``sphere``, uniform on the sphere of radius sqrt(d);
            ``empirical``, independent coordinates, each distributed as the scalar `samples`; ``none``, no density, with a box
            around `samples` (n, d) as typical set; ``hull``, no density, with their convex hull as typical set (d <= 3).
        dim: Number of latent coordinates d.
        mass: Probability mass inside the typical ball of the normal prior.
        samples: Scalars (n,) for ``empirical``; codes (n, d) for ``none`` and ``hull``.

    Raises:
        UnknownNameError: If there is no such kind.
        ManifoldError: If the dimension or the mass is impossible, or `samples` are missing.

    Example:
        >>> prior = Prior("normal", dim=2)
        >>> round(prior.radius, 3)
        3.035
        >>> prior.contains(torch.tensor([[0.0, 1.0], [9.0, 0.0]]))
        tensor([ True, False])
    """

    kind: str
    dim: int
    mass: float = 0.99
    samples: Any = None

    def __post_init__(self) -> None:
        if self.kind not in KINDS:
            raise UnknownNameError("prior", self.kind, KINDS)
        if self.dim < 1:
            raise ManifoldError(f"a prior needs at least one dimension, not {self.dim}")
        if not 0 < self.mass < 1:
            raise ManifoldError(f"mass is the probability inside the typical set, in (0, 1), not {self.mass}")
        if self.kind in OF_SAMPLES and self.samples is None:
            raise ManifoldError(f"the {self.kind!r} prior is defined by samples; pass samples=")

    @cached_property
    def radius(self) -> float:
        """Radius of the typical set: chi quantile (normal), sqrt(d) (sphere), else the largest absolute coordinate."""
        if self.kind == "normal":
            from scipy.special import gammaincinv  # the chi quantile; importing scipy.stats takes half a second

            return math.sqrt(2 * float(gammaincinv(self.dim / 2, self.mass)))
        if self.kind == "sphere":
            return math.sqrt(self.dim)
        return float(self._bounds[1].abs().max().maximum(self._bounds[0].abs().max()))

    @cached_property
    def _bounds(self) -> tuple[Tensor, Tensor]:
        with torch.inference_mode(False):  # they are cached, and gradients may pass through them later
            return self._box()

    def _box(self) -> tuple[Tensor, Tensor]:
        """Lower and upper corner (d,) of the box around the typical set."""
        if self.kind == "uniform":
            return -torch.ones(self.dim), torch.ones(self.dim)
        values = torch.tensor(np.asarray(self.samples), dtype=torch.float32)
        if self.kind == "empirical":
            return values.min().expand(self.dim), values.max().expand(self.dim)
        margin = 0.05 * (values.amax(0) - values.amin(0)) * (self.kind == "none")
        return values.amin(0) - margin, values.amax(0) + margin

    @cached_property
    def hull(self) -> Hull:
        """Convex hull of the samples.

        Raises:
            ManifoldError: If there are more than 3 dimensions, or the samples do not span them.
        """
        with torch.inference_mode(False):  # it is cached, and gradients may pass through it later
            return Hull(torch.tensor(np.asarray(self.samples), dtype=torch.float32))

    @cached_property
    def _sorted(self) -> np.ndarray:
        return np.sort(np.asarray(self.samples, dtype=np.float64).ravel())

    def sample(self, n: int, generator: torch.Generator | None = None) -> Tensor:
        """Draw `n` codes (n, d) with `generator`."""
        if self.kind == "uniform":
            return 2 * torch.rand(n, self.dim, generator=generator) - 1
        if self.kind == "empirical":
            return self.ppf(torch.rand(n, self.dim, generator=generator))
        if self.kind in ("none", "hull"):
            codes = torch.as_tensor(np.asarray(self.samples), dtype=torch.float32)
            return codes[torch.randint(len(codes), (n,), generator=generator)]
        z = torch.randn(n, self.dim, generator=generator)
        return z if self.kind == "normal" else z * (self.radius / z.norm(dim=1, keepdim=True))

    def log_prob(self, z: Tensor) -> Tensor:
        """Log density (B,) of codes (B, d), in nats.

        Raises:
            ManifoldError: If the prior has no density.
        """
        if self.kind == "normal":
            return -0.5 * (z.square().sum(1) + self.dim * math.log(2 * math.pi))
        if self.kind == "uniform":
            inside = (z.abs() <= 1).all(1)
            return torch.where(inside, -self.dim * math.log(2.0), -math.inf)
        raise ManifoldError(f"the {self.kind!r} prior has no density; use typicality instead")

    def cdf(self, z: Tensor) -> Tensor:
        """Distribution function of one coordinate, elementwise.

        Raises:
            ManifoldError: If the coordinates are not independent.
        """
        if self.kind == "normal":
            return torch.special.ndtr(z)
        if self.kind == "uniform":
            return ((z + 1) / 2).clamp(0, 1)
        if self.kind == "empirical":
            n = len(self._sorted)
            grid = (np.arange(n) + 0.5) / n
            return torch.as_tensor(np.interp(z.double().numpy(), self._sorted, grid), dtype=z.dtype)
        raise ManifoldError(f"the coordinates of the {self.kind!r} prior are not independent: it has no scalar law")

    def ppf(self, u: Tensor) -> Tensor:
        """Quantile function of one coordinate, elementwise: the inverse of `cdf`.

        Raises:
            ManifoldError: If the coordinates are not independent.
        """
        if self.kind == "normal":
            return torch.special.ndtri(u)
        if self.kind == "uniform":
            return 2 * u - 1
        if self.kind == "empirical":
            return torch.as_tensor(np.quantile(self._sorted, u.double().numpy(), method="hazen"), dtype=u.dtype)
        raise ManifoldError(f"the coordinates of the {self.kind!r} prior are not independent: it has no scalar law")

    def project(self, z: Tensor) -> Tensor:
        """Nearest points (B, d) of the typical set (ball, box, sphere or hull) to codes (B, d)."""
        if self.kind == "normal":
            if not z.requires_grad:
                return torch.from_numpy(self.projected(z.numpy()))
            return z * (self.radius / torch.linalg.vector_norm(z, dim=1, keepdim=True).clamp_min(self.radius))
        if self.kind == "sphere":
            return z * (self.radius / z.norm(dim=1, keepdim=True).clamp_min(1e-12))
        if self.kind == "hull":
            return self.hull.project(z)
        low, high = self._bounds
        return z.clamp(low, high)

    def projected(self, z: np.ndarray) -> np.ndarray:
        """`project` for numpy arrays."""
        if self.kind == "normal":
            return z * (self.radius / np.maximum(norm(z), self.radius))[:, None]
        return self.project(torch.from_numpy(z)).numpy()

    def contains(self, z: Tensor, tolerance: float = 1e-4) -> Tensor:
        """Whether each code of (B, d) lies in the typical set, (B,) bool."""
        return (self.project(z) - z).norm(dim=1) <= tolerance
