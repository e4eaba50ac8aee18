"""Checks of constructor options: Python's and numpy's numbers are accepted, and errors name the wrong value."""

from __future__ import annotations

import math
import numbers
from collections.abc import Iterable
from typing import Any

from vime.errors import OptionError


def is_real(value: Any) -> bool:
    """Whether ``value`` is a real number (Python or numpy) and not a bool."""
    return isinstance(value, numbers.Real) and not isinstance(value, bool)


def is_whole(value: Any) -> bool:
    """Whether ``value`` is an integer (Python or numpy), and neither a bool nor a float."""
    return isinstance(value, numbers.Integral) and not isinstance(value, bool)


def python_number(value: Any) -> Any:
    """Return a number without dimensions of numpy or torch as Python's; anything else unchanged."""
    return value.item() if getattr(value, "shape", None) == () and hasattr(value, "item") else value


def whole_number(name: str, value: Any, least: int = 1) -> int:
    """Return ``value`` as an int.

    Raises:
        OptionError: ``value`` is not an integer, or it is below ``least``.
    """
    value = python_number(value)
    if not is_whole(value):
        raise OptionError(f"{name} must be a whole number, got {value!r}")
    if value < least:
        raise OptionError(f"{name} must be at least {least}, got {value}")
    return int(value)


def layer_sizes(name: str, value: Any) -> tuple[int, ...]:
    """Return ``value`` as a tuple of layer sizes.

    Raises:
        OptionError: ``value`` is not an iterable of integers of at least 1.
    """
    if isinstance(value, str) or not isinstance(value, Iterable):
        raise OptionError(f"{name} must be the sizes of the layers, such as (64, 64), got {value!r}")
    return tuple(whole_number(f"each size in {name}", size) for size in value)


def positive_number(name: str, value: Any) -> float:
    """Return ``value`` as a float.

    Raises:
        OptionError: ``value`` is not a finite number above 0.
    """
    value = python_number(value)
    if not is_real(value) or not 0 < value < math.inf:
        raise OptionError(f"{name} must be a positive finite number, got {value!r}")
    return float(value)
