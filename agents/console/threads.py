"""The thread limit of :mod:`envs.runtime.threads` for functions of modules whose ``--help`` must load nothing heavy."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any, TypeVar

FunctionT = TypeVar("FunctionT", bound=Callable[..., Any])


def one_threaded(function: FunctionT) -> FunctionT:
    """The function, run within ``envs.runtime.threads.one_thread()``; `envs` is imported at its first call."""

    @functools.wraps(function)
    def limited(*args: Any, **keywords: Any) -> Any:
        from envs.runtime.threads import one_thread

        with one_thread():
            return function(*args, **keywords)

    return limited  # type: ignore[return-value]
