"""Where the time of a training goes."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Iterator, Mapping
from typing import Any


@contextlib.contextmanager
def watched(
    parts: Mapping[str, tuple[Any, str]], clock: Callable[[], float] = time.process_time
) -> Iterator[dict[str, float]]:
    """Time spent in functions, by name; one called inside another one of them counts there alone.

    Args:
        parts: name -> class or module, and its function.
        clock: process time, or another.
    """
    spent = dict.fromkeys(parts, 0.0)
    inside: list[float] = []
    before = [(owner, method, owner.__dict__[method]) for owner, method in parts.values()]

    def timing(name: str, method: Callable[..., Any]) -> Callable[..., Any]:
        def timed(*args: Any, **kwargs: Any) -> Any:
            started = clock()
            inside.append(0.0)
            try:
                return method(*args, **kwargs)
            finally:
                took = clock() - started
                spent[name] += took - inside.pop()
                if inside:
                    inside[-1] += took

        return timed

    try:
        for name, (owner, attribute) in parts.items():
            setattr(owner, attribute, timing(name, owner.__dict__[attribute]))
        yield spent
    finally:
        for owner, attribute, method in before:
            setattr(owner, attribute, method)
