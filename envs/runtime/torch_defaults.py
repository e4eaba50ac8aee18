"""What torch's process-wide switches are in our own code, whatever the user's process has set; theirs come back.

Torch is loaded when the first of these functions is called.
"""

from __future__ import annotations

import contextlib
import functools
import sys
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any, ParamSpec, TypeVar

if TYPE_CHECKING:
    import torch

P = ParamSpec("P")
R = TypeVar("R")

_owners: list[tuple[torch.dtype, torch.device]] = []  # default type and device of the user, while ours are set


@contextlib.contextmanager
def usual_torch() -> Iterator[None]:
    """Float32, the CPU, gradients on, inference mode off; afterwards as before. Not thread-safe, as these switches are not."""
    import torch

    with torch.inference_mode(False), torch.enable_grad(), _defaults(torch.float32, torch.device("cpu"), remember=True):
        yield


@contextlib.contextmanager
def owners_torch() -> Iterator[None]:
    """The user's own default type and device, for calls of the user's own code from within `usual_torch`."""
    if not _owners:
        yield
        return
    with _defaults(*_owners[-1]):
        yield


@contextlib.contextmanager
def _defaults(dtype: torch.dtype, device: torch.device, remember: bool = False) -> Iterator[None]:
    """These defaults inside, the present ones afterwards; `remember` those as the user's."""
    import torch

    before = torch.get_default_dtype(), torch.get_default_device()
    if before == (dtype, device):
        yield
        return
    if remember:
        _owners.append(before)
    torch.set_default_dtype(dtype)
    try:
        with device if before[1] != device else contextlib.nullcontext():
            yield
    finally:
        torch.set_default_dtype(before[0])
        if remember:
            _owners.pop()


@contextlib.contextmanager
def threads_kept() -> Iterator[None]:
    """Numbers of threads of torch and numba afterwards as before: loading or using numba changes those of torch."""
    import torch

    before, loaded = torch.get_num_threads(), sys.modules.get("numba")
    of_numba = None if loaded is None else loaded.get_num_threads()
    try:
        yield
    finally:
        if (numba := sys.modules.get("numba")) is not None and hasattr(numba, "set_num_threads"):
            numba.set_num_threads(numba.config.NUMBA_NUM_THREADS if of_numba is None else of_numba)
        torch.set_num_threads(before)


def in_usual_torch(function: Callable[P, R]) -> Callable[P, R]:
    """The function, run in `usual_torch`."""

    @functools.wraps(function)
    def wrapped(*args: P.args, **kwargs: P.kwargs) -> R:
        if _is_usual():
            return function(*args, **kwargs)
        with usual_torch():
            return function(*args, **kwargs)

    return wrapped


def _is_usual() -> bool:
    """Whether nothing has to be set: the usual case, on the hot path of every step."""
    import torch

    here: Any = torch.empty(0)  # four times quicker than torch.get_default_device
    return here.dtype is torch.float32 and here.is_cpu and torch.is_grad_enabled() and not torch.is_inference_mode_enabled()
