"""An underpowered car in a valley, with a reward only at the top."""

from __future__ import annotations

from typing import ClassVar

import numpy as np

from envs.control.drawing import ACCENT, FLAG, GROUND, INK, Stroke, drawn
from envs.control.task import ControlTask, between

POWER = 0.0015  # largest gain of velocity per step
GRAVITY = 0.0025
POSITION = (-1.2, 0.6)
MAX_SPEED = 0.07
GOAL = 0.45


def drive(position: np.ndarray, velocity: np.ndarray, action: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """One step of the car, all (B,).

        v' = clip(v + POWER a - GRAVITY cos(3 x), -0.07, 0.07)
        x' = clip(x + v', -1.2, 0.6);  v' = 0 at the left wall

    Source: Moore, "Efficient Memory-Based Learning for Robot Control", 1990, in the form of Gymnasium's MountainCarContinuous.
    """
    velocity = np.clip(velocity + POWER * action - GRAVITY * np.cos(3 * position), -MAX_SPEED, MAX_SPEED)
    position = np.clip(position + velocity, *POSITION)
    # The impact on the left wall is inelastic.
    return position, np.where((position <= POSITION[0]) & (velocity < 0), 0.0, velocity)


class SparseMountainCar(ControlTask):
    """Drive a car out of a valley. Its engine is too weak for the slope, so it has to swing from side to side.

    - Action: engine, -1 to 1, without cost.
    - State: position, velocity (per step).
    - Observation (2): the state, as in Gymnasium's MountainCarContinuous.
    - Start: position in [-0.6, -0.4), at rest.
    - Reward: 1 on reaching position 0.45, which ends the episode, else 0.
    - Step limit 200, as in the classic task. With 500, the drift of an untrained policy suffices for most seeds of plain PPO.

    Example:
        >>> task = SparseMountainCar()
        >>> task.terminated(np.array([[0.5, 0.0], [-0.5, 0.0]]))
        array([ True, False])
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

    def picture(self, state: np.ndarray) -> np.ndarray:
        def ground(x: np.ndarray) -> np.ndarray:
            return np.stack([x, 0.45 * np.sin(3 * x)], axis=-1)

        foot, flag = ground(np.array([state[0]])), ground(np.array([GOAL]))
        slope = np.array([-1.35 * np.cos(3 * state[0]), 1.0])  # normal of the ground
        body = foot + 0.05 * slope / np.linalg.norm(slope)
        strokes = [
            Stroke(ground(np.linspace(*POSITION, 100)), 0.02, GROUND),
            Stroke(np.concatenate([flag, np.add(flag, [0.0, 0.2])]), 0.01, INK),
            Stroke(np.add(flag, [[0.0, 0.17], [0.06, 0.17]]), 0.05, FLAG),
            Stroke(body, 0.1, ACCENT),
        ]
        return drawn(strokes, (POSITION[0], -0.55), (POSITION[1], 0.8))
