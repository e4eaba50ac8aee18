"""Deep Sea: a grid in which only one sequence of actions leads to the reward."""

from __future__ import annotations

from typing import ClassVar

import numpy as np
from gymnasium import spaces

from envs.control.drawing import ACCENT, FLAG, GROUND, Stroke, drawn
from envs.control.task import ControlTask
from envs.errors import ManifoldError

SIZES = (2, 100)
MOVE_COST = 0.01  # of a whole diagonal of moves to the right


class DeepSea(ControlTask):
    """Dive from the top left corner of an N x N grid to the treasure in the bottom right one.

    Every step moves one row down. One of the two actions moves right, the other one left; which one is drawn once for each
    cell, from `mapping_seed`. A uniformly random policy finds the treasure in one of 2^N episodes.

    - Action: `Discrete(2)`.
    - State: row, column, whether the last move was to the right.
    - Observation (N^2): the cell, one-hot; all zeros after the last row.
    - Start: row 0, column 0.
    - Reward: 1 for the treasure, less 0.01 / N for each move to the right: the best return is 0.99.
    - The episode ends after N steps. `size` is N, 10 by default: `gym.make("VIME/DeepSea-v0", size=20)`.

    Source: Osband and others, "Behaviour Suite for Reinforcement Learning", 2020, in its deterministic form.

    Args:
        size: N, from 2 to 100.
        mapping_seed: Seed of the cells' actions.

    Raises:
        ManifoldError: If the size is outside its range.

    Example:
        >>> task = DeepSea(size=3)
        >>> state = task.start(np.zeros((1, 0)))
        >>> for _ in range(3):
        ...     row, column = state[:, 0].astype(int), state[:, 1].astype(int)
        ...     state = task.advance(state, task.right[row, column])
        >>> task.reward(state).round(4), task.terminated(state)
        (array([0.9967]), array([ True]))
    """

    state_names: ClassVar = ("row", "column", "moved_right")
    draws: ClassVar = 0

    def __init__(self, size: int = 10, mapping_seed: int = 0) -> None:
        if isinstance(size, bool) or not isinstance(size, int) or not SIZES[0] <= size <= SIZES[1]:
            raise ManifoldError(f"the size of Deep Sea is a whole number from {SIZES[0]} to {SIZES[1]}, not {size!r}")
        self.size = size
        self.right = np.random.default_rng(mapping_seed).integers(0, 2, (size, size))  # the action that moves right

    @property
    def observation_space(self) -> spaces.Box:
        return spaces.Box(0.0, 1.0, (self.size**2,), dtype=np.float32)

    @property
    def action_space(self) -> spaces.Discrete:
        return spaces.Discrete(2)

    def start(self, uniform: np.ndarray) -> np.ndarray:
        return np.zeros((len(uniform), 3))

    def advance(self, state: np.ndarray, action: np.ndarray) -> np.ndarray:
        row, column = (np.minimum(part, self.size - 1) for part in state[:, :2].T.astype(np.int64))
        right = action == self.right[row, column]
        column = np.where(right, column + 1, np.maximum(column - 1, 0))  # N: to the treasure
        return np.stack([row + 1, column, right], axis=1).astype(np.float64)

    def observe(self, state: np.ndarray) -> np.ndarray:
        observation = np.zeros((len(state), self.size**2), dtype=np.float32)
        inside = np.flatnonzero(state[:, 0] < self.size)
        row, column = state[inside, :2].T.astype(np.int64)
        observation[inside, row * self.size + column] = 1.0
        return observation

    def reward(self, state: np.ndarray) -> np.ndarray:
        return np.asarray((state[:, 1] == self.size) - MOVE_COST / self.size * state[:, 2])

    def terminated(self, state: np.ndarray) -> np.ndarray:
        return np.asarray(state[:, 0] >= self.size)

    def picture(self, state: np.ndarray) -> np.ndarray:
        n = self.size
        lines = [np.array([[i, 0.0], [i, n]]) for i in range(n + 1)] + [np.array([[0.0, i], [n, i]]) for i in range(n + 1)]
        strokes = [Stroke(line, 0.02, GROUND) for line in lines]
        strokes.append(Stroke(np.array([[n - 0.5, 0.5]]), 0.6, FLAG))
        if state[0] < n:
            strokes.append(Stroke(np.array([[state[1] + 0.5, n - 0.5 - state[0]]]), 0.6, ACCENT))
        return drawn(strokes, (-0.5, -0.5), (n + 0.5, n + 0.5))
