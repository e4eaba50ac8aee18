"""Shortest latent curves, by minimising the energy of a spline.

    z(t) = (1 - t) a + t b + sum_{k <= K} C_k sin(pi k t)

Ends are exact by construction. The coefficients C (K, d) minimise the discrete energy of `envs.geometry.curves` by Adam, for
all pairs of a batch at once. On a plain VAE the straight latent line is nearly a geodesic (Shao, Kumar and Fletcher, 2018):
expect savings of a tenth of the energy and a few per cent of the length.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor

from envs.errors import ManifoldError
from envs.geometry.curves import FINE, View, along, energy, length, straight

MODES, POINTS, STEPS, RATE = 6, 32, 150, 0.05


class Spline(NamedTuple):
    """Curves between codes.

    Attributes:
        a: First codes, (B, d).
        b: Last codes, (B, d).
        coefficients: Sine coefficients, (K, B, d).

    Example:
        >>> Spline(torch.zeros(1, 2), torch.ones(1, 2), torch.zeros(3, 1, 2)).points(3)[1]
        tensor([[0.5000, 0.5000]])
    """

    a: Tensor
    b: Tensor
    coefficients: Tensor

    def at(self, t: Tensor) -> Tensor:
        """Codes (T, B, d) at times t (T,); ends are exact."""
        line = (1 - t)[:, None, None] * self.a + t[:, None, None] * self.b
        order = torch.arange(1, len(self.coefficients) + 1)
        waves = torch.sin(torch.pi * t[:, None] * order)  # (T, K)
        bend = torch.einsum("tk,kbd->tbd", waves, self.coefficients)
        ends = ((t == 0) | (t == 1))[:, None, None]
        return line + torch.where(ends, 0.0, bend)

    def points(self, n: int = FINE) -> Tensor:
        """n codes (n, B, d) at equal times."""
        return self.at(torch.linspace(0, 1, n))


def geodesic(
    view: View, a: Tensor, b: Tensor, *, start: Tensor | None = None, modes: int = MODES, points: int = POINTS,
    steps: int = STEPS, rate: float = RATE,
) -> Spline:  # fmt: skip
    """Find splines of least energy between codes.

    A row whose spline is no better than its line, both on the fine grid, keeps the line.

    Args:
        view: Differentiable view, see `envs.geometry.curves`.
        a: First codes, (B, d).
        b: Last codes, (B, d).
        start: Initial polylines (T+1, B, d) with the same ends, for example graph paths; default: the line.
        modes: Number of sine terms K.
        points: Points of the curve during minimisation.
        steps: Steps of Adam.
        rate: Learning rate, as a share of |b - a|.

    Raises:
        ManifoldError: If a and b have different shapes or are not finite, or the view has no gradient.
    """
    if a.shape != b.shape or a.dim() != 2:
        raise ManifoldError(
            f"geodesics join two equally shaped batches of codes (B, d); got {tuple(a.shape)} and {tuple(b.shape)}"
        )
    if not (torch.isfinite(a).all() and torch.isfinite(b).all()):
        raise ManifoldError("geodesics join finite codes; these hold NaN or infinity")
    a, b = a.clone(), b.clone()  # autograd refuses inference tensors
    scale = (b - a).norm(dim=1, keepdim=True).clamp_min(1e-9)
    first = torch.zeros(modes, *a.shape) if start is None else _sines(start, a, b, modes) / scale
    coefficients = first.requires_grad_(True)
    optimizer = torch.optim.Adam([coefficients], lr=rate)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, steps, eta_min=0.1 * rate)
    t = torch.linspace(0, 1, points)
    with torch.enable_grad():
        for _ in range(steps):
            found = _energy(view, Spline(a, b, coefficients * scale).at(t))
            # Each pair is scaled by itself, so that distant pairs do not dominate. Adam treats each coefficient separately.
            loss = (found / found.detach().clamp_min(1e-12)).sum()
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            schedule.step()
    with torch.no_grad():
        curved = Spline(a, b, coefficients.detach() * scale)
        better = energy(view, curved.points()) < energy(view, straight(a, b))
        return curved._replace(coefficients=torch.where(better[None, :, None], curved.coefficients, 0.0))


def _energy(view: View, curve: Tensor) -> Tensor:
    """Energy (B,) with its gradient.

    Raises:
        ManifoldError: If the view has none.
    """
    why = ""
    try:
        found = energy(view, curve)
    except RuntimeError as error:  # autograd's own
        found, why = curve.new_zeros(()), f" ({error})"
    if not found.requires_grad:
        raise ManifoldError(f"this view has no gradient, so its splines cannot be optimised{why}; use envs.geometry.graph")
    return found


def _sines(polyline: Tensor, a: Tensor, b: Tensor, modes: int) -> Tensor:
    """Coefficients (K, B, d) of the least-squares spline through a polyline (T+1, B, d)."""
    fine = along(polyline.clone(), FINE, by_length=True)
    t = torch.linspace(0, 1, FINE)
    waves = torch.sin(torch.pi * t[:, None] * torch.arange(1, modes + 1))
    rest = fine - straight(a, b)
    return torch.linalg.lstsq(waves, rest.reshape(FINE, -1)).solution.reshape(modes, *a.shape)


def detour_ratio(view: View, paths: Sequence[Tensor], *, steps: int = STEPS, n: int = FINE) -> Tensor:
    """Length of paths relative to a geodesic between their ends: 1 is no detour.

    Both lengths are measured in the view on n points, the path along its straight latent segments. The reference is the
    spline, or the line where that is shorter; a path shorter than both has a ratio slightly below 1.

    Args:
        view: The view, for example `curves.pixels(manifold)`.
        paths: Codes of each path, (T_i + 1, d).
        steps: Steps of Adam for the geodesics.
        n: Points of each curve.

    Returns:
        Ratios, (N,); nan for a path that does not move.
    """
    if not len(paths):
        return torch.zeros(0)
    with torch.no_grad():
        fine = torch.cat([along(path[:, None], n, by_length=True) for path in paths], dim=1)
        walked = length(view, fine)
    a, b = fine[0], fine[-1]
    moving = (b - a).norm(dim=1) > 1e-9
    ratio = torch.full((len(paths),), torch.nan)
    if bool(moving.any()):
        best = geodesic(view, a[moving], b[moving], steps=steps)
        with torch.no_grad():
            shortest = torch.minimum(length(view, best.points(n)), length(view, straight(best.a, best.b, n)))
            ratio[moving] = walked[moving] / shortest.clamp_min(1e-12)
    return ratio
