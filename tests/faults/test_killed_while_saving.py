"""A process that is killed before any file operation of saving loses nothing that was saved before."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from agents.runs.folder import RunFolder
from tests.benchmarks.faults.killed import CASES, a_run, moments, state


@pytest.mark.parametrize("case", CASES)
def test_a_kill_before_any_file_operation_leaves_the_newest_whole_checkpoint(case: str, tmp_path: Path) -> None:
    found = moments(CASES[case], tmp_path)
    assert not found.lost
    assert found.tried > 15  # the operations were counted indeed


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
