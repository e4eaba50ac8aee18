"""A policy that begins by following a teacher, before it learns anything by reward.

In a latent space of many dimensions a random walk hardly ever comes upon another class, and a policy that is to find its way
by trial gets next to no signal: with 32 dimensions nearly all of a sampled action is noise. So the mean of the policy is first
fitted to a teacher (behaviour cloning), which needs no answer of the classifier to know its way. What the policy's own
learning then adds is when and where to do otherwise. The teacher's walks are steps of the environment like any others: the
rows they query are counted as training. There are two teachers:

- ``guidance``: the way in which the frame comes nearer to the nearest starts of the target class, bent towards the middle of
  that class's codes. It sees as far as the decoder's derivative, which many dimensions make a good guide.
- ``straight``: straight to the nearest code of the target class. For maps of few dimensions, where the derivative leads into
  the next dead end and the way across lies over other classes (`envs.core.horizon`).

B walks, d latent, N observed states.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor

from agents.walkers.base import select
from envs.core import dynamics
from envs.gym.episodes import Draws, drawn

if TYPE_CHECKING:
    from envs.core.state import State
    from envs.core.world import World

WALKS = 1024  # of the teacher
BEND = 0.4  # share of the class's middle in the teacher's direction
STEPS, BATCH, RATE = 1500, 256, 2e-3
SPREAD = 0.5  # length of the noise of a sampled action, whatever the dimension


def guidance_action(world: World, state: State) -> Tensor:
    """Full actions (B, d) towards the nearest starts of the target class and its middle; without a query."""
    place = world.manifold.coordinates(state.z, state.frame)
    near = world.manifold.near(state.factual).vjp(state.z, -world.class_neighbours(place, state.target).gradient)
    middle = world.reference.class_codes[0][state.target] - state.z
    parts = [torch.nn.functional.normalize(part, dim=1) for part in (near, middle)]
    return torch.nn.functional.normalize((1 - BEND) * parts[0] + BEND * parts[1], dim=1)


def straight_action(world: World, state: State) -> Tensor:
    """Full actions (B, d) straight to the nearest code of the target class that a walk may end at, without a query."""
    return -world.end_codes(state.z, state.target).gradient  # of the distance to one code: the unit vector away from it


TEACHERS: dict[str, Callable[[World, State], Tensor]] = {"guidance": guidance_action, "straight": straight_action}


def walks_of_the_teacher(world: World, seed: int, walks: int = WALKS, teacher: str = "guidance") -> tuple[Tensor, Tensor]:
    """Observations (N, obs_dim) and the actions (N, d) of one of `TEACHERS` on walks from random starts."""
    state = drawn(world, Draws([np.random.default_rng(seed + i) for i in range(walks)])(np.arange(walks)))
    seen, actions = [], []
    for _ in range(world.max_episode_steps):
        state = select(state, ~dynamics.arrived(world, state))
        if not len(state.z):
            break
        with torch.inference_mode():
            action = TEACHERS[teacher](world, state)
        seen.append(dynamics.observe(world, state))
        actions.append(action)
        state, _ = dynamics.step(world, state, action)
    return torch.cat(seen).clone(), torch.cat(actions).clone()


def follow_the_teacher(model: Any, world: World, seed: int, teacher: str = "guidance") -> dict[str, float]:
    """Fit the mean of a Gaussian policy (of stable-baselines3's on-policy algorithms) to one of `TEACHERS`, and set its noise.

    Returns:
        ``rows``: number of states; ``error``: mean squared distance between the policy's mean and the teacher's action.
    """
    policy, generator = model.policy, torch.Generator().manual_seed(seed)
    seen, actions = walks_of_the_teacher(world, seed, teacher=teacher)
    seen, actions = seen.to(model.device), actions.to(model.device)
    optimizer = torch.optim.Adam(policy.parameters(), lr=RATE)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, STEPS)
    for _ in range(STEPS):
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
