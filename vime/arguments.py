"""Checks of constructor arguments: numbers of Python and of numpy alike, and errors that name the wrong value."""

from __future__ import annotations

import math
import numbers
from collections.abc import Iterable
from typing import Any


def is_real(value: Any) -> bool:
    """Whether ``value`` is a real number of Python's or numpy's, and not a bool."""
    return isinstance(value, numbers.Real) and not isinstance(value, bool)


def is_whole(value: Any) -> bool:
    """Whether ``value`` is a whole number of Python's or numpy's, and neither a bool nor a float."""
    return isinstance(value, numbers.Integral) and not isinstance(value, bool)


def python_number(value: Any) -> Any:
    """A number without dimensions of numpy's or torch's as Python's; anything else as it is."""
    return value.item() if getattr(value, "shape", None) == () and hasattr(value, "item") else value


def whole_number(name: str, value: Any, least: int = 1) -> int:
    """``value`` as an int; ValueError unless it is a whole number >= ``least``."""
    value = python_number(value)
    if not is_whole(value):
        raise ValueError(f"{name} must be a whole number, got {value!r}")
    if value < least:
        raise ValueError(f"{name} must be at least {least}, got {value}")
    return int(value)


def layer_sizes(name: str, value: Any) -> tuple[int, ...]:
    """``value`` as a tuple of whole numbers >= 1; ValueError, with an example, for anything else."""
    if isinstance(value, str) or not isinstance(value, Iterable):
        raise ValueError(f"{name} must be the sizes of the layers, such as (64, 64), got {value!r}")
    return tuple(whole_number(f"each size in {name}", size) for size in value)


def positive_number(name: str, value: Any) -> float:
    """``value`` as a float; ValueError unless it is a finite number above 0."""
    value = python_number(value)
    if not is_real(value) or not 0 < value < math.inf:
        raise ValueError(f"{name} must be a positive finite number, got {value!r}")
    return float(value)
