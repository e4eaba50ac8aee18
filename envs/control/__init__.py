"""The sparse control tasks of VIME: physics as free functions, and a batched environment around them."""

from __future__ import annotations

from envs.control.cart_pole_swing_up import SparseCartPoleSwingUp
from envs.control.deep_sea import DeepSea
from envs.control.mountain_car import SparseMountainCar
from envs.control.pendulum import SparsePendulum
from envs.control.task import ControlTask

TASKS: dict[str, type[ControlTask]] = {
    "mountain_car": SparseMountainCar,
    "cart_pole_swing_up": SparseCartPoleSwingUp,
    "pendulum": SparsePendulum,
    "deep_sea": DeepSea,
}

__all__ = ["TASKS", "ControlTask", "DeepSea", "SparseCartPoleSwingUp", "SparseMountainCar", "SparsePendulum"]
