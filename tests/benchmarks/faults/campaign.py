"""Read mutants of one kind, with fixed seeds, and count how they end."""

from __future__ import annotations

import signal
import sys
import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from agents.console.cli import UserError
from envs.errors import ManifoldError
from tests.benchmarks.faults.kinds import KINDS
from vime.errors import VimeError

NAMED = (ManifoldError, UserError, VimeError)
SECONDS = 60  # more than this is a hang


#: audit events of code that a file could make run: processes, shells, sockets, pickled objects
RUNS_CODE = ("os.system", "os.exec", "os.posix_spawn", "os.fork", "subprocess.Popen", "socket.bind", "socket.connect",
             "pickle.find_class")  # fmt: skip


class Result(NamedTuple):
    """Of one kind; `failures` holds seed and traceback, `ran` the audit events in `RUNS_CODE`."""

    tried: int
    read: int
    named: int
    failures: list[tuple[int, str]]
    ran: list[str]


def run_kind(name: str, count: int, folder: Path, first: int = 0) -> Result:
    """Read `count` mutants of a kind, seeds from `first` on."""
    _add_hook()
    kind = KINDS[name]
    folder.mkdir(parents=True)
    kind.write(folder)
    kind.read(folder)  # the honest one is read
    file = folder / kind.file
    honest, read, named, failures = file.read_bytes(), 0, 0, []
    ran: list[str] = []
    for seed in range(first, first + count):
        file.write_bytes(kind.mutate(np.random.default_rng([seed, *name.encode()]), honest))
        try:
            with _alarm(), _watched(ran):
                kind.read(folder)
            read += 1
        except NAMED:
            named += 1
        except Exception:  # what the campaign looks for
            failures.append((seed, traceback.format_exc(limit=-3)))
    return Result(count, read, named, failures, ran)


@cache
def _add_hook() -> None:
    """Once a process: hooks cannot be removed."""
    sys.addaudithook(_watch)


_into: list[list[str]] = []  # what events are added to, while a mutant is read


def _watch(event: str, arguments: tuple[Any, ...]) -> None:
    if _into and event in RUNS_CODE:
        _into[-1].append(event)


@contextmanager
def _watched(ran: list[str]) -> Iterator[None]:
    _into.append(ran)
    try:
        yield
    finally:
        _into.pop()


class _alarm:
    """TimeoutError after `SECONDS`, where the system has such a clock."""

    def __enter__(self) -> None:
        if hasattr(signal, "SIGALRM"):
            self.before = signal.signal(signal.SIGALRM, self._ring)
            signal.alarm(SECONDS)

    def __exit__(self, *error: object) -> None:
        if hasattr(signal, "SIGALRM"):
            signal.alarm(0)
            signal.signal(signal.SIGALRM, self.before)

    @staticmethod
    def _ring(*_: Any) -> None:
        raise TimeoutError(f"more than {SECONDS} s")
