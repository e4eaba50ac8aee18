"""A manifold that is walked in a few directions of its latent space, while the rest of the input's code is kept."""

from __future__ import annotations

import copy
import hashlib
from dataclasses import dataclass
from functools import cached_property
from typing import Any, ClassVar

import numpy as np
import torch
from torch import Tensor

from envs.errors import ManifoldError
from envs.manifolds.base import Manifold, Pull
from envs.manifolds.basis import directions_at
from envs.manifolds.prior import Prior

AT_ONCE = 64  # inputs whose own directions are computed together
KEPT = 2**26  # numbers of codes and directions of inputs that are remembered: 256 MB


@dataclass(frozen=True)
class NavigatedPrior(Prior):
    """The inner prior on the plane of the directions through the mean code. Built by `Navigated`.

    Args:
        whole: The `Navigated` manifold.

    Example:
        >>> from envs.manifolds import VAE
        >>> manifold = Navigated(VAE(data_shape=(4,), latent_dim=3, modality="table"), dimensions=2)
        >>> round(manifold.prior.radius, 2) == round(manifold.inner.prior.radius, 2)
        True
    """

    whole: Any = None

    @property
    def radius(self) -> float:
        """That of the inner prior."""
        return float(self.whole.inner.prior.radius)

    def project(self, z: Tensor) -> Tensor:
        """Coordinates (B, k) whose codes are projected to the inner typical set."""
        return self.whole.code_of(z) @ self.whole.directions.T

    def projected(self, z: np.ndarray) -> np.ndarray:
        """`project` for numpy arrays."""
        return self.project(torch.from_numpy(z)).numpy()

    def sample(self, n: int, generator: torch.Generator | None = None) -> Tensor:
        """Coordinates (n, k) of codes drawn with `generator`."""
        return self.whole.inner.prior.sample(n, generator) @ self.whole.directions.T


class Navigated(Manifold):
    """A manifold whose walks move in k orthonormal directions of another manifold's latent space.

    The code z (k,) of x holds the coordinates P w of its full code w (d,). A walk from x decodes w + P^T (z - P w): the rest
    of the input's own code is kept, and frame 0 is the full reconstruction. `near` binds the manifold to inputs. Without
    inputs, the rest is that of the mean code. Full codes are projected to the inner typical set. With `local` directions, P^T
    is replaced by the directions along which the decoder changes most at w (see `envs.manifolds.basis.directions_at`).

    Args:
        inner: The manifold of the full codes; or the kind of a saved one, with `settings`.
        dimensions: Number k of directions.
        local: Whether each input has directions of its own.
        settings: Of the inner manifold, if it is given by its kind.

    Attributes:
        directions: (k, d) orthonormal directions P.
        centre: (1, d) mean code of the data.

    Raises:
        ManifoldError: If there are more directions than latent dimensions, or the manifold is a graph.

    Example:
        >>> from envs import make_world
        >>> world = make_world(data="digits", basis="principal", basis_dim=3)
        >>> world.latent_dim, world.manifold.inner.latent_dim
        (3, 8)
        >>> 0.3 < world.manifold.reach < 0.9
        True
    """

    kind: ClassVar[str] = "navigated"
    directions: Tensor
    centre: Tensor
    share: Tensor

    def __init__(
        self, inner: Manifold | str, dimensions: int, local: bool = False, settings: dict[str, Any] | None = None
    ) -> None:
        if not isinstance(inner, Manifold):
            if (settings or {}).get("source") is not None:
                raise ManifoldError(f"a saved manifold with a basis cannot hold one by name: {settings!r:.80}")
            inner = Manifold.kinds[inner](**(settings or {}))
        d = inner.latent_dim
        if inner.on_graph:
            raise ManifoldError(f"basis= is for latent spaces that are continuous; {inner.kind!r} is a graph: leave it out")
        if not 1 <= dimensions <= d:
            raise ManifoldError(f"basis_dim={dimensions}: the codes of this manifold have {d} values; pass 1 to {d}")
        super().__init__(dimensions)
        self.inner, self.dimensions, self.local = inner, dimensions, local
        self.complete = dimensions == d  # nothing of a code is left to keep
        self.register_buffer("directions", torch.eye(d)[:dimensions])
        self.register_buffer("centre", torch.zeros(1, d))
        self.register_buffer("share", torch.tensor(torch.nan))
        self.data_shape, self.modality = inner.data_shape, inner.modality
        self.input_conditioned = inner.input_conditioned or not self.complete
        self.portable = inner.portable and inner.settings.get("source") is None
        self._homes: dict[bytes, np.ndarray] = {}
        self._bound: tuple[Tensor, Tensor] | None = None  # codes (B, d) and directions ((B,) k, d) of inputs, see `near`

    @cached_property
    def prior(self) -> Prior:  # type: ignore[override]  # that of the inner manifold may be known only after a fit
        """The inner prior in the directions. Coordinates of a normal prior are normal, of others they have no known law."""
        inner = self.inner.prior
        if inner.kind == "normal":
            return NavigatedPrior("normal", self.dimensions, inner.mass, whole=self)
        with torch.inference_mode(False):
            drawn = inner.sample(256, torch.Generator().manual_seed(0)) @ self.directions.T
        return NavigatedPrior("none", self.dimensions, samples=drawn, whole=self)

    @property
    def reach(self) -> float:
        """Share of the data-space movement between encoded data that the directions reach, see `share_of_movement`."""
        return float(self.share)

    @property
    def settings(self) -> dict[str, Any]:
        """JSON-serialisable arguments that build an untrained copy."""
        inner = {"inner": self.inner.kind, "settings": self.inner.settings}
        return {**inner, "dimensions": self.dimensions, "local": self.local}

    # ---- between coordinates and full codes --------------------------------------------------------------------------

    def near(self, factual: Tensor | None) -> Navigated:
        """The manifold of walks from inputs (B, \\*data_shape): its codes (B, k) belong to them, row by row."""
        if factual is None or self.complete:
            return self
        prior, bound = self.prior, copy.copy(self)
        home = torch.from_numpy(self._homes_of(factual))
        bound.__dict__["prior"] = prior  # it stays that of the unbound manifold
        bound._bound = home[:, 0], home[:, 1:] if self.local else self.directions
        return bound

    def code_of(self, z: Tensor) -> Tensor:
        """Full codes (B, d) of coordinates (B, k)."""
        home = self.centre if self._bound is None else self._bound[0]
        return self.inner.prior.project(home + self._lifted(z - home @ self.directions.T))

    def keep(self, x: Tensor, w: Tensor) -> Tensor:
        """Remember the full codes w (B, d) of inputs x (B, \\*data_shape); their coordinates (B, k)."""
        if not self.complete:
            self._remembered(self._keys(x), w)
        return w @ self.directions.T

    def _lifted(self, tangent: Tensor) -> Tensor:
        """Directions (B, d) of the full codes for directions (B, k)."""
        own = self.directions if self._bound is None else self._bound[1]
        return tangent @ own if own.ndim == 2 else (tangent[:, None] @ own)[:, 0]

    def _lowered(self, gradient: Tensor) -> Tensor:
        """Gradients (..., B, k) by the coordinates, for gradients (..., B, d) by the full code."""
        own = self.directions if self._bound is None else self._bound[1]
        return gradient @ own.T if own.ndim == 2 else torch.einsum("...bd,bkd->...bk", gradient, own)

    @staticmethod
    def _keys(x: Tensor) -> list[bytes]:
        return [hashlib.blake2b(row.tobytes(), digest_size=16).digest() for row in np.ascontiguousarray(x.detach().numpy())]

    def _homes_of(self, x: Tensor) -> np.ndarray:
        """(B, 1 or 1 + k, d) the full codes of inputs (B, \\*data_shape), and their own directions if these are local."""
        keys = self._keys(x)
        found = {key: self._homes[key] for key in keys if key in self._homes}
        if missing := list({key: i for i, key in enumerate(keys) if key not in found}.values()):
            with torch.no_grad():
                found |= self._remembered([keys[i] for i in missing], self.inner.encode(x[missing].detach()))
        return np.stack([found[key] for key in keys])

    def _remembered(self, keys: list[bytes], w: Tensor) -> dict[bytes, np.ndarray]:
        """The homes of inputs with full codes w (B, d), which are kept as long as there is room."""
        own = w[:, None]
        if self.local:
            with torch.no_grad():
                each = [directions_at(self.inner, part, self.directions) for part in w.split(AT_ONCE)]
            own = torch.cat([own, torch.cat(each)], 1)
        new = dict(zip(keys, own.detach().numpy().astype(np.float32), strict=True))
        self._homes.update(new)
        while len(self._homes) * own[0].numel() > KEPT:
            self._homes.pop(next(iter(self._homes)))
        return new

    # ---- the contract of manifolds ------------------------------------------------------------------------------------

    def encode(self, x: Tensor) -> Tensor:
        """Coordinates (B, k) of data (B, \\*data_shape)."""
        if self.complete:
            return self.inner.encode(x) @ self.directions.T
        return torch.from_numpy(self._homes_of(x)[:, 0]) @ self.directions.T

    def decode(self, z: Tensor) -> Tensor:
        """Data (B, \\*data_shape) of coordinates (B, k)."""
        return self.inner.decode(self.code_of(z))

    def decode_near(self, z: Tensor, factual: Tensor | None) -> Tensor:
        """Data of coordinates along walks, see `Manifold.decode_near`."""
        return self.inner.decode_near(self.near(factual).code_of(z), factual)

    def coordinates(self, z: Tensor, x: Tensor) -> Tensor:
        """Coordinates (B, D) of data, see `Manifold.coordinates`."""
        return self.inner.coordinates(self.code_of(z), x)

    def jacobian(self, z: Tensor) -> Tensor:
        """Jacobian (B, D, k), one Jacobian-vector product a direction."""
        each = [self.jvp(z, axis.expand(len(z), -1)) for axis in torch.eye(self.dimensions)]
        return torch.stack(each, dim=2)

    def jvp(self, z: Tensor, tangent: Tensor) -> Tensor:
        """Change (B, D) of the coordinates of data along tangents (B, k)."""
        return self.inner.jvp(self.code_of(z), self._lifted(tangent))

    def vjp(self, z: Tensor, cotangent: Tensor) -> Tensor:
        """Gradient (B, k) by the coordinates, for cotangents (B, D)."""
        return self._lowered(self.inner.vjp(self.code_of(z), cotangent))

    def linearized(self, z: np.ndarray, factual: Tensor | None = None) -> tuple[np.ndarray, Pull]:
        """See `Manifold.linearized`."""
        here = self.near(factual)
        decoded, pull = self.inner.linearized(here.code_of(torch.from_numpy(z)).numpy(), factual)
        return decoded, lambda cotangent: here._lowered(torch.from_numpy(pull(cotangent))).numpy()

    def attach(self, classifier: Any) -> None:
        """See `Manifold.attach`."""
        self.inner.attach(classifier)

    def usual_typicality(self, z: Tensor) -> Tensor:
        """Typicality (B,) of coordinates (B, k) among those of real data; the rest of the code does not count."""
        return self.inner.typicality(self.code_of(z)) if self.complete else super().usual_typicality(z)
