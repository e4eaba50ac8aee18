"""Measurements that are kept: known by their key and their source, taken once, several at a time if wanted."""

from __future__ import annotations

import hashlib
import json
import multiprocessing
import threading
import time
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ProcessPoolExecutor, ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path
from types import TracebackType
from typing import Any, TypeVar

from agents.console.cli import prepare_process
from agents.files import write_whole

ROOT = Path(__file__).resolve().parents[3]
CACHE = ROOT / "runs" / "benchmark-cache"
RowT = TypeVar("RowT")


@dataclass(frozen=True)
class Run:
    """One measurement.

    Attributes:
        key: what it measures: settings, split, seed; must go into JSON.
        measure: gives its figures; a `functools.partial` of a module's function, so that another process can call it.
        sources: files below the root whose content its figures depend on; wildcards allowed.
        name: begins the name of its file.

    Example:
        >>> Run({"seed": 0}, dict).digest == Run({"seed": 0}, dict).digest != Run({"seed": 1}, dict).digest
        True
    """

    key: dict[str, Any]
    measure: Callable[[], dict[str, Any]]
    sources: tuple[str, ...] = ()
    name: str = "run"

    @property
    def digest(self) -> str:
        """Of key and sources."""
        return digest(self.key, self.sources)


def digest(key: Any, sources: Sequence[str] = ()) -> str:
    """Sixteen hexadecimal digits of a key and of the content of files below the root."""
    found = hashlib.sha256(json.dumps(key, sort_keys=True).encode())
    for file in sorted({file for pattern in sources for file in ROOT.glob(pattern)}):
        found.update(file.read_bytes())
    return found.hexdigest()[:16]


def kept(run: Run, cache: Path, fresh: bool = False, only: bool = False) -> dict[str, Any] | None:
    """The figures of a run: from its file, or measured now and written whole. `only`: None where there is no file."""
    file = cache / f"{run.name}-{run.digest}.json"
    if file.is_file() and not fresh:
        return dict(json.loads(file.read_text())["found"])
    if only:
        return None
    found = run.measure()
    cache.mkdir(parents=True, exist_ok=True)
    write_whole(file, json.dumps({"key": run.key, "found": found}, indent=1))
    return found


class Runner:
    """Takes runs, or finds them in the cache; `missing` counts those that `only_kept` did not find.

    Args:
        cache: folder of finished runs.
        jobs: runs at a time, each in its own process.
        fresh: measure again what the cache holds.
        only_kept: measure nothing.

    Example:
        >>> import tempfile
        >>> with tempfile.TemporaryDirectory() as folder, Runner(Path(folder)) as runner:
        ...     runner([Run({"seed": seed}, lambda seed=seed: {"square": seed**2}) for seed in (2, 3)])
        [{'square': 4}, {'square': 9}]
    """

    def __init__(self, cache: Path, jobs: int = 1, fresh: bool = False, only_kept: bool = False) -> None:
        from tqdm import tqdm

        self.cache, self.fresh, self.only_kept, self.missing = cache, fresh, only_kept, 0
        self.pool: ProcessPoolExecutor | None = None
        if jobs > 1 and not only_kept:
            spawn = multiprocessing.get_context("spawn")
            self.pool = ProcessPoolExecutor(jobs, mp_context=spawn, initializer=prepare_process)
        self.lock = threading.Lock()
        self.submitted: dict[str, Future[dict[str, Any] | None]] = {}
        self.bar = tqdm(total=0, unit="run", dynamic_ncols=True, disable=True if only_kept else None)

    def __enter__(self) -> Runner:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        if self.pool is not None:
            self.pool.shutdown(wait=kind is None, cancel_futures=kind is not None)
        self.bar.close()

    def __call__(self, runs: Sequence[Run], label: str = "") -> list[dict[str, Any]]:
        """Figures of the runs, in order; those that are missing are left out."""
        futures = [self._submitted(run, label) for run in runs]
        found = [future.result() for future in futures]
        self.missing += sum(figures is None for figures in found)
        return [figures for figures in found if figures is not None]

    def one(self, run: Run, label: str = "") -> dict[str, Any]:
        """Figures of one run."""
        return self([run], label)[0]

    def rows(self, row: Callable[..., RowT], wanted: Sequence[tuple[Any, ...]]) -> list[RowT]:
        """``row(*arguments)`` for each, where a row takes runs itself; side by side if runs are."""
        if self.pool is None:
            return [row(*arguments) for arguments in wanted]
        with ThreadPoolExecutor(len(wanted)) as threads:
            try:
                return list(threads.map(lambda arguments: row(*arguments), wanted))
            except BaseException:
                self.pool.shutdown(wait=False, cancel_futures=True)  # runs that wait are dropped
                raise

    def _submitted(self, run: Run, label: str) -> Future[dict[str, Any] | None]:
        """The figures of a run, now or later; a run that two rows need is taken once."""
        with self.lock:
            known = self.submitted.get(run.digest)
            if known is not None:
                return known
            self.bar.total += 1
            self.bar.set_description(label)
            how = (run, self.cache, self.fresh, self.only_kept)
            if self.pool is None:
                future: Future[dict[str, Any] | None] = Future()
                future.set_result(kept(*how))
            else:
                future = self.pool.submit(kept, *how)
            self.submitted[run.digest] = future
        future.add_done_callback(lambda _: self.bar.update())
        return future


def timed(run: Run) -> Run:
    """The same run, which notes its CPU seconds and the version of torch, too."""
    return replace(run, measure=_Timed(run.measure))


@dataclass(frozen=True)
class _Timed:
    measure: Callable[[], dict[str, Any]]

    def __call__(self) -> dict[str, Any]:
        from importlib.metadata import version

        found, seconds = cpu_seconds(self.measure)
        return {**found, "cpu_seconds": seconds, "torch": version("torch")}


def cpu_seconds(work: Callable[[], RowT]) -> tuple[RowT, float]:
    """What `work` returns, and the process time that it took."""
    started = time.process_time()
    found = work()
    return found, time.process_time() - started
