"""Information gain along paths and over the latent space: where the model of a run's curiosity is uncertain, in nats.

Two quantities. The *information gain* of a step that was taken: how much the transition would change the network at the end of
the training (retrospective, `vime.VIME.score`). The *expected gain* at a latent: how much a step from there would change it on
average, before its outcome is observed (BALD, `vime.VIME.expected_information_gain`).

Neither queries the classifier. Symbols: S steps, B walks, d latent dimensions, K classes.
"""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import torch
from torch import Tensor

from envs.core import dynamics
from envs.core.nearest import nearest
from envs.core.state import State

if TYPE_CHECKING:
    from agents.runs.run import Run
    from agents.walkers.base import Walk
    from envs.core.world import World

NATS = "nats"
DIRECTIONS = 8  # random unit actions over which the expected gain at a latent is averaged
NEIGHBOURS = 15  # reference inputs whose predictions are averaged for that at a latent


class GainMap(NamedTuple):
    """Expected gain on the plane of the reference inputs.

    Attributes:
        gains: (n, n) in nats, row 0 at the bottom.
        low, high: (2,) corners of the plane.

    Example:
        >>> GainMap(np.zeros((2, 2)), np.zeros(2), np.ones(2)).gains.shape
        (2, 2)
    """

    gains: np.ndarray
    low: np.ndarray
    high: np.ndarray


def bonus_in_nats(run: Run | None) -> Any:
    """The run's bonus where it measures information (vime, bald) and is fitted; else None.

    A bonus that was saved in another format gives None and a line on stderr.
    """
    if run is None or run.world is None or run.folder.config.get("curiosity") is None:
        return None
    from vime.serialization import StateMismatchError

    try:
        bonus = run.bonus
    except StateMismatchError as error:
        print(f"information gain is left out: {error}", file=sys.stderr)
        return None
    return bonus if bonus.units == NATS and bonus.ready else None


def information_gain(bonus: Any, world: World, start: State, walk: Walk) -> Tensor:
    """Information gain of every step.

    Args:
        bonus: of the run.
        world: where the walks took place.
        start: (B) states at frame 0.
        walk: B items.

    Returns:
        (S, B) nats; nan after the end of a walk.
    """
    steps, batch = walk.actions.shape[:2]
    if not steps:
        return torch.zeros(0, batch)
    seen = observations_at(world, start, walk.z.flatten(0, 1), walk.predictions.flatten(0, 1), repeats=steps + 1)
    seen = seen.view(steps + 1, batch, -1)
    scores = bonus.score(seen[:-1].flatten(0, 1), walk.actions.flatten(0, 1), seen[1:].flatten(0, 1))
    late = torch.arange(steps)[:, None] >= walk.length[None]
    return scores.view(steps, batch).masked_fill(late, torch.nan)


def observations_at(world: World, start: State, z: Tensor, predictions: Tensor, repeats: int) -> Tensor:
    """Observations of walks from `start` at other latents.

    Args:
        world: where the walks took place.
        start: (B) states at frame 0.
        z: (repeats * B, d) latents.
        predictions: (repeats * B, K) probabilities there.
        repeats: how often `start` is repeated.

    Returns:
        (repeats * B, obs_dim).
    """
    first = State(*(part.repeat(repeats, *([1] * (part.ndim - 1))) for part in start))
    with torch.inference_mode():
        state = first._replace(z=z, frame=world.decode(z, first.home), prediction=predictions)
        return dynamics.observe(world, dynamics.refresh(world, state)).clone()


def expected_gain_map(bonus: Any, world: World, size: int = 64) -> GainMap:
    """Expected gain over the plane of the two principal axes of the reference inputs (`envs.core.latent_map`).

    Codes lie in the plane, inside the prior's typical set. The prediction at a code is the mean of those of the nearest
    reference inputs (their most frequent label), so the classifier is not queried.

    Args:
        bonus: of the run.
        world: of the run.
        size: n, cells along each side.
    """
    from envs.core.latent_map import LatentMap

    plane = LatentMap(world)
    left, right, bottom, top = plane.extent
    across = left + (torch.arange(size) + 0.5) / size * (right - left)
    up = bottom + (torch.arange(size) + 0.5) / size * (top - bottom)
    places = torch.stack(torch.meshgrid(across, up, indexing="xy"), dim=-1).view(-1, 2)
    z = world.manifold.prior.project((plane.centre + places @ plane.axes).to(torch.float32))
    count = min(NEIGHBOURS, len(world.reference.z))
    near = nearest(z, world.reference.z, count)[1]
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
