"""Tasks in processes of this machine or on a Ray cluster, a few at a time."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from contextlib import AbstractContextManager, contextmanager
from typing import Any, TypeVar

from agents.console.cli import UserError

TaskT = TypeVar("TaskT")
Submit = Callable[[Callable[[Any], Any], Any], Any]  # from a function and a task to a handle
Finished = Callable[[list[Any]], list[tuple[Any, Any]]]  # from handles to those that are finished, with their results


def spread(
    function: Callable[[TaskT], Any],
    tasks: Iterable[TaskT],
    engine: str = "local",
    jobs: int = 1,
    address: str | None = None,
) -> Iterator[tuple[TaskT, Any]]:
    """Pairs of a task and what `function` made of it, in the order in which they finish.

    At most `jobs` tasks are under way. The next one is taken from `tasks` when one has finished, and after its result was
    yielded: later tasks may depend on earlier results.

    Args:
        function: at the top level of a module.
        tasks: each can be pickled.
        engine: a key of `POOLS`.
        jobs: number of workers; with 1 and the engine ``local``, this process.
        address: of a Ray cluster; None: one of this machine alone.

    Raises:
        UserError: no such engine, fewer than one job, or Ray is not installed.

    Example:
        >>> list(spread(abs, [-1, 2]))
        [(-1, 1), (2, 2)]
    """
    if engine not in POOLS:
        raise UserError(f"engine {engine!r}: known are {', '.join(POOLS)}")
    if jobs < 1:
        raise UserError(f"jobs={jobs}: at least 1 is needed")
    if address is not None and engine == "local":
        raise UserError(f"address {address!r} belongs to the engine ray: name that, or leave the address out")
    return _here(function, tasks) if engine == "local" and jobs == 1 else _apart(function, tasks, engine, jobs, address)


def _here(function: Callable[[TaskT], Any], tasks: Iterable[TaskT]) -> Iterator[tuple[TaskT, Any]]:
    for task in tasks:
        yield task, function(task)


def _apart(
    function: Callable[[TaskT], Any], tasks: Iterable[TaskT], engine: str, jobs: int, address: str | None
) -> Iterator[tuple[TaskT, Any]]:
    under_way: dict[Any, TaskT] = {}
    with POOLS[engine](jobs, address) as (submit, finished):
        for task in tasks:
            under_way[submit(function, task)] = task
            if len(under_way) == jobs:
                for handle, result in finished(list(under_way)):
                    yield under_way.pop(handle), result
        while under_way:
            for handle, result in finished(list(under_way)):
                yield under_way.pop(handle), result


@contextmanager
def processes(jobs: int, address: str | None) -> Iterator[tuple[Submit, Finished]]:
    """A pool of processes of this machine."""
    from concurrent.futures import FIRST_COMPLETED, wait

    from joblib.externals.loky.process_executor import ProcessPoolExecutor, TerminatedWorkerError

    def finished(handles: list[Any]) -> list[tuple[Any, Any]]:
        try:
            return [(handle, handle.result()) for handle in wait(handles, return_when=FIRST_COMPLETED).done]
        except TerminatedWorkerError as error:
            raise UserError(
                "a worker was killed, perhaps for memory; finished work is kept, and the same call continues with the rest; "
                "fewer jobs or a smaller batch_size need less memory"
            ) from error

    executor = ProcessPoolExecutor(max_workers=jobs)
    try:
        yield executor.submit, finished
    finally:
        executor.shutdown(wait=True, kill_workers=False)


@contextmanager
def ray_tasks(jobs: int, address: str | None) -> Iterator[tuple[Submit, Finished]]:
    """Tasks of a Ray cluster, each on one CPU; a lost one is started again, twice at most."""
    try:
        import ray
    except ImportError:
        raise UserError("Ray is not installed: pip install 'manifold-traversal[ray]', or use the engine local") from None
    began = not ray.is_initialized()
    if began:
        ray.init(address=address, num_cpus=None if address else jobs, log_to_driver=False, configure_logging=False)

    def submit(function: Callable[[Any], Any], task: Any) -> Any:
        return ray.remote(num_cpus=1, max_retries=2)(function).remote(task)

    def finished(handles: list[Any]) -> list[tuple[Any, Any]]:
        done, _ = ray.wait(handles, num_returns=1)
        return [(handle, ray.get(handle)) for handle in done]

    try:
        yield submit, finished
    finally:
        if began:
            ray.shutdown()


POOLS: dict[str, Callable[[int, str | None], AbstractContextManager[tuple[Submit, Finished]]]] = {
    "local": processes,
    "ray": ray_tasks,
}
