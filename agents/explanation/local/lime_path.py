"""Latent LIME along paths: how the local explanation changes from frame to frame.

::

    slopes, r2 = lime_along(path, world)      # slopes (T+1, *data_shape), r2 (T+1,)

The fit is described in `agents.explanation.local.latent_lime`. Its queries are analysis: the classifier counts them and
`PathSlopes.queries` reports them, but they are part of no path's `queries`.
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
    """Local explanations along one path.

    Attributes:
        slopes: (T+1, *data_shape) of the target's probability by each value of the datum.
        r2: (T+1,) of the fits.

    Example:
        >>> from agents.explain import explain
        >>> from envs import make_world
        >>> world = make_world()
        >>> slopes, r2 = lime_along(explain(world, 0, walker="line"), world)
        >>> slopes.shape, r2.shape
        ((16, 4), (16,))
    """

    slopes: np.ndarray
    r2: np.ndarray


@dataclass(frozen=True)
class PathSlopes:
    """The local linear models along one path.

    Attributes:
        latent: (T+1, d) slopes by latent coordinate.
        slopes: (T+1, *data_shape) the same by each value of the datum; `nan` for text, whose words are not numbers.
        r2: (T+1,) weighted R2 of each fit; `nan` where the prediction is constant around a frame.
        queries: classifier queries of this analysis.

    Example:
        >>> PathSlopes(np.zeros((3, 2)), np.zeros((3, 4)), np.ones(3), queries=600).queries
        600
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
    """Latent LIME at every frame of one path: which pixels or columns, moved along the manifold, change the prediction.

    Args:
        trajectory: the path; the probability of its target is explained (under `leave`, that of the best other class).
        world: where it was walked.
        samples, neighbourhood, seed: see `latent_lime.latent_slopes`; (T+1) x samples queries in one batch.

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
    """Latent LIME at every frame of many paths, in one batch; arguments as in `lime_along`."""
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
    """(T+1,) the class whose probability is explained; -k-1 for the best one but k (the task `leave`)."""
    import torch

    column = -path.source - 1 if task == "leave" else path.target
    return torch.full((len(path.z),), column, dtype=torch.int64)
