"""The control tasks' physics: energies, closed forms, steps worked out by hand, and rewards that are truly sparse."""

from __future__ import annotations

import math

import numpy as np
import pytest
from gymnasium.envs.classic_control.continuous_mountain_car import Continuous_MountainCarEnv
from gymnasium.envs.classic_control.pendulum import PendulumEnv
from hypothesis import given
from hypothesis import strategies as st

from envs.control import TASKS, cart_pole_swing_up, mountain_car, pendulum


def roll(task, state, policy, steps):
    """States (steps + 1, B, S) under a policy of the state; a terminated system goes on."""
    states = [state]
    for _ in range(steps):
        states.append(task.advance(states[-1], policy(states[-1])))
    return np.stack(states)


def coast(state):
    return np.zeros(len(state))


# ---- mountain car ---------------------------------------------------------------------------------------------------


def test_a_step_of_the_car_by_hand():
    position, velocity = mountain_car.drive(np.array([-0.5]), np.array([0.01]), np.array([1.0]))
    expected = 0.01 + 0.0015 - 0.0025 * math.cos(-1.5)
    assert velocity[0] == pytest.approx(expected, rel=1e-12)
    assert position[0] == pytest.approx(-0.5 + expected, rel=1e-12)


@given(st.floats(-1.2, 0.59), st.floats(-0.07, 0.07), st.floats(-1, 1))
def test_the_car_is_gymnasiums(position, velocity, action):
    theirs = Continuous_MountainCarEnv()
    theirs.reset(seed=0)
    theirs.state = np.array([position, velocity], dtype=np.float64)
    observed = theirs.step(np.array([action]))[0]
    ours = TASKS["mountain_car"]().advance(np.array([[position, velocity]]), np.array([action]))
    np.testing.assert_allclose(ours[0], observed, atol=1e-6)


def test_a_coasting_car_keeps_its_energy():
    states = roll(TASKS["mountain_car"](), np.array([[-0.9, 0.0], [-0.3, 0.02]]), coast, 500)
    energy = states[..., 1] ** 2 / 2 + 0.0025 / 3 * np.sin(3 * states[..., 0])
    swing = 0.0025 / 3
    assert np.abs(energy - energy[0]).max() < 0.05 * swing


def test_the_wall_stops_the_car():
    position, velocity = mountain_car.drive(np.array([-1.19]), np.array([-0.06]), np.array([-1.0]))
    assert (position[0], velocity[0]) == (-1.2, 0.0)


def test_pumping_energy_reaches_the_goal_and_full_throttle_does_not():
    task = TASKS["mountain_car"]()
    start = np.array([[-0.6, 0.0], [-0.4, 0.0]])
    pumped = roll(task, start, lambda s: np.where(s[:, 1] >= 0, 1.0, -1.0), 200)
    assert (pumped[..., 0].max(0) >= mountain_car.GOAL).all()
    pushed = roll(task, start, lambda s: np.ones(len(s)), 500)
    assert (pushed[..., 0].max(0) < mountain_car.GOAL).all()


# ---- cart-pole ------------------------------------------------------------------------------------------------------


def cart_pole_energy(state):
    """Kinetic and potential energy (J) of a cart and a uniform rod on it, in closed form."""
    m, total, half = cart_pole_swing_up.POLE_MASS, cart_pole_swing_up.CART_MASS + cart_pole_swing_up.POLE_MASS, 0.5
    _, v, angle, spin = np.moveaxis(state, -1, 0)
    kinetic = total * v**2 / 2 + m * half * v * spin * np.cos(angle) + (4 / 3) * m * half**2 * spin**2 / 2
    return kinetic + m * 9.8 * half * np.cos(angle)


def test_a_free_cart_pole_keeps_its_energy_and_momentum():
    start = np.array([[0.0, 0.3, 2.0, 0.0], [0.5, -0.2, 0.4, 1.0], [0.0, 0.0, np.pi, 6.0]])
    states = roll(TASKS["cart_pole_swing_up"](), start, coast, 200)
    energy = cart_pole_energy(states)
    assert np.abs(energy - energy[0]).max() < 0.02
    momentum = 1.1 * states[..., 1] + 0.1 * 0.5 * states[..., 3] * np.cos(states[..., 2])
    assert np.abs(momentum - momentum[0]).max() < 0.01


def test_the_force_does_work():
    """dE / dt = force x velocity, at any state: the equations of motion, not the integrator."""
    random = np.random.default_rng(0)
    state, force = random.normal(size=(50, 4)), random.normal(size=50) * 10
    h = 1e-6
    change = cart_pole_swing_up.derivative(state, force)
    power = (cart_pole_energy(state + h * change) - cart_pole_energy(state - h * change)) / (2 * h)
    np.testing.assert_allclose(power, force * state[:, 1], atol=1e-5)


def test_accelerations_of_an_upright_pole_by_hand():
    slide, turn = cart_pole_swing_up.accelerations(np.zeros(1), np.zeros(1), np.array([11.0]))
    assert turn[0] == pytest.approx(-10.0 / (0.5 * (4 / 3 - 0.1 / 1.1)), rel=1e-12)
    assert slide[0] == pytest.approx(10.0 - 0.1 * 0.5 * turn[0] / 1.1, rel=1e-12)


def test_small_swings_of_a_hanging_pole_have_the_period_of_the_closed_form():
    """A cart free to move: omega^2 = g / (l (4/3 - m / (M + m)))."""
    period = 2 * math.pi / math.sqrt(9.8 / (0.5 * (4 / 3 - 0.1 / 1.1)))
    states = roll(TASKS["cart_pole_swing_up"](), np.array([[0.0, 0.0, np.pi + 0.01, 0.0]]), coast, 400)
    swing = states[:, 0, 2] - np.pi
    crossings = np.flatnonzero((swing[:-1] < 0) & (swing[1:] >= 0))
    assert (crossings[-1] - crossings[0]) / (len(crossings) - 1) * 0.05 == pytest.approx(period, rel=0.02)


def test_pumping_energy_swings_the_pole_up_on_the_track():
    """Push along v = -spin cos(angle) while energy lacks, towards the middle else: the task can be done with its 3 N."""
    task = TASKS["cart_pole_swing_up"]()

    def pump(state):
        position, velocity, angle, spin = state.T
        lacking = cart_pole_energy(np.stack([position, 0 * velocity, angle, spin], axis=1)) < 0.1 * 9.8 * 0.5
        push = np.where(lacking, -np.sign(spin * np.cos(angle)), 0.0)
        return np.clip(push - 0.5 * position - 0.3 * velocity, -1, 1)

    states = roll(task, task.start(np.random.default_rng(0).random((4, 4))), pump, 300)
    assert (np.abs(states[..., 0]) < cart_pole_swing_up.TRACK).all()
    assert all(max(task.reward(states[t])[i] for t in range(301)) == 1.0 for i in range(4))


def test_the_reward_needs_an_upright_pole_on_the_track():
    task = TASKS["cart_pole_swing_up"]()
    edge = math.acos(0.8)
    states = np.array([[0.0, 0, 0, 0], [0, 0, edge - 0.01, 0], [0, 0, edge + 0.01, 0], [0, 0, np.pi, 0], [3.01, 0, 0, 0]])
    assert task.reward(states).tolist() == [1.0, 1.0, 0.0, 0.0, 0.0]
    assert task.terminated(states).tolist() == [False, False, False, False, True]


# ---- pendulum -------------------------------------------------------------------------------------------------------


@given(st.floats(-6, 6), st.floats(-8, 8), st.floats(-1, 1))
def test_the_pendulum_is_gymnasiums(angle, spin, action):
    theirs = PendulumEnv()
    theirs.reset(seed=0)
    theirs.state = np.array([angle, spin])
    theirs.step(np.array([2 * action]))
    ours = TASKS["pendulum"]().advance(np.array([[angle, spin]]), np.array([action]))
    np.testing.assert_allclose(ours[0], theirs.state, atol=1e-6)


def test_a_coasting_pendulum_keeps_its_energy():
    states = roll(TASKS["pendulum"](), np.array([[np.pi - 1.0, 0.0], [2.5, 1.0]]), coast, 200)
    energy = states[..., 1] ** 2 / 6 + 5 * np.cos(states[..., 0])  # (m l^2 / 3) spin^2 / 2 + m g l / 2 cos
    assert np.abs(energy - energy[0]).max() < 0.8  # of 10 J between hanging and upright: symplectic, dt 0.05
    assert np.abs(energy.mean(0) - energy[0]).max() < 0.4


def test_the_angle_that_is_paid_wraps_around():
    states = np.array([[0.19, 0.0], [-0.19, 0], [0.21, 0], [2 * np.pi - 0.1, 0], [np.pi, 0], [-4 * np.pi + 0.1, 0]])
    assert TASKS["pendulum"]().reward(states).tolist() == [1.0, 1.0, 0.0, 1.0, 0.0, 1.0]


def test_pumping_energy_lifts_the_pendulum():
    task = TASKS["pendulum"]()
    states = roll(task, task.start(np.array([[0.9, 0.5]])), lambda s: np.where(s[:, 1] >= 0, 1.0, -1.0), 200)
    assert max(task.reward(state)[0] for state in states) == 1.0
    assert np.abs(states[..., 1]).max() <= pendulum.MAX_SPIN


# ---- deep sea -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("size", [2, 10, 30])
def test_only_the_diagonal_of_deep_sea_leads_to_the_treasure(size):
    task = TASKS["deep_sea"](size=size)
    assert 0 < task.right.mean() < 1  # which action moves right differs between cells
    state, rewards = task.start(np.zeros((size + 1, 0))), np.zeros(size + 1)
    for step in range(size):  # system i leaves the diagonal in row i, the last one never
        assert not task.terminated(state).any()
        row, column = state[:, :2].T.astype(int)
        assert (task.observe(state).argmax(1) == row * size + column).all()
        right = task.right[row, column]
        state = task.advance(state, np.where(np.arange(size + 1) == step, 1 - right, right))
        rewards += task.reward(state)
    assert task.terminated(state).all()
    assert not task.observe(state).any()
    expected = [-0.01 * (size - 1) / size] * size + [0.99]
    np.testing.assert_allclose(rewards, expected)


# ---- all ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", sorted(TASKS))
def test_resting_and_noise_earn_next_to_nothing(name):
    task, random = TASKS[name](), np.random.default_rng(0)
    state = task.start(random.random((200, task.draws)))
    paid, alive = np.zeros(200, dtype=bool), np.ones(200, dtype=bool)
    for _ in range(200):
        state = np.where(alive[:, None], task.advance(state, np.clip(random.normal(size=200), -1, 1)), state)
        paid |= alive & (task.reward(state) > 0)
        alive &= ~task.terminated(state)
    assert paid.mean() < 0.05


@pytest.mark.parametrize("name", sorted(TASKS))
def test_starts_are_unpaid_and_within_the_observation_space(name):
    task = TASKS[name]()
    for uniform in (np.zeros((1, task.draws)), np.full((1, task.draws), 0.999)):
        state = task.start(uniform)
        assert not task.reward(state).any()
        assert not task.terminated(state).any()
        assert task.observation_space.contains(task.observe(state)[0])
        assert state.shape == (1, len(task.state_names))
