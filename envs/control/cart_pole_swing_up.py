"""A pole that hangs from a cart, with a reward while it stands."""

from __future__ import annotations

from typing import ClassVar

import numpy as np

from envs.control.drawing import ACCENT, GROUND, INK, Stroke, drawn
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
    """Accelerations of cart and angle without friction, all (B,).

    With angle 0 upright, cart mass M, pole mass m and half length l:

        angle'' = (g sin - cos (F + m l spin^2 sin) / (M + m)) / (l (4/3 - m cos^2 / (M + m)))
        x''     = (F + m l (spin^2 sin - angle'' cos)) / (M + m)

    Source: Florian, "Correct equations for the dynamics of the cart-pole system", 2007, equations 23 and 24 without friction.
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
    """States (B, 4) one time step later under constant forces (B,), by the classical fourth-order Runge-Kutta method."""
    h = TIME_STEP
    k1 = derivative(state, force)
    k2 = derivative(state + h / 2 * k1, force)
    k3 = derivative(state + h / 2 * k2, force)
    k4 = derivative(state + h * k3, force)
    return state + h / 6 * (k1 + 2 * k2 + 2 * k3 + k4)


class SparseCartPoleSwingUp(ControlTask):
    """Swing up a pole that hangs from a cart on a short track, and keep it up.

    - Action: force on the cart, -1 to 1 times 3 N.
    - State: position (m), velocity (m/s), angle (rad, 0 upright), spin (rad/s).
    - Observation (5): position / 3, velocity / 5, cosine and sine of the angle, spin / 10.
    - Start: hanging at rest, all four values within 0.05.
    - Reward: 1 per step (0.05 s) while the cosine is above 0.8, else 0.
    - End: without reward, if the cart leaves the track (3 m to either side). Step limit 500.

    Masses, length, time step, track and reward follow the task of VIME's code (Houthooft and others, NeurIPS 2016). The force
    (10 N there) and the starts (up to 1 rad and 3 rad/s there) do not: with them, noise earns the reward in one episode of 25,
    and plain PPO learns the task.

    Example:
        >>> task = SparseCartPoleSwingUp()
        >>> state = task.start(np.full((2, 4), 0.5))
        >>> task.reward(state)
        array([0., 0.])
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

    def picture(self, state: np.ndarray) -> np.ndarray:
        cart = np.array([state[0], 0.0])
        tip = cart + 2 * HALF_LENGTH * np.array([np.sin(state[2]), np.cos(state[2])])
        strokes = [
            Stroke(np.array([[-TRACK, 0.0], [TRACK, 0.0]]), 0.03, GROUND),
            Stroke(np.add(cart, [[-0.2, 0.0], [0.2, 0.0]]), 0.25, INK),
            Stroke(np.stack([cart, tip]), 0.1, ACCENT),
        ]
        return drawn(strokes, (-TRACK - 0.3, -1.4), (TRACK + 0.3, 1.4))
