"""Interpolations between codes. A new one is one function and one line in `INTERPOLATIONS`.

Each takes codes a and b (B, d) and times t: a number gives codes (B, d), a vector (T,) gives (T, B, d). t = 0 is exactly a and
t = 1 exactly b. (Agustsson and others count t from the other end; see `envs.geometry.transport`.)
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from envs.errors import ManifoldError, UnknownNameError
from envs.geometry.transport import Law, two_point

PARALLEL = 1e-6  # sine of an angle below which an arc is a straight line to rounding
UNDEFINED = ("error", "lerp")

Interpolation = Callable[[Law, Tensor, Tensor, float | Tensor], Tensor]


def lerp(a: Tensor, b: Tensor, t: float | Tensor) -> Tensor:
    """Linear interpolation (1 - t) a + t b.

    Between independent samples of a normal prior the midpoint has half the prior's variance.

    Args:
        a: First codes, (B, d).
        b: Last codes, (B, d).
        t: A time, or times (T,).
    """
    t = _times(t, a)
    return _with_ends(a, b, t, (1 - t) * a + t * b)


def slerp(a: Tensor, b: Tensor, t: float | Tensor, undefined: str = "error") -> Tensor:
    """Spherical interpolation: sin((1-t) w) / sin(w) a + sin(t w) / sin(w) b, with w the angle between a and b.
    Norms are kept if |a| = |b|, and run smoothly from |a| to |b| otherwise. Parallel codes are joined by their line, the limit
    of the formula. Angles are computed in double precision.

    Args:
        a: First codes, (B, d).
        b: Last codes, (B, d).
        t: A time, or times (T,).
        undefined: What to do if the great circle is not unique, because a code is zero or both are antipodal: ``error``, or
            ``lerp``, the straight line for those rows.

    Raises:
        ManifoldError: If a code is zero or a pair is antipodal; the message names the row.

    Source: White, "Sampling Generative Networks", 2016, section 2.

    Example:
        >>> slerp(torch.tensor([[1.0, 0.0]]), torch.tensor([[0.0, 1.0]]), 0.5)
        tensor([[0.7071, 0.7071]])
    """
    if undefined not in UNDEFINED:
        raise UnknownNameError("treatment of undefined arcs", undefined, UNDEFINED)
    t = _times(t, a).double()
    a64, b64 = a.double(), b.double()
    size_a, size_b = a64.norm(dim=-1, keepdim=True), b64.norm(dim=-1, keepdim=True)
    zero = ((size_a == 0) | (size_b == 0)).expand_as(size_a)
    unit_a, unit_b = a64 / size_a.clamp_min(1e-300), b64 / size_b.clamp_min(1e-300)
    # 2 atan2(|u - v|, |u + v|) keeps its digits at both ends, where arccos of a dot product loses half of them.
    angle = 2 * torch.atan2((unit_a - unit_b).norm(dim=-1, keepdim=True), (unit_a + unit_b).norm(dim=-1, keepdim=True))
    sine = torch.sin(angle)
    straight = sine < PARALLEL
    antipodal = straight & (angle > 1) & ~zero
    if undefined == "error":
        _refuse(zero, "zero: a zero code has no direction")
        _refuse(antipodal, "antipodal: every great circle through one leads to the other")
    straight = straight | zero
    sine = torch.where(straight, torch.ones_like(sine), sine)
    arc = (torch.sin((1 - t) * angle) * a64 + torch.sin(t * angle) * b64) / sine
    return _with_ends(a, b, t, torch.where(straight, (1 - t) * a64 + t * b64, arc).to(a.dtype))


def matched(prior: Law, a: Tensor, b: Tensor, t: float | Tensor) -> Tensor:
    """The line, transported to the prior's own distribution; see `envs.geometry.transport.two_point`.

    It is meant for *independent samples of the prior*. Codes of similar data are not independent: between a code and itself
    the line stays in place and this interpolation leaves it, so prefer `slerp` or `lerp` there.

    Args:
        prior: Distribution of the codes.
        a: First codes, (B, d).
        b: Last codes, (B, d).
        t: A time, or times (T,).
    """
    t = _times(t, a)
    return _with_ends(a, b, t, two_point(prior, a, b, t))


INTERPOLATIONS: dict[str, Interpolation] = {
    "lerp": lambda prior, a, b, t: lerp(a, b, t),
    "slerp": lambda prior, a, b, t: slerp(a, b, t, undefined="lerp"),
    "matched": matched,
}


def interpolate(name: str, prior: Law, a: Tensor, b: Tensor, t: float | Tensor) -> Tensor:
    """Interpolate by name; undefined arcs of ``slerp`` become lines.

    Args:
        name: Key of `INTERPOLATIONS`.
        prior: Distribution of the codes.
        a: First codes, (B, d).
        b: Last codes, (B, d).
        t: A time, or times (T,).

    Raises:
        UnknownNameError: If there is no such interpolation; the message offers similar names.
    """
    if name not in INTERPOLATIONS:
        raise UnknownNameError("interpolation", name, INTERPOLATIONS)
    return INTERPOLATIONS[name](prior, a, b, t)


def sphere_step(z: Tensor, action: Tensor, length: float) -> Tensor:
    """Exponential map of the sphere through z, with a radial part.

    The tangential part of the action turns z along a great circle, the radial part moves it outwards. A tangential action
    keeps |z| and turns z by the angle length * |a| / |z|, as `slerp` would. Near the origin, where that exceeds a quarter
    turn, the step is straight.

    Args:
        z: Codes, (B, d).
        action: Actions, (B, d).
        length: Length of an action of norm 1.
    """
    radius = z.norm(dim=1, keepdim=True)
    unit = z / radius.clamp_min(1e-6)
    outward = (action * unit).sum(1, keepdim=True)
    tangent = action - outward * unit
    turn = tangent.norm(dim=1, keepdim=True)
    angle = length * turn / radius.clamp_min(1e-6)
    on_sphere = (radius + length * outward) * (torch.cos(angle) * unit + torch.sin(angle) * tangent / turn.clamp_min(1e-9))
    return torch.where(angle < torch.pi / 2, on_sphere, z + length * action)


def _times(t: float | Tensor, a: Tensor) -> Tensor:
    """t as a tensor that broadcasts against codes: () or (T, 1, ..., 1)."""
    t = torch.as_tensor(t, dtype=a.dtype)
    if t.dim() > 1:
        if t.shape[1:].numel() == 1:
            return t
        raise ManifoldError(f"times t are a number or a vector (T,), not of shape {tuple(t.shape)}")
    return t.reshape(-1, *[1] * a.dim()) if t.dim() else t


def _with_ends(a: Tensor, b: Tensor, t: Tensor, way: Tensor) -> Tensor:
    """`way` with exactly a at t = 0 and exactly b at t = 1."""
    return torch.where(t == 0, a, torch.where(t == 1, b, way))


def _refuse(rows: Tensor, why: str) -> None:
    if bool(rows.any()):
        row = int(rows.reshape(-1).nonzero()[0, 0])
        raise ManifoldError(f"slerp: the codes of row {row} are {why}; use lerp, or slerp(..., undefined='lerp')")
