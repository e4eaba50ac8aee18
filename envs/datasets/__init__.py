"""Data that the environments walk on. A new set is one new file and one line in `DATASETS`."""

from collections.abc import Callable

from envs.datasets import digits, iris
from envs.datasets.arrays import Data, load_npz
from envs.datasets.units import Units

DATASETS: dict[str, Callable[..., Data]] = {"digits": digits.load, "iris": iris.load}

__all__ = ["DATASETS", "Data", "Units", "load_npz"]
