"""Length and energy of latent curves, in data space, feature space or class probabilities.

A *view* h maps codes (N, d) to points (N, M) of a Euclidean space and pulls that space's geometry back. For a curve through
points z_0 .. z_T at equal times

    length = sum_t |h(z_{t+1}) - h(z_t)|        energy = T sum_t |h(z_{t+1}) - h(z_t)|^2       length^2 <= energy

with equality at constant speed (Shao, Kumar and Fletcher, "The Riemannian Geometry of Deep Generative Models", CVPR workshops
2018, section 3). Both depend on the points: compare curves on one fine grid (`along`). Curves are (T+1, B, d): B curves at
once.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from envs.errors import ManifoldError
from envs.manifolds.base import Manifold

View = Callable[[Tensor], Tensor]

FINE = 200  # points of the common grid for comparing curves
ROWS = 8192  # codes decoded at once


def pixels(manifold: Manifold) -> View:
    """View of the decoded data, flat (N, D), for lengths in data space. It is differentiable where the decoder is.

    Text has no metric; its view is the codes themselves, as in `Manifold.coordinates`.
    """
    if manifold.modality == "text":
        return lambda z: z
    return lambda z: manifold.decode(z).flatten(1)


def features(manifold: Manifold, network: Callable[[Tensor], Tensor]) -> View:
    """View of a feature extractor's output on decoded data, flat (N, M).

    Args:
        manifold: The manifold.
        network: Maps data (N, \\*data_shape) to features. It is the caller's own; no classifier is inspected.
    """
    return lambda z: network(manifold.decode(z)).flatten(1)


def probabilities(manifold: Manifold, predictions: Callable[[Tensor], Tensor]) -> View:
    """View 2 sqrt(p) (N, K) of class probabilities: the Fisher-Rao metric as a sphere of radius 2.

    Args:
        manifold: The manifold.
        predictions: Maps data to probabilities (N, K). With `classifier.predict_proba`, each point counts as a query.
    """
    return lambda z: 2 * predictions(manifold.decode(z)).clamp_min(0).sqrt()


def fisher_rao(p: Tensor, q: Tensor) -> Tensor:
    """Fisher-Rao distance of class probabilities (..., K): 2 arccos sum sqrt(p q), 0 to pi."""
    return 2 * torch.arccos((p.double() * q.double()).sqrt().sum(-1).clamp(0, 1)).to(p.dtype)


def seen(view: View, curve: Tensor) -> Tensor:
    """Points (T+1, B, M) of curves (T+1, B, d) in a view, decoded in bounded batches."""
    flat = curve.reshape(-1, curve.shape[-1])
    return torch.cat([view(part) for part in flat.split(ROWS)]).reshape(*curve.shape[:-1], -1)


def length(view: View, curve: Tensor) -> Tensor:
    """Length (B,) of curves (T+1, B, d) in a view."""
    return seen(view, curve).diff(dim=0).norm(dim=2).sum(0)


def energy(view: View, curve: Tensor) -> Tensor:
    """Energy (B,) of curves (T+1, B, d) at equal times from 0 to 1: at least the squared length."""
    steps = seen(view, curve).diff(dim=0)
    return len(steps) * steps.square().sum((0, 2))


def along(points: Tensor, n: int = FINE, by_length: bool = False) -> Tensor:
    """Resample polylines, ends included.

    Args:
        points: Polylines, (T+1, B, d).
        n: Number of points.
        by_length: Sample at equal latent length, not at equal times.

    Returns:
        Points, (n, B, d).

    Raises:
        ManifoldError: If n is less than 2.

    Example:
        >>> along(torch.tensor([[[0.0]], [[4.0]]]), n=3)[:, 0, 0]
        tensor([0., 2., 4.])
    """
    if n < 2:
        raise ManifoldError(f"a curve needs at least 2 points, not {n}")
    steps, batch = len(points) - 1, points.shape[1]
    if steps == 0:
        return points.expand(n, -1, -1)
    if not by_length:
        at = torch.linspace(0, steps, n)[:, None].expand(n, batch)
    else:
        sizes = points.diff(dim=0).norm(dim=2)
        so_far = torch.cat([torch.zeros(1, batch), sizes.cumsum(0)])
        wanted = torch.linspace(0, 1, n)[:, None] * so_far[-1]
        left = torch.searchsorted(so_far.T.contiguous(), wanted.T.contiguous(), right=True).T.sub(1).clamp(0, steps - 1)
        rest = wanted - so_far.gather(0, left)
        at = left + (rest / sizes.gather(0, left).clamp_min(1e-12)).clamp(0, 1)
    left = at.floor().clamp_max(steps - 1).long()
    share = (at - left)[:, :, None]
    columns = torch.arange(batch)
    way = torch.lerp(points[left, columns], points[left + 1, columns], share)
    way[0], way[-1] = points[0], points[-1]
    return way


def straight(a: Tensor, b: Tensor, n: int = FINE) -> Tensor:
    """n points (n, B, d) on the latent lines from a to b (B, d)."""
    return along(torch.stack([a, b]), n)


def compare(view: View, curve: Tensor, n: int = FINE) -> dict[str, Any]:
    """Compare polylines with the straight latent lines between their ends, on the same grid.

    Args:
        view: The view.
        curve: Polylines, (T+1, B, d).
        n: Points of the grid.

    Returns:
        ``length``, ``energy``, ``straight_length`` and ``straight_energy``, each (B,).
    """
    with torch.inference_mode():
        fine, line = along(curve, n), straight(curve[0], curve[-1], n)
        return {
            "length": length(view, fine), "energy": energy(view, fine),
            "straight_length": length(view, line), "straight_energy": energy(view, line),
        }  # fmt: skip
