"""A policy that begins by following a teacher, before it learns anything by reward.

In a latent space of many dimensions a random walk hardly ever comes upon another class, and a policy that is to find its way
by trial gets next to no signal: with 32 dimensions nearly all of a sampled action is noise. So the mean of the policy is first
fitted to a teacher (behaviour cloning). What the policy's own learning then adds is when and where to do otherwise. The
teacher's walks are steps of the environment like any others: the rows they query are counted as training. There are three
teachers:

- ``guidance``: the way in which the frame comes nearer to the nearest starts of the target class, bent towards the middle of
  that class's codes. It sees as far as the decoder's derivative, which many dimensions make a good guide.
- ``straight``: straight to the nearest code of the target class. For maps of few dimensions, where the derivative leads into
  the next dead end and the way across lies over other classes (`envs.core.horizon`).
- ``line``: the straight lines that arrive, as the walker `line` finds them by queries. For tables, where a frame keeps columns
  of its input, so that the code of a row of the target class may not lead into that class.

B walks, d latent, N observed states.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from functools import partial
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import torch
from torch import Tensor

from agents.walkers.base import select
from agents.walkers.line import LineWalker
from envs.core import dynamics
from envs.gym.episodes import Draws, drawn

if TYPE_CHECKING:
    from envs.core.state import State
    from envs.core.world import World

WALKS, FEWEST = 1024, 16  # of the teacher, at most and at least
BEND = 0.4  # share of the class's middle in the teacher's direction
STEPS, BATCH, RATE = 1500, 256, 2e-3
SPREAD = 0.5  # length of the noise of a sampled action, whatever the dimension


def guidance_action(world: World, state: State) -> Tensor:
    """Full actions (B, d) towards the nearest starts of the target class and its middle; without a query."""
    place = world.manifold.coordinates(state.z, state.frame)
    near = world.manifold.near(state.factual).vjp(state.z, -world.class_neighbours(place, state.target).gradient)
    middle = torch.from_numpy(world.reference.class_codes[0][state.target.numpy()]) - state.z
    parts = [torch.nn.functional.normalize(part, dim=1) for part in (near, middle)]
    return torch.nn.functional.normalize((1 - BEND) * parts[0] + BEND * parts[1], dim=1)


def straight_action(world: World, state: State) -> Tensor:
    """Full actions (B, d) straight to the nearest code of the target class that a walk may end at, without a query."""
    return -world.end_codes(state.z, state.target).gradient  # of the distance to one code: the unit vector away from it


def walks_of_the_line(world: World, start: State) -> Iterator[tuple[State, Tensor]]:
    """States of B walks and full actions (B, d) of the straight lines that arrive (`agents.walkers.line`), step by step;
    lines to queried ends are among them."""
    walk = LineWalker(refine=0).walk(
        world, start, torch.zeros(len(start.z), dtype=torch.int64), torch.Generator().manual_seed(0)
    )
    rows = torch.nonzero(walk.success & (walk.length > 0)).flatten()
    state = select(start, rows)
    for k in range(len(walk.actions)):
        going = walk.length[rows] > k
        state, rows = select(state, going), rows[going]
        if not len(rows):
            return
        yield state, walk.actions[k, rows]
        state, _ = dynamics.step(world, state, walk.actions[k, rows], known=walk.predictions[k + 1, rows])


def walks_by(act: Callable[[World, State], Tensor], world: World, state: State) -> Iterator[tuple[State, Tensor]]:
    """States of B walks and actions (B, d), step by step, of walks by `act` until they arrive or reach the step limit."""
    for _ in range(world.max_episode_steps):
        state = select(state, ~dynamics.arrived(world, state))
        if not len(state.z):
            return
        with torch.inference_mode():
            action = act(world, state)
        yield state, action
        state, _ = dynamics.step(world, state, action)


class Teacher(NamedTuple):
    """A source of walks that a policy imitates first.

    Attributes:
        walks: from states, as pairs of the states and the actions of each step.
        steps: of the training for each walk, which bounds the teacher's share of the queries; 0: the number of walks is fixed.
        needs_guidance: whether it follows the guidance features of the world.

    Example:
        >>> TEACHERS["line"].count(2000), TEACHERS["line"].count(30_000), TEACHERS["guidance"].count(2000)
        (0, 150, 1024)
    """

    walks: Callable[[World, State], Iterator[tuple[State, Tensor]]]
    steps: int = 0
    needs_guidance: bool = False

    def count(self, steps: int) -> int:
        """Number of walks for a training of `steps` steps; 0 if they would be fewer than `FEWEST`."""
        walks = min(WALKS, steps // self.steps) if self.steps else WALKS
        return walks if walks >= FEWEST else 0


TEACHERS: dict[str, Teacher] = {
    "guidance": Teacher(partial(walks_by, guidance_action), needs_guidance=True),
    "straight": Teacher(partial(walks_by, straight_action)),
    "line": Teacher(walks_of_the_line, 200),  # with some 20 queries each: a tenth of the training's
}


def walks_of_the_teacher(world: World, seed: int, walks: int = WALKS, teacher: str = "guidance") -> tuple[Tensor, Tensor]:
    """Observations (N, obs_dim) and the actions (N, d) of one of `TEACHERS` on walks from random starts."""
    state = drawn(world, Draws([np.random.default_rng(seed + i) for i in range(walks)])(np.arange(walks)))
    pairs = [(dynamics.observe(world, state), action) for state, action in TEACHERS[teacher].walks(world, state)]
    if not pairs:
        return torch.zeros(0, world.obs_dim), torch.zeros(0, world.latent_dim)
    seen, actions = zip(*pairs, strict=True)
    return torch.cat(seen).clone(), torch.cat(actions).clone()


def follow_the_teacher(model: Any, world: World, seed: int, teacher: str = "guidance", walks: int = WALKS) -> dict[str, float]:
    """Fit the mean of a Gaussian policy (of stable-baselines3's on-policy algorithms) to one of `TEACHERS`, and set its noise.
    A teacher whose walks take no step leaves the policy as it is.

    Returns:
        ``rows``: number of states; ``error``: mean squared distance between the policy's mean and the teacher's action.
    """
    policy, generator = model.policy, torch.Generator().manual_seed(seed)
    seen, actions = walks_of_the_teacher(world, seed, walks, teacher)
    if not len(seen):
        return {"rows": 0, "error": 0.0}
    seen, actions = seen.to(model.device), actions.to(model.device)
    optimizer, steps = torch.optim.Adam(policy.parameters(), lr=RATE), min(STEPS, 4 * len(seen))
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, steps)
    for _ in range(steps):
        index = torch.randint(len(seen), (BATCH,), generator=generator)
        missed = policy.get_distribution(seen[index]).distribution.mean - actions[index]
        optimizer.zero_grad()
        missed.square().sum(1).mean().backward()
        optimizer.step()
        schedule.step()
    with torch.no_grad():
        policy.log_std.fill_(math.log(SPREAD / math.sqrt(world.latent_dim)))
        error = float((policy.get_distribution(seen).distribution.mean - actions).square().sum(1).mean())
    return {"rows": len(seen), "error": error}
