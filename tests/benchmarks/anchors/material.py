"""Worlds, transitions and actions that several systems are measured with, and what is measured of paths."""

from __future__ import annotations

import math
from collections.abc import Sequence
from functools import cache
from typing import Any

import numpy as np

from tests.benchmarks.anchors.values import Measured, digest, figures


@cache
def world_of(data: str = "digits", manifold: str | None = None) -> Any:
    """A world with bounded steps; each is built once."""
    from envs import make_world

    return make_world(data=data, manifold=manifold, max_step=1 / 6)


def normal(*shape: int, seed: int = 0) -> Any:
    """A float32 tensor of standard normal draws by numpy, whose generator gives the same bits everywhere."""
    import torch

    return torch.from_numpy(np.random.default_rng(seed).normal(size=shape).astype(np.float32))


def transitions(count: int, seed: int, scale: float = 1.0) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Transitions (obs, action, next_obs) of a smooth system with 4 state and 2 action dimensions."""
    draw = np.random.default_rng(seed)
    obs, action = scale * draw.normal(size=(count, 4)), draw.uniform(-1, 1, (count, 2))
    mixing = np.random.default_rng(0).normal(size=(6, 4)) / 2
    change = np.tanh(np.concatenate([obs, action], 1) @ mixing) + 0.05 * draw.normal(size=(count, 4))
    return obs.astype(np.float32), action.astype(np.float32), (obs + change).astype(np.float32)


def pushes(step: int, n: int, size: int) -> np.ndarray:
    """Actions (n, size) in [-1, 1] at a time step: fixed waves, another phase for each environment."""
    phase = 0.37 * step + np.arange(n)[:, None] + 2.1 * np.arange(size)
    return (np.sin(phase) / math.sqrt(size)).astype(np.float32)


def walked(paths: Sequence[Any]) -> Measured:
    """Figures of trajectories: how often they arrive, how long they are, where they lead and what they cost."""
    p = [path.predictions if path.predictions is not None else path.labels for path in paths]
    found: Measured = {
        "paths": len(paths),
        "success": sum(path.success for path in paths),
        "steps": sum(path.steps for path in paths),
        "steps by path": digest([np.array([path.steps for path in paths])]),
        "queries": sum(path.queries for path in paths),
        "z": figures(np.concatenate([path.z for path in paths])),
        "actions": figures(np.concatenate([path.actions for path in paths])),
        "p": figures(np.concatenate(p)),
        "rewards": figures(np.concatenate([path.rewards for path in paths])),
        "lengths": figures(np.concatenate([path.step_lengths for path in paths])),
    }
    measures = {"typicality": [path.typicality for path in paths], "distances": [path.distances for path in paths]}
    found |= {name: figures(np.concatenate(parts)) for name, parts in measures.items() if parts[0] is not None}
    if any(path.texts is not None for path in paths):
        found["texts"] = digest(text for path in paths for text in path.texts)
    return found
