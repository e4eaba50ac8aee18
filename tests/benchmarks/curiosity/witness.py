"""Who watches a training from below the curiosity: the extrinsic reward alone, and where the agent has been."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from stable_baselines3.common.vec_env import VecEnv, VecEnvWrapper

Cells = Callable[[np.ndarray], np.ndarray]
GRID = 20


def grid_cells(*columns: np.ndarray) -> np.ndarray:
    """Number of the grid cell (B,) of values in [-1, 1], GRID cells a column."""
    cell = np.zeros(len(columns[0]), dtype=np.int64)
    for column in columns:
        cell = cell * GRID + np.clip(((column + 1) / 2 * GRID).astype(np.int64), 0, GRID - 1)
    return cell


def position_and_velocity(obs: np.ndarray) -> np.ndarray:
    """Cells of the mountain car's observation (B, 2)."""
    return grid_cells((obs[:, 0] + 0.3) / 0.9, obs[:, 1] / 0.07)


def angle_and_spin(obs: np.ndarray) -> np.ndarray:
    """Cells of an observation (B, O) that ends in cosine, sine and scaled spin."""
    return grid_cells(np.arctan2(obs[:, -2], obs[:, -3]) / np.pi, obs[:, -1])


CELLS: dict[str, Cells] = {
    "VIME/SparseMountainCar-v0": position_and_velocity,
    "VIME/SparseCartPoleSwingUp-v0": angle_and_spin,
    "VIME/SparsePendulum-v0": angle_and_spin,
}


class Witness(VecEnvWrapper):
    """Passes everything on and notes steps, the first reward, finished episodes and visited cells.

    Attributes:
        steps: of all environments together.
        first_reward: the step at which a reward above 0 was first paid, or None.
        episodes: (step at the end, return, whether it succeeded) of each.
        covered: (latent cells, class regions) after each step, where the environment counts them.
    """

    def __init__(self, venv: VecEnv, cells: Cells | None) -> None:
        super().__init__(venv)
        self.cells = cells
        self.steps = 0
        self.first_reward: int | None = None
        self.episodes: list[tuple[int, float, bool]] = []
        self.visited: set[int] = set()
        self.covered: list[tuple[int, int]] = []

    def reset(self) -> Any:
        return self.venv.reset()

    def step_wait(self) -> Any:
        obs, rewards, dones, infos = self.venv.step_wait()
        self.steps += self.num_envs
        if self.first_reward is None and (rewards > 0).any():
            self.first_reward = self.steps
        for i in np.flatnonzero(dones):
            self.episodes.append((self.steps, infos[i]["episode"]["r"], bool(infos[i].get("is_success", False))))
        if self.cells is not None:
            self.visited.update(np.unique(self.cells(obs)).tolist())
        infos_now = getattr(self.unwrapped, "step_infos", {})
        if "cells_covered" in infos_now:
            self.covered.append((int(infos_now["cells_covered"][0]), int(infos_now["regions_covered"][0])))
        return obs, rewards, dones, infos

    def curve(self, total: int, points: int = 20) -> list[float | None]:
        """Success rate of the episodes that ended in each of `points` equal parts of `total` steps."""
        ends = np.array([step for step, _, _ in self.episodes], dtype=np.int64)
        success = np.array([won for _, _, won in self.episodes], dtype=np.float64)
        part = np.minimum((ends - 1) * points // total, points - 1)
        return [float(success[part == k].mean()) if (part == k).any() else None for k in range(points)]
