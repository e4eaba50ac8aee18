"""Navigation bases: the few directions of a large latent space in which walks move.

N codes, d latent dimensions, k directions, D data coordinates. Every function takes an `Encoded` and the number k, and
returns directions (m, d), the most important first; `directions_of` makes them orthonormal. A new basis is one function and
one line in `BASES`.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from envs.errors import ManifoldError
from envs.manifolds.base import Manifold

ROWS = 5000  # codes that directions are computed from, spread evenly over the data
PROBES = 16  # random cotangents for each direction of `decoder`
EXTRA = 8  # random cotangents beyond 2 k for the directions at one code
AT_ONCE = 2**22  # numbers of cotangents that are held at once
PAIRS = 512  # pairs of codes at which the share is measured


@dataclass(frozen=True)
class Encoded:
    """Encoded data, from which directions are computed.

    Args:
        manifold: Manifold with d latent dimensions.
        z: Codes of the data, (N, d).
        labels: Returns the classes (N,) of the data; it may query the classifier.

    Example:
        >>> from envs.manifolds import PCA
        >>> x = torch.randn(50, 6, generator=torch.Generator().manual_seed(0))
        >>> pca = PCA.fit(x, latent_dim=4, modality="table")
        >>> data = Encoded(pca, pca.encode(x), lambda: (x[:, 0] > 0).long())
        >>> directions_of("principal", data, 2).shape
        torch.Size([2, 4])
    """

    manifold: Manifold
    z: Tensor
    labels: Callable[[], Tensor]


@dataclass(frozen=True)
class Basis:
    """How the directions are found.

    Args:
        function: From (encoded, k) to directions (m, d).
        local: Whether each input has directions of its own, those along which the decoder changes most at its code.

    Example:
        >>> BASES["metric"].local
        True
    """

    function: Callable[[Encoded, int], Tensor]
    local: bool = False


def principal(encoded: Encoded, k: int) -> Tensor:
    """Principal directions of the codes of the data (Harkonen and others, "GANSpace", NeurIPS 2020)."""
    z = _evenly(encoded.z)
    return torch.linalg.svd((z - z.mean(0)).double(), full_matrices=False).Vh


def decoder(encoded: Encoded, k: int) -> Tensor:
    """Directions along which decoded data change most: leading eigenvectors of the mean pullback metric at the codes.

    E[J^T J] is estimated from gradients J^T c for random cotangents c ~ N(0, I_D), so that no Jacobian is built (Halko and
    others, SIAM Review 2011).
    """
    generator = torch.Generator().manual_seed(0)
    rows = torch.randint(len(encoded.z), (PROBES * k,), generator=generator)
    probes = _cotangents(encoded.manifold, encoded.z, len(rows))
    return torch.linalg.svd(_gradients(encoded.manifold, encoded.z[rows], probes).double(), full_matrices=False).Vh


def first_layer(encoded: Encoded, k: int) -> Tensor:
    """Right singular vectors of the decoder's first layer (Shen and Zhou, "SeFa", CVPR 2021)."""
    manifold, d = encoded.manifold, encoded.manifold.latent_dim
    network = next(
        (part for name in ("generator", "decoder") if isinstance(part := getattr(manifold, name, None), nn.Module)), None
    )
    weight = next((part.detach() for part in network.parameters() if part.ndim > 1), None) if network is not None else None
    if weight is not None and weight.ndim == 2 and weight.shape[1] == d:
        return torch.linalg.svd(weight.double(), full_matrices=False).Vh
    if weight is not None and weight.ndim > 2 and len(weight) == d:  # a transposed convolution of codes
        return torch.linalg.svd(weight.double().flatten(1).T, full_matrices=False).Vh
    raise ManifoldError(
        f"basis='first_layer' needs a decoder whose first layer takes the {d} values of a code; this "
        f"{type(manifold).__name__} has none: take basis='decoder'"
    )


def classes(encoded: Encoded, k: int) -> Tensor:
    """Attribute vectors of the classes: the span of their mean codes, at most K - 1 directions, then principal directions."""
    label, z = encoded.labels(), encoded.z
    means = torch.stack([z[label == c].mean(0) for c in label.unique().tolist()]).double()
    among = torch.linalg.svd(means - means.mean(0), full_matrices=False).Vh[: len(means) - 1]
    return torch.cat([among, principal(encoded, k)])


#: The bases by their names.
BASES: dict[str, Basis] = {
    "principal": Basis(principal),
    "decoder": Basis(decoder),
    "first_layer": Basis(first_layer),
    "classes": Basis(classes),
    "metric": Basis(decoder, local=True),
}


def directions_of(basis: Any, encoded: Encoded, k: int) -> Tensor:
    """Orthonormal directions (k, d) of a basis.

    Args:
        basis: Key of `BASES`, a `Basis`, a function of (encoded, k), or directions (m, d), m >= k.
        encoded: The data.
        k: Number of directions, at most d.

    Raises:
        ManifoldError: If there are fewer than k independent directions, or they do not have d numbers.
    """
    found = BASES[basis] if isinstance(basis, str) else basis
    function = found.function if isinstance(found, Basis) else found
    with torch.inference_mode():
        rows = function(encoded, k) if callable(function) else function
        rows = torch.as_tensor(np.asarray(rows), dtype=torch.float64)
    d = encoded.manifold.latent_dim
    if rows.ndim != 2 or rows.shape[1] != d or not bool(rows.isfinite().all()):
        raise ManifoldError(f"a basis holds directions (k, {d}), finite numbers; this one has shape {tuple(rows.shape)}")
    kept = rows.new_zeros(0, d)
    for row in rows:  # Gram-Schmidt, twice, so that the order is kept and dependent directions are left out
        left = row
        for _ in range(2):
            left = left - (kept @ left) @ kept
        if float(left.norm()) > 1e-6 * max(float(row.norm()), 1e-12):
            kept = torch.cat([kept, left[None] / left.norm()])
        if len(kept) == k:
            return kept.float()
    raise ManifoldError(
        f"the basis has {len(kept)} independent directions, fewer than basis_dim={k}: pass basis_dim={len(kept)}"
    )


def directions_at(manifold: Manifold, z: Tensor, aligned: Tensor) -> Tensor:
    """Orthonormal directions (B, k, d) along which decoded data change most at each of the codes (B, d).

    They span the leading eigenvectors of the pullback metric, found from random gradients. Within the span they are rotated
    to be as close as possible to `aligned` (orthogonal Procrustes), so that coordinates of different inputs compare.

    Args:
        manifold: Manifold with d latent dimensions.
        z: Codes, (B, d).
        aligned: Orthonormal directions, (k, d).
    """
    k = len(aligned)
    probes = _cotangents(manifold, z, 2 * k + EXTRA)  # the same for every code, so that its directions are its own
    repeated = z.repeat_interleave(len(probes), 0), probes.repeat(len(z), 1)
    found = _gradients(manifold, *repeated).unflatten(0, (len(z), len(probes)))
    span = torch.linalg.svd(found, full_matrices=False).Vh[:, :k]  # (B, k, d)
    left, _, right = torch.linalg.svd(aligned @ span.transpose(1, 2))
    return left @ right @ span


def share_of_movement(manifold: Manifold, z: Tensor, directions: Tensor) -> float:
    """Share of the data-space movement between encoded data that the directions reach, at most 1.

    A walk goes from one code to another in the span of the directions. The share is 1 - sum |missed|^2 / sum |movement|^2,
    where the movement is the change of the decoded data, and `missed` is the difference between the last decoded datum and the
    one to be reached. It is negative if the directions lead away.

    Args:
        manifold: Manifold with d latent dimensions.
        z: Codes of data, (N, d).
        directions: Orthonormal directions, (k, d).
    """
    generator = torch.Generator().manual_seed(0)
    start, end = (torch.randint(len(z), (PAIRS,), generator=generator) for _ in range(2))
    reached = z[start] + (z[end] - z[start]) @ directions.T @ directions

    def places(codes: Tensor) -> Tensor:
        return torch.cat([manifold.coordinates(part, manifold.decode(part)) for part in codes.split(64)])

    first, last, there = (places(codes) for codes in (z[start], z[end], manifold.prior.project(reached)))
    return 1 - float((last - there).square().sum() / (last - first).square().sum().clamp_min(1e-12))


def _cotangents(manifold: Manifold, z: Tensor, count: int) -> Tensor:
    """Random cotangents c ~ N(0, I_D), (count, D), for data at codes like z."""
    size = manifold.coordinates(z[:1], manifold.decode(z[:1])).shape[1]
    return torch.randn(count, size, generator=torch.Generator().manual_seed(0))


def _gradients(manifold: Manifold, z: Tensor, cotangents: Tensor) -> Tensor:
    """J^T c (B, d) at codes (B, d), for cotangents c (B, D)."""
    rows = max(1, AT_ONCE // cotangents.shape[1])
    return torch.cat([manifold.vjp(*part) for part in zip(z.split(rows), cotangents.split(rows), strict=True)])


def _evenly(z: Tensor) -> Tensor:
    return z if len(z) <= ROWS else z[torch.linspace(0, len(z) - 1, ROWS).long()]
