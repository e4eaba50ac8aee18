"""The sparse control tasks on which VIME was shown: physics as free functions, a batched environment around them."""

from __future__ import annotations

from envs.control.cart_pole_swing_up import SparseCartPoleSwingUp
from envs.control.mountain_car import SparseMountainCar
from envs.control.pendulum import SparsePendulum
from envs.control.task import ControlTask

TASKS: dict[str, type[ControlTask]] = {
    "mountain_car": SparseMountainCar,
    "cart_pole_swing_up": SparseCartPoleSwingUp,
    "pendulum": SparsePendulum,
}

__all__ = ["TASKS", "ControlTask", "SparseCartPoleSwingUp", "SparseMountainCar", "SparsePendulum"]
