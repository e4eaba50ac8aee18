"""A pendulum with a weak motor, with a reward while it stands."""

from __future__ import annotations

from typing import ClassVar

import numpy as np

from envs.control.drawing import ACCENT, GROUND, INK, Stroke, drawn
from envs.control.task import ControlTask, between

GRAVITY = 10.0
MASS = 1.0
LENGTH = 1.0  # of the pendulum, a uniform rod
MAX_TORQUE = 2.0
MAX_SPIN = 8.0
TIME_STEP = 0.05
UPRIGHT = 0.2  # largest angle from upright with a reward, rad


def turn(angle: np.ndarray, spin: np.ndarray, torque: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """One step of the pendulum, all (B,); angle 0 is upright.

        spin'  = clip(spin + (3 g / (2 l) sin(angle) + 3 / (m l^2) torque) dt, -8, 8)
        angle' = angle + spin' dt

    Equations and numbers are those of Gymnasium's Pendulum-v1 (a uniform rod about its end, symplectic Euler).
    """
    pull = 3 * GRAVITY / (2 * LENGTH) * np.sin(angle) + 3 / (MASS * LENGTH**2) * torque
    spin = np.clip(spin + pull * TIME_STEP, -MAX_SPIN, MAX_SPIN)
    return angle + spin * TIME_STEP, spin


class SparsePendulum(ControlTask):
    """Swing up a pendulum whose motor is too weak to lift it directly.

    - Action: torque, -1 to 1 times 2 N m.
    - State: angle (rad, 0 upright), spin (rad/s).
    - Observation (3): cosine and sine of the angle, spin / 8.
    - Start: hanging within 0.1 rad, with a spin within 0.1 rad/s.
    - Reward: 1 per step (0.05 s) while the angle is within 0.2 rad of upright, else 0.
    - The episode never terminates; step limit 200.

    Example:
        >>> task = SparsePendulum()
        >>> task.reward(np.array([[0.1, 0.0], [3.0, 0.0]]))
        array([1., 0.])
    """

    state_names: ClassVar = ("angle", "spin")
    draws: ClassVar = 2
    observation_high: ClassVar = np.ones(3, dtype=np.float32)

    def start(self, uniform: np.ndarray) -> np.ndarray:
        return np.stack([np.pi + between(-0.1, 0.1, uniform[:, 0]), between(-0.1, 0.1, uniform[:, 1])], axis=1)

    def advance(self, state: np.ndarray, action: np.ndarray) -> np.ndarray:
        return np.stack(turn(state[:, 0], state[:, 1], MAX_TORQUE * action), axis=1)

    def observe(self, state: np.ndarray) -> np.ndarray:
        angle, spin = state.T
        return np.stack([np.cos(angle), np.sin(angle), spin / MAX_SPIN], axis=1).astype(np.float32)

    def reward(self, state: np.ndarray) -> np.ndarray:
        wrapped = np.remainder(state[:, 0] + np.pi, 2 * np.pi) - np.pi
        return (np.abs(wrapped) <= UPRIGHT).astype(np.float64)

    def terminated(self, state: np.ndarray) -> np.ndarray:
        return np.zeros(len(state), dtype=bool)

    def picture(self, state: np.ndarray) -> np.ndarray:
        hinge = np.zeros((1, 2))
        tip = LENGTH * np.array([[np.sin(state[0]), np.cos(state[0])]])
        mark = 1.15 * LENGTH * np.stack([np.sin(angles := np.linspace(-UPRIGHT, UPRIGHT, 20)), np.cos(angles)], axis=1)
        strokes = [Stroke(mark, 0.03, GROUND), Stroke(np.concatenate([hinge, tip]), 0.15, ACCENT), Stroke(hinge, 0.08, INK)]
        return drawn(strokes, (-1.4 * LENGTH, -1.4 * LENGTH), (1.4 * LENGTH, 1.4 * LENGTH))
