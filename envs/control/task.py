"""What a sparse control task is: physics, observation, reward and end of B systems at once."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import ClassVar

import numpy as np
from gymnasium import spaces


class ControlTask(ABC):
    """A task of B systems whose states are the rows of a float64 array (B, S), in SI units where they have any.

    Attributes:
        state_names: S names.
        draws: how many uniform numbers a start takes.
        observation_high: (O,) the observation lies within plus and minus this.
    """

    state_names: ClassVar[tuple[str, ...]]
    draws: ClassVar[int]
    observation_high: ClassVar[np.ndarray]

    @property
    def observation_space(self) -> spaces.Box:
        """``Box`` of O numbers."""
        return spaces.Box(-self.observation_high, self.observation_high, dtype=np.float32)

    @property
    def action_space(self) -> spaces.Box:
        """``Box(-1, 1, (1,))``: the share of the largest force."""
        return spaces.Box(-1.0, 1.0, (1,), dtype=np.float32)

    @abstractmethod
    def start(self, uniform: np.ndarray) -> np.ndarray:
        """States (B, S) of new episodes from uniform numbers (B, draws) in [0, 1)."""

    @abstractmethod
    def advance(self, state: np.ndarray, action: np.ndarray) -> np.ndarray:
        """States (B, S) one step later, under actions (B,) in [-1, 1]."""

    @abstractmethod
    def observe(self, state: np.ndarray) -> np.ndarray:
        """Observations (B, O) float32."""

    @abstractmethod
    def reward(self, state: np.ndarray) -> np.ndarray:
        """Rewards (B,) float64 for having come to `state`."""

    @abstractmethod
    def terminated(self, state: np.ndarray) -> np.ndarray:
        """Whether the episode ends in `state`, (B,) bool."""


def between(low: float, high: float, uniform: np.ndarray) -> np.ndarray:
    """Uniform numbers in [0, 1) stretched to [low, high)."""
    return low + (high - low) * uniform
