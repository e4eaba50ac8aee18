"""A path at equal distances in data space."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from agents.trajectories.file import TrajectoryError
from agents.trajectories.world import coordinates, decode

if TYPE_CHECKING:
    from envs.core.factual import Factual

SUBDIVISION = 16  # points per segment in the measurement of arc length between frames


class Resampled(NamedTuple):
    """A path resampled at equal distances in data space.

    Attributes:
        z: (n, d) latents.
        frames: (n, *data).

    Example:
        >>> from agents.explain import explain
        >>> from envs import make_world
        >>> world = make_world()
        >>> explain(world, 0, walker="line").resample(5, world).z.shape
        (5, 2)
    """

    z: np.ndarray
    frames: np.ndarray


def resample(world: Any, codes: np.ndarray, factual: Factual, n: int) -> Resampled:
    """Points at equal arc length in data space along the straight latent segments between codes, ends included.

    Args:
        world: where the path was walked.
        codes: (T+1, d).
        factual: the input, a batch of one.
        n: number of points, at least 1.

    Raises:
        TrajectoryError: no point.
    """
    if n < 1:
        raise TrajectoryError(f"resample({n}): at least one point is needed")
    share = np.arange(1, SUBDIVISION + 1)[None, :, None] / SUBDIVISION
    between = codes[:-1, None] + share * np.diff(codes, axis=0)[:, None]
    fine = np.concatenate([codes[:1], between.reshape(-1, codes.shape[1])])
    shown = coordinates(world, fine, decode(world, fine, factual))
    arc = np.concatenate([[0.0], np.cumsum(np.linalg.norm(np.diff(shown, axis=0), axis=1), dtype=np.float64)])
    wanted = np.linspace(0.0, arc[-1], n)
    z = np.stack([np.interp(wanted, arc, column) for column in fine.T], axis=1).astype(np.float32)
    return Resampled(z, decode(world, z, factual))
