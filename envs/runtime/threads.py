"""One thread for torch and BLAS while this library computes; what the caller had is put back afterwards.

The networks here are so small that a second thread only waits for the first, and burns processor time while it waits.
"""

from __future__ import annotations

import functools
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from threadpoolctl import ThreadpoolController


class _Here(threading.local):
    """What holds in this Python thread: the limit of the outermost `one_thread`, None outside of any."""

    limit: int | None = None


class _Process:
    """What holds in the process.

    Attributes:
        limit: the script's own limit.
        inside: how many Python threads are within `one_thread`.
        torch_before: torch's threads as the first of them found them.
        pools: whether one of them holds the limit of BLAS and OpenMP, which OpenBLAS allows a single thread to set.
    """

    limit = 1
    inside = 0
    torch_before = 1
    pools = False


_here = _Here()
_lock = threading.Lock()


def use_threads(count: int) -> None:
    """Limit the whole process to ``count`` threads of torch, and `one_thread` to as many: for scripts (``--num-threads``)."""
    import torch

    _Process.limit = count
    torch.set_num_threads(count)


@contextmanager
def one_thread(count: int | None = None) -> Iterator[None]:
    """Within: torch, BLAS and OpenMP use one thread; afterwards as many as before. It is a decorator as well.

    Within another one the outer limit stays, and holds again behind a library that changed it (numba does).

    Args:
        count: another number of threads than one; None: one, or what the script was started with (``--num-threads``).
    """
    import torch

    if _here.limit is not None:
        try:
            yield
        finally:
            torch.set_num_threads(_here.limit)
        return
    limit = count or _Process.limit
    with _lock:
        if _Process.inside == 0:
            _Process.torch_before = torch.get_num_threads()
        _Process.inside += 1
        first, _Process.pools = not _Process.pools, True
    _here.limit = limit
    try:
        with _pools(len(sys.modules)).limit(limits=limit) if first else nullcontext():
            torch.set_num_threads(limit)
            yield
    finally:
        _here.limit = None
        with _lock:
            torch.set_num_threads(_Process.torch_before)
            _Process.inside -= 1
            _Process.pools = _Process.pools and not first


@functools.lru_cache(maxsize=1)
def _pools(loaded: int) -> ThreadpoolController:
    """The thread pools of the libraries that are loaded; looked for again once more modules are (it takes milliseconds)."""
    from threadpoolctl import ThreadpoolController

    return ThreadpoolController()
