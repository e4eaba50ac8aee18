"""The single environment of the control tasks: a thin wrapper around the vector environment of one system."""

from __future__ import annotations

from typing import Any

import gymnasium as gym
import numpy as np
from gymnasium.vector import AutoresetMode

from envs.control.task import ControlTask
from envs.control.vector_env import ControlVectorEnv, checked_mode, task_named

NO_LIMIT = 2**62  # Gymnasium's TimeLimit wrapper truncates


class ControlEnv(gym.Env[np.ndarray, np.ndarray]):
    """One system of a sparse control task. The task (`envs.control.TASKS`) defines physics, spaces and rewards.

    ``info`` holds ``is_success``: whether this episode has earned any reward. `reset` accepts ``options={"state": (S,)}``, the
    initial physical state.

    Args:
        task: Key of `envs.control.TASKS`, or a task.
        render_mode: ``rgb_array`` or None.
        settings: Of the task, such as ``size`` of `envs.control.DeepSea`.

    Example:
        >>> import gymnasium as gym
        >>> env = gym.make("VIME/SparsePendulum-v0", render_mode="rgb_array")
        >>> observation, info = env.reset(seed=0)
        >>> env.render().shape
        (300, 400, 3)
    """

    metadata = {"render_modes": ["rgb_array"], "render_fps": 20}

    def __init__(self, *, task: str | ControlTask, render_mode: str | None = None, **settings: Any) -> None:
        self.task = task_named(task, settings)
        self.render_mode = checked_mode(render_mode)
        self.observation_space = self.task.observation_space
        self.action_space: gym.Space[Any] = self.task.action_space
        self._batch = ControlVectorEnv(1, task=self.task, max_episode_steps=NO_LIMIT, autoreset_mode=AutoresetMode.DISABLED)

    @property
    def state(self) -> np.ndarray:
        """Physical state, (S,)."""
        return self._batch.state[0].copy()

    def reset(self, *, seed: int | None = None, options: dict[str, Any] | None = None) -> tuple[np.ndarray, dict[str, Any]]:
        """Start an episode; see `gymnasium.Env.reset`."""
        super().reset(seed=seed)
        observation, _ = self._batch.reset(seed=seed, options=options)
        return observation[0], {}

    def step(self, action: np.ndarray) -> tuple[np.ndarray, float, bool, bool, dict[str, Any]]:
        """Advance one step.

        Raises:
            ManifoldError: If the action has another shape or is not finite.
        """
        observation, reward, terminated, _, infos = self._batch.step(np.asarray(action, dtype=np.float64)[None])
        return observation[0], float(reward[0]), bool(terminated[0]), False, {"is_success": bool(infos["is_success"][0])}

    def render(self) -> np.ndarray | None:
        """RGB image (H, W, 3) uint8 of the present state; None without a render mode."""
        return None if self.render_mode is None else self.task.picture(self.state)
