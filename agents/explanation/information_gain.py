"""Information gain of paths and of latent codes, in nats: where a run's model of the manifold is uncertain.

The *information gain* of a step is how far its transition would move the posterior of the network after training
(:meth:`vime.VIME.score`). The *expected gain* of a code is the gain of a step from there, averaged over what may follow
(BALD, :meth:`vime.VIME.expected_information_gain`). Neither queries the classifier.

Symbols: S steps, B walks, d latent dimensions, K classes.
"""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import torch
from torch import Tensor

from envs.core import dynamics
from envs.core.dynamics import State

if TYPE_CHECKING:
    from agents.runs.run import Run
    from agents.walkers.base import Walk
    from envs.core.world import World

NATS = "nats"
DIRECTIONS = 8  # random unit actions whose expected gains are averaged for a code
NEIGHBOURS = 15  # nearest starts whose known predictions are averaged for a code


class GainMap(NamedTuple):
    """Expected gain on the plane through the starts.

    Attributes:
        gains: (n, n) in nats, row 0 at the bottom.
        low: (2,) lower left corner.
        high: (2,) upper right corner.
    """

    gains: np.ndarray
    low: np.ndarray
    high: np.ndarray


def bonus_in_nats(run: Run | None) -> Any:
    """Return the run's bonus if its unit is nats (vime, bald) and it has been fitted; else None.

    A bonus that was saved in another format is skipped with a message.
    """
    if run is None or run.world is None or run.folder.run_config().curiosity is None:
        return None
    from vime.serialization import StateMismatchError

    try:
        bonus = run.bonus
    except StateMismatchError as error:
        print(f"information gain is omitted: {error}", file=sys.stderr)
        return None
    return bonus if bonus.units == NATS and bonus.ready else None


def information_gain(bonus: Any, world: World, start: State, walk: Walk) -> Tensor:
    """Return the gain (S, B) in nats of every step of walks that began in `start`; nan after the end of a walk."""
    steps, batch = walk.actions.shape[:2]
    if not steps:
        return torch.zeros(0, batch)
    observations = observations_at(world, start, walk.z.flatten(0, 1), walk.predictions.flatten(0, 1), repeats=steps + 1)
    observations = observations.view(steps + 1, batch, -1)
    scores = bonus.score(observations[:-1].flatten(0, 1), walk.actions.flatten(0, 1), observations[1:].flatten(0, 1))
    late = torch.arange(steps)[:, None] >= walk.length[None]
    return scores.view(steps, batch).masked_fill(late, torch.nan)


def observations_at(world: World, start: State, z: Tensor, predictions: Tensor, repeats: int) -> Tensor:
    """Return observations (repeats * B, obs_dim) of walks that began in `start` (B) and are at z (repeats * B, d)."""
    first = State(*(part.repeat(repeats, *([1] * (part.ndim - 1))) for part in start))
    with torch.inference_mode():
        state = first._replace(z=z, frame=world.decode(z, first.home), prediction=predictions)
        return dynamics.observe(world, dynamics.refresh(world, state)).clone()


def expected_gain_map(bonus: Any, world: World, size: int = 64) -> GainMap:
    """Expected gain over the plane through the two principal axes of the reference set (`envs.core.latent_map`).

    Codes lie in the plane, inside the typical set of the prior. The classifier is not queried: its prediction for a code is
    replaced by the mean prediction of the nearest starts (in label-only worlds by their most frequent label).

    Args:
        bonus: A fitted bonus in nats.
        world: The latent space.
        size: Codes along each axis.
    """
    from envs.core.latent_map import LatentMap

    plane = LatentMap(world)
    left, right, bottom, top = plane.extent
    across = left + (torch.arange(size) + 0.5) / size * (right - left)
    up = bottom + (torch.arange(size) + 0.5) / size * (top - bottom)
    places = torch.stack(torch.meshgrid(across, up, indexing="xy"), dim=-1).view(-1, 2)
    z = world.manifold.prior.project((plane.centre + places @ plane.axes).to(torch.float32))
    count = min(NEIGHBOURS, len(world.reference.z))
    near = torch.cat([torch.cdist(part, world.reference.z).topk(count, largest=False).indices for part in z.split(1024)])
    predictions = world.reference.prediction[near].mean(1)
    if world.label_only:
        predictions = world.one_hot[predictions.argmax(1)]
    start = dynamics.start(world, near[:, 0], predictions.argmax(1))
    observations = observations_at(world, start._replace(z0=z), z, predictions, repeats=1)
    actions = torch.randn(DIRECTIONS, world.latent_dim, generator=torch.Generator().manual_seed(0))
    total = torch.zeros(len(z))
    for action in torch.nn.functional.normalize(actions):
        total += bonus.expected_information_gain(observations, action.expand(len(z), -1))
    gains = (total / DIRECTIONS).view(size, size).numpy()
    return GainMap(gains, np.array([left, bottom]), np.array([right, top]))
