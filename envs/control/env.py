"""The single environment of the control tasks: a thin skin over the vector environment of one."""

from __future__ import annotations

from typing import Any

import gymnasium as gym
import numpy as np
from gymnasium.vector import AutoresetMode

from envs.control.task import ControlTask
from envs.control.vector_env import ControlVectorEnv, task_named
from envs.errors import ManifoldError

NO_LIMIT = 2**62  # Gymnasium's TimeLimit wrapper truncates


class ControlEnv(gym.Env[np.ndarray, np.ndarray]):
    """One system of a sparse control task; physics, spaces and rewards are told by the task (`envs.control.TASKS`).

    ``info`` holds ``is_success``: whether this episode has been paid at all. `reset` takes ``options={"state": (S,)}``, the
    physical state to start from.
    """

    metadata = {"render_modes": []}

    def __init__(self, *, task: str | ControlTask, render_mode: str | None = None) -> None:
        if render_mode is not None:
            raise ManifoldError(f"the control tasks draw no pictures: leave render_mode={render_mode!r} out")
        self.task = task_named(task)
        self.render_mode = None
        self.observation_space, self.action_space = self.task.observation_space, self.task.action_space
        self._batch = ControlVectorEnv(1, task=self.task, max_episode_steps=NO_LIMIT, autoreset_mode=AutoresetMode.DISABLED)

    @property
    def state(self) -> np.ndarray:
        """Physical state (S,)."""
        return self._batch.state[0].copy()

    def reset(self, *, seed: int | None = None, options: dict[str, Any] | None = None) -> tuple[np.ndarray, dict[str, Any]]:
        """Start an episode."""
        super().reset(seed=seed)
        observation, _ = self._batch.reset(seed=seed, options=options)
        return observation[0], {}

    def step(self, action: np.ndarray) -> tuple[np.ndarray, float, bool, bool, dict[str, Any]]:
        """Advance once.

        Raises:
            ManifoldError: an action of another shape, or not finite.
        """
        observation, reward, terminated, _, infos = self._batch.step(np.asarray(action, dtype=np.float64)[None])
        return observation[0], float(reward[0]), bool(terminated[0]), False, {"is_success": bool(infos["is_success"][0])}
