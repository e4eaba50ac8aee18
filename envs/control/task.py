"""Sparse control tasks: physics, observation, reward and termination of B systems at once."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import ClassVar

import numpy as np
from gymnasium import spaces


class ControlTask(ABC):
    """A task of B systems. States are rows of a float64 array (B, S), in SI units where they have any.

    Attributes:
        state_names: S names.
        draws: Number of uniform random numbers per start.
        observation_high: Bound of the observation's absolute values, (O,).

    Example:
        >>> from envs.control import TASKS
        >>> task = TASKS["pendulum"]()
        >>> state = task.start(np.full((1, task.draws), 0.5))
        >>> task.observe(task.advance(state, np.array([1.0]))).shape
        (1, 3)
    """

    state_names: ClassVar[tuple[str, ...]]
    draws: ClassVar[int]
    observation_high: ClassVar[np.ndarray]

    @property
    def observation_space(self) -> spaces.Box:
        """``Box`` of O numbers, by default between plus and minus `observation_high`."""
        return spaces.Box(-self.observation_high, self.observation_high, dtype=np.float32)

    @property
    def action_space(self) -> spaces.Box | spaces.Discrete:
        """``Box(-1, 1, (1,))``, the share of the largest force; or ``Discrete``."""
        return spaces.Box(-1.0, 1.0, (1,), dtype=np.float32)

    @abstractmethod
    def start(self, uniform: np.ndarray) -> np.ndarray:
        """Initial states (B, S) from uniform numbers (B, draws) in [0, 1)."""

    @abstractmethod
    def advance(self, state: np.ndarray, action: np.ndarray) -> np.ndarray:
        """States (B, S) one step later, for actions (B,): shares in [-1, 1], or numbers of a ``Discrete`` space."""

    @abstractmethod
    def observe(self, state: np.ndarray) -> np.ndarray:
        """Observations (B, O) float32 of states (B, S)."""

    @abstractmethod
    def reward(self, state: np.ndarray) -> np.ndarray:
        """Rewards (B,) float64 for reaching states (B, S)."""

    @abstractmethod
    def terminated(self, state: np.ndarray) -> np.ndarray:
        """Whether the episode ends in states (B, S), (B,) bool."""

    @abstractmethod
    def picture(self, state: np.ndarray) -> np.ndarray:
        """RGB image (H, W, 3) uint8 of one state (S,)."""


def between(low: float, high: float, uniform: np.ndarray) -> np.ndarray:
    """Rescale uniform numbers in [0, 1) to [low, high)."""
    return low + (high - low) * uniform
