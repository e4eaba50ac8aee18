"""Latent LIME along paths: how the local explanation changes on the way.

::

    slopes, r2 = lime_along(path, world)      # slopes (T+1, *data_shape), r2 (T+1,)

What is fitted stands in `agents.explanation.local.latent_lime`. The rows asked here are for analysis: they are counted by the
classifier and told in `PathSlopes.queries`, and no path's own `queries` changes.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from agents.explanation.figures.renderer import renderer_of
from agents.explanation.local.latent_lime import NEIGHBOURHOOD, SAMPLES

if TYPE_CHECKING:
    from torch import Tensor

    from agents.trajectories.trajectory import Trajectory
    from envs.core.world import World


class LimeAlong(NamedTuple):
    """Slopes of the probability asked for by each value of the datum, (T+1, *data_shape), and each fit's R2 (T+1,)."""

    slopes: np.ndarray
    r2: np.ndarray


@dataclass(frozen=True)
class PathSlopes:
    """The local linear models along one path.

    Attributes:
        latent: (T+1, d) slopes by latent coordinate.
        slopes: (T+1, *data_shape) the same by each value of the datum; `nan` for text, whose words are no numbers.
        r2: (T+1,) weighted R2 of each fit; `nan` where the classifier's answer is constant around a frame.
        queries: rows asked of the classifier for this path's analysis.
    """

    latent: np.ndarray
    slopes: np.ndarray
    r2: np.ndarray
    queries: int


def lime_along(
    trajectory: Trajectory,
    world: World,
    *,
    samples: int = SAMPLES,
    neighbourhood: float = NEIGHBOURHOOD,
    seed: int = 0,
) -> LimeAlong:
    """Latent LIME at every frame of one path: which pixels or columns, moved along the manifold, change the answer.

    Args:
        trajectory: the path; its target's probability is explained (the best other class's where it was to be left).
        world: the world that it was walked in.
        samples, neighbourhood, seed: see `latent_lime.latent_slopes`; (T+1) x samples rows are asked, in one batch.

    Raises:
        ManifoldError: labels alone are shown, or the path is of another manifold (TrajectoryError).
    """
    found = slopes_along([trajectory], world, samples=samples, neighbourhood=neighbourhood, seed=seed)[0]
    return LimeAlong(found.slopes, found.r2)


def slopes_along(
    trajectories: Sequence[Trajectory],
    world: World,
    *,
    samples: int = SAMPLES,
    neighbourhood: float = NEIGHBOURHOOD,
    seed: int = 0,
) -> list[PathSlopes]:
    """Latent LIME at every frame of many paths, all frames in one batch; arguments as in `lime_along`."""
    import torch

    from agents.explanation.local.latent_lime import in_data_space, latent_slopes
    from agents.trajectories.world import origins_of

    if not trajectories:
        return []
    z = torch.from_numpy(np.concatenate([path.z for path in trajectories]))
    sizes = [len(path.z) for path in trajectories]
    found = latent_slopes(
        world, z, origins_of(world, trajectories, sizes),
        torch.cat([asked_column(path, world.task.name) for path in trajectories]),
        samples=samples, neighbourhood=neighbourhood, seed=seed,
    )  # fmt: skip
    if not renderer_of(world).numeric:
        shown = torch.full((len(z), *world.manifold.data_shape), torch.nan)
    else:
        shown = in_data_space(world, z, found.latent)
    parts = zip(found.latent.split(sizes), shown.split(sizes), found.r2.split(sizes), sizes, strict=True)
    return [PathSlopes(a.numpy(), b.numpy(), c.numpy(), samples * n) for a, b, c, n in parts]


def asked_column(path: Trajectory, task: str = "reach") -> Tensor:
    """(T+1,) the class whose probability is asked for; -k-1 where it is whichever is best but k (the task `leave`)."""
    import torch

    column = -path.source - 1 if task == "leave" else path.target
    return torch.full((len(path.z),), column, dtype=torch.int64)
