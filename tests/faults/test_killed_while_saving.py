"""A process that is killed before any file operation of saving loses nothing that was saved before."""

from __future__ import annotations

import builtins
import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from agents.runs.folder import RunFolder

CONFIG = {"algo": "ppo", "env": {"id": "A/B-v0", "kwargs": {}}, "hyperparameters": {}, "seed": 0, "n_envs": 1}
CALLS = [(os, name) for name in ("mkdir", "rename", "replace", "unlink", "rmdir", "open", "fsync", "chmod")]
CALLS += [(builtins, "open"), (shutil, "rmtree")]


class Killed(BaseException):
    """SIGKILL: from here on no file operation is done, whatever the handlers try."""


def kill_before(patch: pytest.MonkeyPatch, number: int) -> Callable[[], int]:
    """Let no file operation happen from the given one on; returns how many were counted."""
    count = 0

    def counted(original: Callable[..., Any]) -> Callable[..., Any]:
        def call(*args: Any, **keywords: Any) -> Any:
            nonlocal count
            count += 1
            if count > number:
                raise Killed
            return original(*args, **keywords)

        return call

    for module, name in CALLS:
        patch.setattr(module, name, counted(getattr(module, name)))
    patch.setattr("io.open", builtins.open)
    patch.setattr(shutil, "_use_fd_functions", False)  # so that every removal is counted
    return lambda: count


def state(steps: int) -> dict[str, Any]:
    return {"policy": {"w": torch.full((2,), float(steps))}, "progress": {"n": steps}}


def a_run(root: Path, *steps: int) -> RunFolder:
    folder = RunFolder.create(root, "ppo", "A/B-v0")
    folder.write_config({**CONFIG, "n_timesteps": 100})
    for s in steps:
        folder.save_checkpoint(s, state(s))
    return folder


CASES = {
    "one more": ((10, 20), 30, 0),
    "the oldest goes": ((10, 20), 30, 2),
    "all older ones go": ((10, 20), 30, 1),
    "the same steps again": ((10, 20), 20, 0),
    "the only one again": ((20,), 20, 1),
    "after going back to an earlier one": ((10, 20, 30), 15, 2),
}


@pytest.mark.parametrize("case", CASES)
def test_a_kill_before_any_file_operation_leaves_the_newest_whole_checkpoint(case: str, tmp_path: Path) -> None:
    before, steps, keep = CASES[case]
    number, total = 0, None
    while total is None:
        run = a_run(tmp_path / str(number), *before)
        with pytest.MonkeyPatch.context() as patch:
            counted = kill_before(patch, number)
            try:
                run.save_checkpoint(steps, state(steps), keep)
                total = counted()
            except Killed:
                pass
        again = RunFolder.open(run.root)
        newest = again.latest_checkpoint()
        assert newest in {max(before), steps}, (number, newest)
        assert again.load_checkpoint()["progress"]["n"] == newest, number
        again.save_checkpoint(99, state(99), keep=1)  # and the next training is not disturbed by what was left
        assert [p.name for p in (run.root / "checkpoints").iterdir()] == ["99"], number
        number += 1
    assert total > 15  # the operations were counted indeed


def test_a_checkpoint_that_is_being_replaced_counts_until_the_new_one_is_there(tmp_path: Path) -> None:
    run = a_run(tmp_path, 10)
    place = run.root / "checkpoints" / "10"
    place.rename(place.with_name(".10-replaced"))
    again = RunFolder.open(run.root)
    assert again.checkpoints() == [10]
    assert again.load_checkpoint()["progress"]["n"] == 10
    again.save_checkpoint(20, state(20))
    assert sorted(p.name for p in place.parent.iterdir()) == ["10", "20"]


def test_what_killed_processes_left_is_removed_at_the_next_save(tmp_path: Path) -> None:
    run = a_run(tmp_path, 10)
    old, young = run.root / ".tmp-0011", run.root / ".tmp-2233"
    for file in (old, young):
        file.write_text("half")
    os.utime(old, (1, 1))
    (run.root / "checkpoints" / ".20-abcd").mkdir()
    run.save_checkpoint(30, state(30))
    assert sorted(p.name for p in (run.root / "checkpoints").iterdir()) == ["10", "30"]
    assert not old.exists()
    assert young.exists()  # somebody may be writing it


@pytest.mark.parametrize("umask", [0o077, 0o022, 0o002])
def test_files_and_folders_follow_the_umask(umask: int, tmp_path: Path) -> None:
    before = os.umask(umask)
    try:
        run = a_run(tmp_path, 10)
    finally:
        os.umask(before)
    for place in [run.root, *run.root.rglob("*")]:
        assert place.stat().st_mode & 0o777 == (0o777 if place.is_dir() else 0o666) & ~umask, place
