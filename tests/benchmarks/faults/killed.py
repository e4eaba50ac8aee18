"""A process that is killed before a file operation of saving or removing checkpoints, simulated in process."""

from __future__ import annotations

import builtins
import os
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from itertools import count
from pathlib import Path
from typing import Any, NamedTuple
from unittest import mock

import torch

from agents.runs.folder import RunFolder

CONFIG = {"algo": "ppo", "env": {"id": "A/B-v0", "kwargs": {}}, "hyperparameters": {}, "seed": 0, "n_envs": 1}
CALLS = [(os, name) for name in ("mkdir", "rename", "replace", "unlink", "rmdir", "open", "fsync", "chmod")]
CALLS += [(builtins, "open"), (shutil, "rmtree")]


class Case(NamedTuple):
    """Checkpoints that exist, the one that is saved, and how many are kept (0: all)."""

    before: tuple[int, ...]
    steps: int
    keep: int


CASES = {
    "one more": Case((10, 20), 30, 0),
    "the oldest goes": Case((10, 20), 30, 2),
    "all older ones go": Case((10, 20), 30, 1),
    "several go": Case((10, 20, 30, 40), 50, 1),
    "the same steps again": Case((10, 20), 20, 0),
    "the only one again": Case((20,), 20, 1),
    "after going back to an earlier one": Case((10, 20, 30), 15, 2),
    "after going back, none kept": Case((10, 20, 30), 5, 1),
}


NEVER = 10**9  # a file operation that no save reaches


class Killed(BaseException):
    """SIGKILL: from here on no file operation is done, whatever the handlers try."""


class Moments(NamedTuple):
    """Kills that were tried in a case; `lost` names those after which the newest whole checkpoint was not found."""

    tried: int
    lost: list[str]


@contextmanager
def kill_before(number: int) -> Iterator[None]:
    """Let no file operation happen from that number on (0: none at all)."""
    done = 0

    def counted(original: Callable[..., Any]) -> Callable[..., Any]:
        def call(*args: Any, **keywords: Any) -> Any:
            nonlocal done
            done += 1
            if done > number:
                raise Killed
            return original(*args, **keywords)

        return call

    patches = [mock.patch.object(module, name, counted(getattr(module, name))) for module, name in CALLS]
    patches.append(mock.patch.object(shutil, "_use_fd_functions", False))  # so that every removal is counted
    for patch in patches:
        patch.start()
    opened = mock.patch("io.open", builtins.open)
    opened.start()
    try:
        yield
    finally:
        for patch in (opened, *reversed(patches)):
            patch.stop()


def state(steps: int) -> dict[str, Any]:
    """Weights and progress of a training after so many steps."""
    return {"policy": {"w": torch.full((2,), float(steps))}, "progress": {"n": steps}}


def a_run(root: Path, *steps: int) -> RunFolder:
    """A run with these checkpoints."""
    folder = RunFolder.create(root, "ppo", "A/B-v0")
    folder.write_config({**CONFIG, "n_timesteps": 100})
    for s in steps:
        folder.save_checkpoint(s, state(s))
    return folder


def killed(run: RunFolder, steps: int, keep: int, number: int) -> bool:
    """Whether a save was killed before its file operation of that number (from 0); False: it was done before."""
    with kill_before(number):
        try:
            run.save_checkpoint(steps, state(steps), keep)
        except Killed:
            return True
    return False


def problem(run: RunFolder, whole: set[int]) -> str | None:
    """What is wrong with a run in which one of these checkpoints must be the newest; None: nothing."""
    try:
        again = RunFolder.open(run.root)
        newest = again.latest_checkpoint()
        found = again.load_checkpoint()["progress"]["n"]
    except Exception as error:  # what the campaign looks for
        return f"{type(error).__name__}: {error}"
    if newest not in whole:
        return f"the newest checkpoint is {newest}, not one of {sorted(whole)}"
    return None if found == newest else f"checkpoint {newest} holds the state of {found}"


def moments(case: Case, folder: Path) -> Moments:
    """Kill one save before each of its file operations; the next save must find the run whole, and clean it."""
    lost: list[str] = []
    for number in count():
        run = a_run(folder / str(number), *case.before)
        if not killed(run, case.steps, case.keep, number):
            return Moments(number, lost)
        told = problem(run, {max(case.before), case.steps})
        if told is None:
            killed(RunFolder.open(run.root), 99, 1, NEVER)
            left = sorted(place.name for place in (run.root / "checkpoints").iterdir())
            told = None if left == ["99"] else f"the next save leaves {left}"
        if told is not None:
            lost.append(f"before operation {number}: {told}")
        shutil.rmtree(run.root)
    raise AssertionError("unreachable")


def moments_twice(case: Case, folder: Path) -> Moments:
    """Kill a save, and the next process's save before each of its file operations, too."""
    tried, lost = 0, []
    for first in count():
        for second in count():
            run = a_run(folder / f"{first}-{second}", *case.before)
            if not killed(run, case.steps, case.keep, first):
                return Moments(tried, lost)
            if not killed(RunFolder.open(run.root), 99, 1, second):
                break
            tried += 1
            if told := problem(run, {max(case.before), case.steps, 99}):
                lost.append(f"before operation {first}, then {second}: {told}")
            shutil.rmtree(run.root)
    raise AssertionError("unreachable")
