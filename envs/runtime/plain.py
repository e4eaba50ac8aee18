"""Numbers of numpy, pandas and torch as Python's, wherever a setting is a number or a list of them. It loads none of them."""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping
from typing import Any, ParamSpec, TypeVar

P = ParamSpec("P")
R = TypeVar("R")


def plain(value: Any) -> Any:
    """A scalar of numpy or torch as Python's number; lists, tuples and mappings of such likewise; anything else as it is."""
    if isinstance(value, Mapping):
        return {plain(name): listed(item) for name, item in value.items()}
    if isinstance(value, list | tuple) and any(_is_scalar(item) for item in value[:16]):
        return type(value)([plain(item) for item in value]) if type(value) in (list, tuple) else value
    return value.item() if _is_scalar(value) else value


def listed(value: Any) -> Any:
    """As `plain`; a vector (an array, a Series, an Index, a tensor) as a list."""
    if not isinstance(value, type) and hasattr(value, "tolist") and len(getattr(value, "shape", ())) == 1:
        return value.tolist()
    return plain(value)


def with_plain_arguments(*vectors: str) -> Callable[[Callable[P, R]], Callable[P, R]]:
    """A decorator: the function gets `plain` arguments, those named in `vectors` as lists."""

    def decorate(function: Callable[P, R]) -> Callable[P, R]:
        @functools.wraps(function)
        def wrapped(*args: P.args, **kwargs: P.kwargs) -> R:
            named: Any = {name: listed(value) if name in vectors else plain(value) for name, value in kwargs.items()}
            return function(*args, **named)

        return wrapped

    return decorate


def _is_scalar(value: Any) -> bool:
    """Whether this is a number, a bool or a text of numpy's or torch's (Python's have no shape)."""
    return getattr(value, "shape", None) == () and hasattr(value, "item") and not isinstance(value, type)
