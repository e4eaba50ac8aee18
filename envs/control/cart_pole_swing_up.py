"""A pole that hangs from a cart, paid while it stands."""

from __future__ import annotations

from typing import ClassVar

import numpy as np

from envs.control.task import ControlTask, between

GRAVITY = 9.8
CART_MASS = 1.0
POLE_MASS = 0.1
HALF_LENGTH = 0.5  # of the pole, a uniform rod
MAX_FORCE = 3.0
TIME_STEP = 0.05
TRACK = 3.0  # the cart may go this far to either side
UPRIGHT = 0.8  # least cosine of the angle that is paid


def accelerations(angle: np.ndarray, spin: np.ndarray, force: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Accelerations of cart and angle without friction, all (B,); angle 0 is upright, M = cart, m = pole, l = half length.

        angle'' = (g sin - cos (F + m l spin^2 sin) / (M + m)) / (l (4/3 - m cos^2 / (M + m)))
        x''     = (F + m l (spin^2 sin - angle'' cos)) / (M + m)

    Florian, "Correct equations for the dynamics of the cart-pole system" (2007), eq. 23 and 24 without friction.
    """
    sin, cos, total = np.sin(angle), np.cos(angle), CART_MASS + POLE_MASS
    push = (force + POLE_MASS * HALF_LENGTH * spin**2 * sin) / total
    turn = (GRAVITY * sin - cos * push) / (HALF_LENGTH * (4 / 3 - POLE_MASS * cos**2 / total))
    return push - POLE_MASS * HALF_LENGTH * turn * cos / total, turn


def derivative(state: np.ndarray, force: np.ndarray) -> np.ndarray:
    """Time derivative (B, 4) of states (position, velocity, angle, spin) under forces (B,)."""
    slide, turn = accelerations(state[:, 2], state[:, 3], force)
    return np.stack([state[:, 1], slide, state[:, 3], turn], axis=1)


def swing(state: np.ndarray, force: np.ndarray) -> np.ndarray:
    """States (B, 4) one time step later under constant forces (B,): classical Runge-Kutta, fourth order."""
    h = TIME_STEP
    k1 = derivative(state, force)
    k2 = derivative(state + h / 2 * k1, force)
    k3 = derivative(state + h / 2 * k2, force)
    k4 = derivative(state + h * k3, force)
    return state + h / 6 * (k1 + 2 * k2 + 2 * k3 + k4)


class SparseCartPoleSwingUp(ControlTask):
    """A pole hangs from a cart on a short track: swing it up and keep it there.

    Action: force on the cart, -1 to 1 times 3 N. State: position (m), velocity (m/s), angle (rad, 0 upright), spin
    (rad/s). Observation (5): position / 3, velocity / 5, cosine and sine of the angle, spin / 10. Start: hanging, at rest, all
    four within 0.05. Reward: 1 a step (0.05 s) while the cosine is above 0.8, else 0. Ends, unpaid, where the cart leaves
    the track of 3 m to either side. Step limit 500.

    Masses, length, time step, track and reward are those of the task in VIME's code. Its force of 10 N and its starts (up to
    1 rad, 3 rad/s) are not: with them noise alone earns the reward in one episode of 25, and plain PPO learns the task.
    """

    state_names: ClassVar = ("position", "velocity", "angle", "spin")
    draws: ClassVar = 4
    observation_high: ClassVar = np.array([2.0, 5.0, 1.0, 1.0, 5.0], dtype=np.float32)

    def start(self, uniform: np.ndarray) -> np.ndarray:
        return between(-0.05, 0.05, uniform) + np.array([0.0, 0.0, np.pi, 0.0])

    def advance(self, state: np.ndarray, action: np.ndarray) -> np.ndarray:
        return swing(state, MAX_FORCE * action)

    def observe(self, state: np.ndarray) -> np.ndarray:
        position, velocity, angle, spin = state.T
        seen = np.stack([position / TRACK, velocity / 5, np.cos(angle), np.sin(angle), spin / 10], axis=1)
        return np.clip(seen, -self.observation_high, self.observation_high).astype(np.float32)

    def reward(self, state: np.ndarray) -> np.ndarray:
        return ((np.cos(state[:, 2]) > UPRIGHT) & ~self.terminated(state)).astype(np.float64)

    def terminated(self, state: np.ndarray) -> np.ndarray:
        return np.asarray(np.abs(state[:, 0]) > TRACK)
