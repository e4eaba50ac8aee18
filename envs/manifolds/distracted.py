"""Distractors: further latent dimensions that decode to noise and not to data, a noisy television on the manifold."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Any, ClassVar

import numpy as np
import torch
from torch import Tensor

from envs.errors import ManifoldError
from envs.manifolds.base import Manifold, Pull
from envs.manifolds.prior import Prior

NUMBERS = 8  # numbers of the noise that one code shows
FREQUENCY = 1e4  # periods of the noise a unit of the code: its neighbours in float32 differ, no step or network resolves it


@dataclass(frozen=True)
class DistractedPrior(Prior):
    """A prior with further dimensions, uniform between plus and minus its radius. Built by `Distracted`.

    Args:
        inner: Prior of the first dimensions.

    Example:
        >>> prior = DistractedPrior("normal", dim=4, inner=Prior("normal", dim=2))
        >>> prior.project(torch.tensor([[0.0, 1.0, 9.0, -9.0]])).round(decimals=2)
        tensor([[ 0.0000,  1.0000,  3.0300, -3.0300]])
    """

    inner: Any = None

    @property
    def radius(self) -> float:
        """That of the inner prior."""
        return float(self.inner.radius)

    def project(self, z: Tensor) -> Tensor:
        """Nearest codes (B, d) of the product of the inner typical set and a box."""
        d = self.inner.dim
        return torch.cat([self.inner.project(z[:, :d]), z[:, d:].clamp(-self.radius, self.radius)], 1)

    def projected(self, z: np.ndarray) -> np.ndarray:
        """`project` for numpy arrays."""
        return self.project(torch.from_numpy(z)).numpy()

    def sample(self, n: int, generator: torch.Generator | None = None) -> Tensor:
        """Draw `n` codes (n, d) with `generator`."""
        own = self.inner.sample(n, generator)
        more = torch.rand(n, self.dim - self.inner.dim, generator=generator)
        return torch.cat([own, self.radius * (2 * more - 1)], 1)

    def log_prob(self, z: Tensor) -> Tensor:
        """Log density (B,) of the first dimensions."""
        return self.inner.log_prob(z[:, : self.inner.dim])


class Distracted(Manifold):
    """A manifold with further latent dimensions that have no effect on the data. What they show is noise.

    At a code z = (w, u) the data are those of the inner manifold at w. Beside them stands a static of 8 numbers, which
    observations hold: s(u) = loudness * min(1, |u|) * h(u), where h is a pseudo-random function of u in [-1, 1]^8. Its values
    at neighbouring codes are as good as independent, so that no network can predict them, and the same code shows the same.
    At u = 0, where encoded data lie, there is silence.

    Args:
        inner: The manifold of the data; or the kind of a saved one, with `settings`.
        dimensions: Number of further latent dimensions.
        loudness: Largest absolute value of the static; the other numbers of an observation lie in [-1, 1].
        settings: Of the inner manifold, if it is given by its kind.

    Example:
        >>> from envs import make_world
        >>> world = make_world(data="iris", manifold="pca", latent_dim=2, distractors=2)
        >>> z = world.manifold.encode(world.reference.x[:1])
        >>> z.shape, world.manifold.static(z).abs().max()
        (torch.Size([1, 4]), tensor(0.))
        >>> bool(world.manifold.static(z + 1).abs().max() > 0)
        True
    """

    kind: ClassVar[str] = "distracted"
    static_size = NUMBERS

    def __init__(
        self, inner: Manifold | str, dimensions: int = 2, loudness: float = 1.0, settings: dict[str, Any] | None = None
    ) -> None:
        if not isinstance(inner, Manifold):
            if (settings or {}).get("source") is not None:
                raise ManifoldError(f"a saved manifold with distractors cannot hold one by name: {settings!r:.80}")
            inner = Manifold.kinds[inner](**(settings or {}))
        super().__init__(inner.latent_dim + dimensions)
        self.inner, self.dimensions, self.loudness = inner, dimensions, loudness
        self.code_mean[: inner.latent_dim] = inner.code_mean
        self.code_scale[: inner.latent_dim] = inner.code_scale
        self.data_shape, self.modality = inner.data_shape, inner.modality
        self.input_conditioned = inner.input_conditioned
        self.portable = inner.portable and inner.settings.get("source") is None
        draw = np.random.default_rng(0)
        self._mixing = draw.uniform(0.5, 1.5, (dimensions, NUMBERS)) * draw.choice([-1.0, 1.0], (dimensions, NUMBERS))

    @cached_property
    def prior(self) -> Prior:  # type: ignore[override]  # that of the inner manifold may be known only after a fit
        """The inner prior with a box for the further dimensions."""
        inner = self.inner.prior
        return DistractedPrior(inner.kind, inner.dim + self.dimensions, inner.mass, inner.samples, inner=inner)

    @property
    def settings(self) -> dict[str, Any]:
        """JSON-serialisable arguments that build an untrained copy."""
        return {
            "inner": self.inner.kind,
            "dimensions": self.dimensions,
            "loudness": self.loudness,
            "settings": self.inner.settings,
        }

    def static(self, z: Tensor) -> Tensor:
        """The static (B, 8) at codes (B, d)."""
        u = z[:, self.inner.latent_dim :].numpy().astype(np.float64)
        noise = np.sin(FREQUENCY * (u @ self._mixing)) * FREQUENCY
        gate = np.minimum(np.linalg.norm(u, axis=1, keepdims=True), 1.0)
        return torch.from_numpy((self.loudness * gate * (2 * (noise - np.floor(noise)) - 1)).astype(np.float32))

    def encode(self, x: Tensor) -> Tensor:
        """Codes (B, d) of data (B, \\*data_shape), with silent distractors."""
        w = self.inner.encode(x)
        return torch.cat([w, w.new_zeros(len(w), self.dimensions)], 1)

    def decode(self, z: Tensor) -> Tensor:
        """Data (B, \\*data_shape) of codes (B, d)."""
        return self.inner.decode(self._own(z))

    def decode_near(self, z: Tensor, factual: Tensor | None) -> Tensor:
        """Data of codes along walks, see `Manifold.decode_near`."""
        return self.inner.decode_near(self._own(z), factual)

    def coordinates(self, z: Tensor, x: Tensor) -> Tensor:
        """Coordinates (B, D) of data, see `Manifold.coordinates`."""
        return self.inner.coordinates(self._own(z), x)

    def jacobian(self, z: Tensor) -> Tensor:
        """Jacobian (B, D, d), zero along the distractors."""
        return torch.nn.functional.pad(self.inner.jacobian(self._own(z)), (0, self.dimensions))

    def jvp(self, z: Tensor, tangent: Tensor) -> Tensor:
        """Change (B, D) of the coordinates along tangents (B, d)."""
        return self.inner.jvp(self._own(z), self._own(tangent))

    def vjp(self, z: Tensor, cotangent: Tensor) -> Tensor:
        """Gradient (B, d) by the code, zero along the distractors."""
        return torch.nn.functional.pad(self.inner.vjp(self._own(z), cotangent), (0, self.dimensions))

    def linearized(self, z: np.ndarray, factual: Tensor | None = None) -> tuple[np.ndarray, Pull]:
        """See `Manifold.linearized`."""
        decoded, pull = self.inner.linearized(z[:, : self.inner.latent_dim], factual)

        def padded(cotangent: np.ndarray) -> np.ndarray:
            own = pull(cotangent)
            return np.concatenate([own, np.zeros((*own.shape[:-1], self.dimensions), own.dtype)], axis=-1)

        return decoded, padded

    def attach(self, classifier: Any) -> None:
        """See `Manifold.attach`."""
        self.inner.attach(classifier)

    def remember_codes(self, z: Tensor) -> None:
        """Record mean and scale of the codes (N, d) of real data."""
        super().remember_codes(z)
        self.inner.remember_codes(self._own(z))

    def usual_typicality(self, z: Tensor) -> Tensor:
        """Typicality (B,) of the inner codes."""
        return self.inner.typicality(self._own(z))

    def _own(self, z: Tensor) -> Tensor:
        return z[:, : self.inner.latent_dim].contiguous()
