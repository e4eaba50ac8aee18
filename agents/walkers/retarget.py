"""Walks without a requested target, recorded as walks to the class in which they ended."""

from __future__ import annotations

import torch

from agents.walkers.base import Walk, put, select
from envs.core import dynamics
from envs.core.state import State
from envs.core.world import World


def to_the_end_class(world: World, start: State, walk: Walk) -> tuple[State, Walk]:
    """Change the target of walks that succeeded in another class than their target to the class of their last frame.

    Args:
        world: where they were walked.
        start: (B) their states at frame 0.
        walk: B items.

    Returns:
        States and walk with the new targets. Frames, predictions and actions are unchanged; the rewards of the changed items
        are computed again. This costs no query.
    """
    end = walk.predictions[walk.length, torch.arange(len(walk.length))].argmax(1)
    rows = torch.nonzero(walk.success & (end != start.target) & (start.target != start.source)).flatten()
    if len(rows) == 0:
        return start, walk
    target, rewards = start.target.clone(), walk.rewards.clone()
    target[rows] = end[rows]
    start = state = dynamics.refresh(world, start._replace(target=target))
    for t in range(len(walk.actions)):
        moving = rows[walk.length[rows] > t]
        if len(moving) == 0:
            break
        new, info = dynamics.step(world, select(state, moving), walk.actions[t, moving], walk.predictions[t + 1, moving])
        state = put(state, moving, new)
        rewards[t, moving] = info.reward
    return start, walk._replace(rewards=rewards)
