"""Decorators of `envs` for the functions of scripts: `envs` is loaded when these are called, so that ``--help`` is quick."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import ParamSpec, TypeVar

P = ParamSpec("P")
R = TypeVar("R")


def in_usual_torch(function: Callable[P, R]) -> Callable[P, R]:
    """See `envs.runtime.torch_defaults.in_usual_torch`."""

    @functools.wraps(function)
    def wrapped(*args: P.args, **kwargs: P.kwargs) -> R:
        from envs.runtime import torch_defaults

        return torch_defaults.in_usual_torch(function)(*args, **kwargs)

    return wrapped


def with_plain_arguments(function: Callable[P, R]) -> Callable[P, R]:
    """See `envs.runtime.plain.with_plain_arguments`."""

    @functools.wraps(function)
    def wrapped(*args: P.args, **kwargs: P.kwargs) -> R:
        from envs.runtime import plain

        return plain.with_plain_arguments()(function)(*args, **kwargs)

    return wrapped
