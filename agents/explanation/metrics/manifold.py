"""Measures of paths as curves on the manifold: between its frames, a path is the decoded straight latent segment.

Lengths in the pullback metric J^T J of the decoder are sums of data-space distances between close points on the latent curve:
the Riemann sum of the integral of |J(z) dz|, without a Jacobian. All paths are decoded together.

Symbols: N paths, T steps of a path, d latent dimensions.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from agents.explanation.metrics import path as of_path

if TYPE_CHECKING:
    from agents.trajectories.trajectory import Trajectory
    from envs.core.world import World

SUBDIVISION = 8  # points per latent segment
STRAIGHT = 48  # points of the straight latent line
SPLINE_STEPS = 60  # of the optimiser of a geodesic; on digits, more change the length by less than a thousandth
RESAMPLED = 32  # points at which roughness is computed
ROWS = 65_536  # decoded at once


def curve_columns(world: World, latents: Sequence[np.ndarray], paths: Sequence[Trajectory]) -> dict[str, np.ndarray]:
    """Measures of decoded latent polylines.

    Args:
        world: decodes.
        latents: N polylines (T+1, d).
        paths: N paths, which give the inputs of the walks.

    Returns:
        key -> (N,): `pullback_length`, `line_ratio` (over the straight latent line between the same ends) and `roughness` (of
        32 points at equal arc length); the latter two are `nan` where a path does not move.
    """
    names = ("pullback_length", "line_ratio", "roughness")
    if not latents:
        return {name: np.zeros(0) for name in names}
    fine = [subdivided(z, SUBDIVISION) for z in latents]
    straight = [z[0] + np.linspace(0, 1, STRAIGHT + 1, dtype=np.float32)[:, None] * (z[-1] - z[0]) for z in latents]
    shown, ideal = _decoded(world, fine, paths), _decoded(world, straight, paths)
    length = np.array([of_path.path_length(points) for points in shown])
    line = np.array([of_path.path_length(points) for points in ideal])
    with np.errstate(divide="ignore", invalid="ignore"):
        ratio = np.where(line > 0, length / line, np.nan)
    rough = [of_path.roughness(of_path.resample_by_arc_length(points, RESAMPLED)) for points in shown]
    return {"pullback_length": length, "line_ratio": ratio, "roughness": np.array(rough)}


def detours(world: World, latents: Sequence[np.ndarray]) -> np.ndarray:
    """Length of decoded polylines (T+1, d) over that of a geodesic between the same ends, (N,).

    `nan` where a path does not move, and for all paths where the decoder has no gradients, so that no geodesic can be found.
    """
    import torch

    from envs.errors import ManifoldError
    from envs.geometry.curves import pixels
    from envs.geometry.geodesics import detour_ratio

    try:
        view = pixels(world.manifold)
        return np.asarray(detour_ratio(view, [torch.from_numpy(z) for z in latents], steps=SPLINE_STEPS).numpy())
    except (ManifoldError, RuntimeError):  # integers (text), or a user's decoder that detaches
        return np.full(len(latents), np.nan)


def subdivided(z: np.ndarray, n: int) -> np.ndarray:
    """(T+1, d) -> (n T + 1, d): every segment in n equal parts, the points themselves included."""
    share = np.arange(1, n + 1, dtype=np.float32)[None, :, None] / n
    between = z[:-1, None] + share * np.diff(z, axis=0)[:, None]
    return np.concatenate([z[:1], between.reshape(-1, z.shape[1])])


def _decoded(world: World, parts: Sequence[np.ndarray], paths: Sequence[Trajectory]) -> list[np.ndarray]:
    """Flat frames of each part, in a walk from the input of its path; decoded together, in blocks that fit into memory."""
    import torch

    from agents.trajectories.world import decode, origins_of

    together = np.concatenate(parts)
    owner = torch.arange(len(parts)).repeat_interleave(torch.tensor([len(part) for part in parts]))
    factuals = origins_of(world, paths)
    cuts = [slice(low, low + ROWS) for low in range(0, len(together), ROWS)]
    blocks = [decode(world, together[rows], factuals.chosen(owner[rows])) for rows in cuts]
    shown = np.concatenate(blocks).reshape(len(together), -1)
    return np.split(shown, np.cumsum([len(part) for part in parts])[:-1])
