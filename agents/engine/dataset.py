"""Explain all rows of a file, into a folder that a second call continues."""

from __future__ import annotations

import json
from collections.abc import Iterator
from functools import lru_cache
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

from agents.console.cli import UserError, progress_bar
from agents.console.threads import one_threaded
from agents.engine.parts import Parts
from agents.engine.spread import spread
from agents.engine.work import Job, Worker
from envs.files import in_home
from envs.reading.files import parse_json

if TYPE_CHECKING:
    from agents.runs.run import Run
    from envs.core.world import World

Done = tuple[int, dict[str, int]]  # a finished part, and the number of its rows by status


@one_threaded
def explain_dataset(
    source: Run | World | str | Path,
    rows: str | Path,
    out: str | Path,
    *,
    engine: str = "local",
    jobs: int = 1,
    address: str | None = None,
    kind: str | None = None,
    progress: bool = True,
    **settings: Any,
) -> Parts:
    """Explain all rows of a file.

    The rows are explained in parts of `batch_size`. Each finished part is a file; a call with the same arguments goes on where
    an interrupted one stopped. The results do not depend on the engine or on the number of workers.

    Args:
        source: a run or its folder; a world, which one process explains.
        rows: a file or folder, see `agents.engine.rows.open_rows`.
        out: folder of the results.
        engine: a key of `ENGINES`: ``local``, processes of this machine; ``ray``, actors of a Ray cluster, which all see the
            files.
        jobs: number of workers, each with one thread.
        address: of the Ray cluster; None: a cluster of this machine alone.
        kind: ``parquet`` (needs pyarrow) or ``jsonl``; None: parquet where pyarrow is installed.
        progress: show a bar, on a terminal.
        settings: further fields of `agents.engine.work.Job`, such as ``target="9"``, ``batch_size=500``.

    Returns:
        The folder; `agents.engine.parts.read_results` reads it.

    Raises:
        UserError: a folder with results of another job; a live world with several workers.
        ManifoldError: rows that do not fit.

    Example:
        >>> import tempfile
        >>> import numpy as np
        >>> import envs
        >>> from agents.engine.parts import read_results
        >>> world = envs.make_world(data="iris", progress=False)
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     np.save(f"{folder}/rows.npy", np.array([[6.9, 3.1, 5.4, 2.1], [5.1, 3.5, 1.4, 0.2]]))
        ...     _ = explain_dataset(world, f"{folder}/rows.npy", f"{folder}/out", walker="line", progress=False)
        ...     [(row["source"], row["success"]) for row in read_results(f"{folder}/out")]
        [('virginica', True), ('setosa', True)]
    """
    if engine not in ENGINES:
        raise UserError(f"engine {engine!r}: known are {', '.join(ENGINES)}")
    if jobs < 1 or settings.get("batch_size", 1) < 1:
        raise UserError(f"jobs={jobs}, batch_size={settings.get('batch_size')}: both are at least 1")
    folder = source if isinstance(source, str | Path) else getattr(getattr(source, "folder", None), "root", None)
    live = None if isinstance(source, str | Path) else source
    job = Job("" if folder is None else str(Path(folder).resolve()), str(Path(in_home(str(rows))).resolve()), **settings)
    worker = Worker(job, live)
    apart = jobs > 1 or engine != "local"
    if apart and folder is None:
        raise UserError("several workers each load the run from its folder, and a world has none: use jobs=1, or train a run")
    count = -(-worker.rows.size // job.batch_size)
    kind = kind or ("parquet" if find_spec("pyarrow") else "jsonl")
    if kind == "parquet" and not find_spec("pyarrow"):
        raise UserError("writing Parquet needs pyarrow: pip install 'manifold-traversal[parquet]', or use jsonl")
    steps = getattr(worker.source, "steps", None)
    parts = Parts(out, {**job.as_dict(), "checkpoint": steps, "count": worker.rows.size}, count, kind)
    with progress_bar(worker.rows.size, "explaining", progress, unit="row") as bar:
        bar.update(sum(parts.statuses.values()))
        done = ENGINES[engine](job, parts, jobs, address) if apart else in_this_process(worker, parts)
        for part, statuses in done:
            parts.add(part, statuses)
            bar.update(sum(statuses.values()))
    return parts


def in_this_process(worker: Worker, parts: Parts) -> Iterator[Done]:
    """Explain the missing parts one after the other."""
    for part in parts.missing:
        yield part, worker(part, parts.file(part))


def with_processes(job: Job, parts: Parts, jobs: int, address: str | None) -> Iterator[Done]:
    """Explain the missing parts in processes of this machine."""
    tasks = [(job, part, parts.file(part)) for part in parts.missing]
    yield from (done for _, done in spread(_work, tasks, "local", jobs, address))


def with_ray(job: Job, parts: Parts, jobs: int, address: str | None) -> Iterator[Done]:
    """Explain the missing parts in actors of Ray Data; each loads the run once, and a lost one is replaced."""
    try:
        import ray
        from ray.data import ActorPoolStrategy, DataContext
    except ImportError:
        raise UserError("Ray is not installed: pip install 'manifold-traversal[ray]', or use the engine local") from None
    began = not ray.is_initialized()
    if began:
        own = None if address else jobs  # a cluster has its own number
        ray.init(address=address, num_cpus=own, log_to_driver=False, configure_logging=False)
    try:
        DataContext.get_current().enable_progress_bars = False
        files = [{"part": part, "file": str(parts.file(part))} for part in parts.missing]
        found = ray.data.from_items(files, override_num_blocks=max(len(files), 1)).map(
            RayWorker,  # type: ignore[arg-type]
            fn_constructor_args=(job,),
            compute=ActorPoolStrategy(size=jobs),
            num_cpus=1,
        )
        for row in found.iter_rows():
            yield int(row["part"]), parse_json(row["statuses"], "the result of a Ray worker")
    finally:
        if began:
            ray.shutdown()


class RayWorker:
    """A worker as Ray Data's actors call it."""

    def __init__(self, job: Job) -> None:
        self.job = job

    def __call__(self, row: dict[str, Any]) -> dict[str, Any]:
        """Explain the part of a row."""
        part, statuses = work(self.job, int(row["part"]), Path(row["file"]))
        return {"part": part, "statuses": json.dumps(statuses)}


@lru_cache(maxsize=1)
def _worker(job: Job) -> Worker:
    """The worker of this process: it loads the run once."""
    return Worker(job)


@one_threaded
def work(job: Job, part: int, file: Path) -> Done:
    """Explain one part in this process."""
    return part, _worker(job)(part, file)


def _work(task: tuple[Job, int, Path]) -> Done:
    """`work` for the arguments of one part."""
    return work(*task)


ENGINES = {"local": with_processes, "ray": with_ray}
