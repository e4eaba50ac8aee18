"""An underpowered car in a valley, paid at the top alone."""

from __future__ import annotations

from typing import ClassVar

import numpy as np

from envs.control.task import ControlTask, between

POWER = 0.0015  # largest gain of velocity a step
GRAVITY = 0.0025
POSITION = (-1.2, 0.6)
MAX_SPEED = 0.07
GOAL = 0.45


def drive(position: np.ndarray, velocity: np.ndarray, action: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """One step of the car, all (B,).

        v' = clip(v + POWER a - GRAVITY cos(3 x), -0.07, 0.07)
        x' = clip(x + v', -1.2, 0.6);  v' = 0 at the left wall

    Moore, "Efficient Memory-Based Learning for Robot Control" (1990), in the form of Gymnasium's MountainCarContinuous.
    """
    velocity = np.clip(velocity + POWER * action - GRAVITY * np.cos(3 * position), -MAX_SPEED, MAX_SPEED)
    position = np.clip(position + velocity, *POSITION)
    # The left wall swallows the blow.
    return position, np.where((position <= POSITION[0]) & (velocity < 0), 0.0, velocity)


class SparseMountainCar(ControlTask):
    """A car in a valley whose engine is too weak for the slope: it has to swing up from side to side.

    Action: engine, -1 to 1; costs nothing. State: position, velocity (per step). Observation (2): the state, as in
    Gymnasium's MountainCarContinuous. Start: position in [-0.6, -0.4), at rest. Reward: 1 on reaching position 0.45,
    which ends the episode; 0 before. Step limit 200, as in the classic task: with 500, the drift of an untaught policy is
    enough for most seeds of plain PPO.
    """

    state_names: ClassVar = ("position", "velocity")
    draws: ClassVar = 1
    observation_high: ClassVar = np.array([-POSITION[0], MAX_SPEED], dtype=np.float32)

    def start(self, uniform: np.ndarray) -> np.ndarray:
        return np.stack([between(-0.6, -0.4, uniform[:, 0]), np.zeros(len(uniform))], axis=1)

    def advance(self, state: np.ndarray, action: np.ndarray) -> np.ndarray:
        return np.stack(drive(state[:, 0], state[:, 1], action), axis=1)

    def observe(self, state: np.ndarray) -> np.ndarray:
        return state.astype(np.float32)

    def reward(self, state: np.ndarray) -> np.ndarray:
        return self.terminated(state).astype(np.float64)

    def terminated(self, state: np.ndarray) -> np.ndarray:
        return np.asarray(state[:, 0] >= GOAL)
