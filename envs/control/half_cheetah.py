"""MuJoCo's half-cheetah with a reward only far ahead. MuJoCo is imported when the environment is made."""

from __future__ import annotations

from typing import Any

import gymnasium as gym
import numpy as np

from envs.errors import ManifoldError

FAR = 5.0  # distance of the torso from the origin beyond which there is a reward, m


class SparseHalfCheetah(gym.Env[np.ndarray, np.ndarray]):
    """Gymnasium's HalfCheetah-v5 with VIME's sparse reward.

    - Reward: 1 per step (0.05 s) while the torso is more than 5 m ahead, else 0.
    - Action: six torques, -1 to 1, without cost.
    - Observation (18): positions (first the torso's distance) and velocities, as Gymnasium's with
      ``exclude_current_positions_from_observation=False``.
    - The episode never terminates; step limit 500.
    - ``info`` holds ``is_success`` (ahead at this step) and what Gymnasium's holds.

    Args:
        render_mode: As Gymnasium's.

    Raises:
        ManifoldError: If MuJoCo is not installed.

    Example:
        >>> SparseHalfCheetah.metadata["render_fps"]
        20
    """

    metadata = {"render_modes": ["human", "rgb_array", "depth_array", "rgbd_tuple"], "render_fps": 20}

    def __init__(self, render_mode: str | None = None) -> None:
        try:
            from gymnasium.envs.mujoco.half_cheetah_v5 import HalfCheetahEnv

            self._cheetah = HalfCheetahEnv(exclude_current_positions_from_observation=False, render_mode=render_mode)
        except (ImportError, gym.error.DependencyNotInstalled) as error:
            raise ManifoldError("VIME/SparseHalfCheetah-v0 needs MuJoCo: pip install 'manifold-traversal[mujoco]'") from error
        self.render_mode = render_mode
        self.observation_space = self._cheetah.observation_space
        self.action_space = self._cheetah.action_space

    def reset(self, *, seed: int | None = None, options: dict[str, Any] | None = None) -> tuple[np.ndarray, dict[str, Any]]:
        """Start an episode near the origin; see `gymnasium.Env.reset`."""
        super().reset(seed=seed)
        return self._cheetah.reset(seed=seed, options=options)

    def step(self, action: np.ndarray) -> tuple[np.ndarray, float, bool, bool, dict[str, Any]]:
        """Advance five steps of the simulation under one action (6,).

        Raises:
            ManifoldError: If the action is not finite (MuJoCo would reset itself silently).
        """
        if not np.isfinite(action).all():
            raise ManifoldError(f"an action must be finite, got {np.asarray(action).tolist()}")
        observation, _, terminated, truncated, info = self._cheetah.step(action)
        ahead = bool(info["x_position"] > FAR)
        return observation, float(ahead), terminated, truncated, {**info, "is_success": ahead}

    def render(self) -> Any:
        """Render as Gymnasium's environment does."""
        return self._cheetah.render()

    def close(self) -> None:
        """Close the simulation."""
        self._cheetah.close()
