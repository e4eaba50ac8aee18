"""Ways from one code to another. A new way is one function and one line in `INTERPOLATIONS`.

Every way takes codes a and b (B, d) and times t: a number gives codes (B, d), a vector (T,) gives (T, B, d). t = 0 is a
and t = 1 is b, exactly. (Agustsson and others count t from the other end; see `envs.geometry.transport`.)
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
    """(1 - t) a + t b. Between independent draws of a normal prior the middle has half the prior's variance."""
    t = _times(t, a)
    return _with_ends(a, b, t, (1 - t) * a + t * b)


def slerp(a: Tensor, b: Tensor, t: float | Tensor, undefined: str = "error") -> Tensor:
    """Along the great circle through a and b: sin((1-t) w) / sin w a + sin(t w) / sin w b with w the angle between them.

    Norms are kept where |a| = |b| and run smoothly from |a| to |b| else. Parallel codes are joined by their line, which is
    the formula's limit. Angles are taken in double precision.

    Args:
        undefined: what to do where there is no one great circle, because a code is zero or both are antipodal: ``error``,
            or ``lerp``, the straight line for those rows.

    Raises:
        ManifoldError: a zero code or an antipodal pair; the message names the row.

    Source: White, "Sampling Generative Networks", 2016, section 2.
    """
    if undefined not in UNDEFINED:
        raise UnknownNameError("answer to undefined arcs", undefined, UNDEFINED)
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
    """The line, carried to the prior's own law by the optimal transport map; see `envs.geometry.transport.two_point`.

    It is right for *independent draws of the prior*. Codes of similar data are not independent: between a code and itself
    the line stays where it is and this way leaves it, so prefer `slerp` or `lerp` there.
    """
    t = _times(t, a)
    return _with_ends(a, b, t, two_point(prior, a, b, t))


INTERPOLATIONS: dict[str, Interpolation] = {
    "lerp": lambda prior, a, b, t: lerp(a, b, t),
    "slerp": lambda prior, a, b, t: slerp(a, b, t, undefined="lerp"),
    "matched": matched,
}


def interpolate(name: str, prior: Law, a: Tensor, b: Tensor, t: float | Tensor) -> Tensor:
    """Codes on the named way from a to b at times t; undefined arcs of ``slerp`` are lines.

    Raises:
        UnknownNameError: no such way; close names are offered.
    """
    if name not in INTERPOLATIONS:
        raise UnknownNameError("interpolation", name, INTERPOLATIONS)
    return INTERPOLATIONS[name](prior, a, b, t)


def sphere_step(z: Tensor, action: Tensor, length: float) -> Tensor:
    """Exponential map of the sphere through z: along the great circle by the action's tangential part, out by its radial part.

    A tangential action keeps |z| and turns z by the angle length * |a| / |z|, as `slerp` towards it would. Where that is
    more than a quarter turn, near the origin, the step is straight.

    Args:
        z: (B, d).
        action: (B, d).
        length: of an action of norm 1.
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
    """`way` with a at t = 0 and b at t = 1 to the last bit."""
    return torch.where(t == 0, a, torch.where(t == 1, b, way))


def _refuse(rows: Tensor, why: str) -> None:
    if bool(rows.any()):
        row = int(rows.reshape(-1).nonzero()[0, 0])
        raise ManifoldError(f"slerp: the codes of row {row} are {why}; use lerp, or slerp(..., undefined='lerp')")
