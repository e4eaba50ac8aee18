"""Distribution-preserving operations on codes: combine codes linearly, then transport the result to the prior's distribution.

A combination y = sum c_i z_i of independent samples of the prior has another distribution than the prior, on which the
generator was not trained. For a prior with iid coordinates the optimal transport map back is monotone and acts on each
coordinate:

    T(y) = F_Z^-1(F_Y(y))                                       (theorems 1 and 2 of [1]_)

There are closed forms for normal, uniform (exact sums of uniforms) and sphere. Any other iid prior with `cdf` and `ppf` uses a
numerical convolution. Operations (table 1 of [1]_): `two_point`, `combine` (n-point), `vicinity`, `analogy`. The guarantee
holds for independent samples, not for codes of similar real data.

Symbols: B codes, d coordinates, n points, coefficients c (n,).

References:
    .. [1] Agustsson, Sage, Timofte and Van Gool, "Optimal Transport Maps for Distribution Preserving Operations on Latent
    Spaces of
       Generative Models", ICLR 2019. (Its t multiplies the first point; here t = 0 is the first point.)
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import product
from typing import Protocol

import numpy as np
import torch
from torch import Tensor

from envs.errors import ManifoldError

EXACT_TERMS = 12  # longer sums of uniforms are convolved: the exact formula has 2^n terms that cancel
CELLS = 1 << 14  # cells of the convolution grid
TAIL = 1e-7  # probability outside the grid at each end of an unbounded distribution

NO_LAW = "the {!r} prior has no distribution to preserve: use lerp or slerp, or the euclidean move"
LAWLESS = ("none", "hull")


class Law(Protocol):
    """A prior with iid coordinates: `envs.manifolds.Prior`, or any object with these two functions of tensors.

    An attribute `kind` (``normal``, ``uniform``, ``sphere``) selects a closed form; without it the distribution is convolved
    numerically.

    Example:
        >>> from envs.manifolds import Prior
        >>> combine(Prior("normal", 1), torch.tensor([[[1.0]], [[1.0]]]), [0.5, 0.5])
        tensor([[1.4142]])
    """

    def cdf(self, z: Tensor) -> Tensor:
        """Distribution function of one coordinate, elementwise."""
        ...

    def ppf(self, u: Tensor) -> Tensor:
        """Quantile function of one coordinate, elementwise."""
        ...


def two_point(prior: Law, a: Tensor, b: Tensor, t: float | Tensor) -> Tensor:
    """The matched point of (1 - t) a + t b.

    Args:
        prior: Distribution of the codes.
        a: First codes, (B, d) or (T, B, d).
        b: Last codes, likewise.
        t: A time, or times that broadcast against the codes.
    """
    t = torch.as_tensor(t, dtype=a.dtype)
    y = (1 - t) * a + t * b
    if _kind(prior) == "normal":
        return y / ((1 - t).square() + t.square()).sqrt()
    if _kind(prior) == "uniform":
        return _uniform_of_two(y, 1 - t, t)
    if _kind(prior) == "sphere" or t.numel() == 1:
        return to_prior(prior, y, (1 - float(t), float(t)) if t.numel() == 1 else (0.5, 0.5))
    rows = [to_prior(prior, part, (1 - s, s)) for part, s in zip(y, t.flatten().tolist(), strict=True)]
    return torch.stack(rows)


def combine(prior: Law, points: Sequence[Tensor] | Tensor, coefficients: Sequence[float]) -> Tensor:
    """The matched point of sum c_i z_i, for example the mean of four points.

    Args:
        prior: Distribution of the codes.
        points: Points, (n, B, d).
        coefficients: Coefficients, (n,).

    Raises:
        ManifoldError: If the numbers of coefficients and points differ, or all coefficients are zero.
    """
    if len(points) != len(coefficients) or not any(coefficients):
        raise ManifoldError(f"{len(points)} points need as many coefficients, not all zero; got {list(coefficients)}")
    y = torch.zeros_like(points[0])
    for c, point in zip(coefficients, points, strict=True):
        y = y + c * point
    return to_prior(prior, y, coefficients)


def vicinity(prior: Law, z: Tensor, u: Tensor, epsilon: float) -> Tensor:
    """The matched point of z + epsilon u: a step whose walk keeps the prior's distribution.

    For a normal prior it is an AR(1) process: after k steps the correlation with the start is (1 + epsilon^2)^(-k/2).

    Args:
        prior: Distribution of the codes.
        z: Codes, (B, d).
        u: Samples of the prior, (B, d).
        epsilon: Size of the step.
    """
    if _kind(prior) == "normal":
        return torch.add(z, u, alpha=epsilon).div_(math.sqrt(1 + epsilon * epsilon))
    return to_prior(prior, torch.add(z, u, alpha=epsilon), (1.0, epsilon))


def analogy(prior: Law, a: Tensor, b: Tensor, c: Tensor) -> Tensor:
    """The matched point of c + (b - a): a is to b as c is to the result. All are (B, d)."""
    return to_prior(prior, c + (b - a), (1.0, 1.0, -1.0))


def to_prior(prior: Law, y: Tensor, coefficients: Sequence[float]) -> Tensor:
    """Map combinations of independent samples to the prior by the monotone map T.

    Args:
        prior: Distribution of the codes.
        y: Combinations, (..., d).
        coefficients: Their coefficients, (n,).

    Raises:
        ManifoldError: If the coordinates of the prior are not independent.
    """
    kind, c = _kind(prior), [float(value) for value in coefficients if value]
    if len(c) == 1 and c[0] == 1:
        return y
    if kind == "normal":
        return y / math.sqrt(sum(value * value for value in c))
    if kind == "sphere":
        return y * (math.sqrt(y.shape[-1]) / y.norm(dim=-1, keepdim=True).clamp_min(1e-12))
    if kind == "uniform":
        # The distribution of a symmetric variable does not depend on the sign of its coefficient.
        large = max(abs(value) for value in c)
        sizes = [abs(value) for value in c if abs(value) >= 1e-6 * large]
        if len(sizes) <= 2:
            second = sizes[1] if len(sizes) == 2 else 0.0
            return _uniform_of_two(y, torch.tensor(sizes[0], dtype=y.dtype), torch.tensor(second, dtype=y.dtype))
        if len(sizes) <= EXACT_TERMS:
            return (2 * uniform_sum_cdf(y.double(), sizes) - 1).to(y.dtype)
    if kind in LAWLESS:
        raise ManifoldError(NO_LAW.format(kind))
    place, probability = _sum_law(prior, tuple(c))
    u = np.interp(y.double().numpy(), place, probability)
    return prior.ppf(torch.from_numpy(u).clamp(TAIL, 1 - TAIL)).to(y.dtype)


def root_mean_square(prior: Law) -> float:
    """Root mean square of one coordinate: 1 for normal and sphere, 1 / sqrt(3) for uniform.

    Raises:
        ManifoldError: If the prior has no density.
    """
    kind = _kind(prior)
    if kind in ("normal", "sphere"):
        return 1.0
    if kind in LAWLESS:
        raise ManifoldError(NO_LAW.format(kind))
    if kind == "uniform":
        return 1 / math.sqrt(3)
    kept = vars(prior)
    if "_root_mean_square" not in kept:
        middles = (torch.arange(4096, dtype=torch.float64) + 0.5) / 4096
        kept["_root_mean_square"] = float(prior.ppf(middles).square().mean().sqrt())
    return float(kept["_root_mean_square"])


def _uniform_of_two(y: Tensor, first: Tensor, second: Tensor) -> Tensor:
    """T for y = c_1 z_1 + c_2 z_2 with z uniform on [-1, 1] and c >= 0: the density of y is a trapezium, so T has two pieces.

    With a <= b the sorted coefficients and u = |y|: sign(y) u / b if u <= b - a, else
    sign(y) (1 - (a + b - u)^2 / (4 a b)).
    """
    a, b = torch.minimum(first, second), torch.maximum(first, second)
    u = torch.minimum(y.abs(), a + b)
    outer = 1 - (a + b - u).square() / (4 * a * b).clamp_min(1e-12)
    return torch.sign(y) * torch.where(u <= b - a, u / b, outer)


def uniform_sum_cdf(y: Tensor, sizes: Sequence[float]) -> Tensor:
    """Distribution function of sum c_i z_i with z_i uniform on [-1, 1].

    F(y) = 1 / (n! prod 2 c_i) * sum over s in {0, 1}^n of (-1)^|s| max(y + sum c - 2 <s, c>, 0)^n

    Args:
        y: Points, float64.
        sizes: Coefficients c_i > 0, (n,). The sum has 2^n terms.
    """
    n, total = len(sizes), sum(sizes)
    # By symmetry the lower half suffices, where few terms are nonzero and little cancels.
    low = -y.abs()
    out = torch.zeros_like(y)
    for signs in product((0, 1), repeat=n):
        shift = total - 2 * sum(s * c for s, c in zip(signs, sizes, strict=True))
        out += (-1) ** sum(signs) * (low + shift).clamp_min(0).pow(n)
    out = (out / (math.factorial(n) * math.prod(2 * c for c in sizes))).clamp(0, 0.5)
    return torch.where(y > 0, 1 - out, out)


def _sum_law(prior: Law, coefficients: tuple[float, ...]) -> tuple[np.ndarray, np.ndarray]:
    """Grid and distribution function of sum c_i z_i for any iid prior, by convolving cell masses; cached with the prior."""
    kept = vars(prior).setdefault("_sum_laws", {})  # the matched move needs the same distribution at every step
    if coefficients not in kept:
        kept[coefficients] = _convolved(prior, coefficients)
    found: tuple[np.ndarray, np.ndarray] = kept[coefficients]
    return found


def _convolved(prior: Law, coefficients: tuple[float, ...]) -> tuple[np.ndarray, np.ndarray]:
    from scipy.signal import fftconvolve

    low, high = (float(v) for v in prior.ppf(torch.tensor([TAIL, 1 - TAIL], dtype=torch.float64)))
    low, high = low - 1e-6 * (high - low), high + 1e-6 * (high - low)
    cell = sum(abs(c) for c in coefficients) * (high - low) / CELLS
    masses, first = np.ones(1), 0.0
    for c in coefficients:
        ends = sorted((c * low, c * high))
        count = int(np.ceil((ends[1] - ends[0]) / cell)) + 1
        edges = ends[0] + cell * (np.arange(count + 1) - 0.5)
        below = prior.cdf(torch.from_numpy(edges / c)).numpy() if c else (edges > 0).astype(float)
        part = np.abs(np.diff(below))
        # Empirical distributions have steps, and truncated ones lack their tails.
        masses = fftconvolve(masses, part / part.sum()).clip(0)
        first += ends[0]
    place = first + cell * (np.arange(len(masses)) + 0.5)
    return place, np.cumsum(masses) / masses.sum()


def _kind(prior: Law) -> str:
    return str(getattr(prior, "kind", "iid"))
