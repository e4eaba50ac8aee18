"""A disk that is full, or a folder that cannot be written: the error names the file, what is saved, and the way on."""

from __future__ import annotations

import errno
import json
import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from agents.console.cli import UserError, run_main
from agents.evaluate import main as evaluate
from agents.explain import main as explain
from agents.explanation import explain as explain_script
from agents.files import write_whole
from agents.report import main as report
from agents.trajectories.trajectory import Trajectory

ROOT = Path(__file__).resolve().parents[2]
FLOWERS = ["--env", "Manifold/Custom-v0", "--env-kwargs", "data:iris", "--walker", "line"]


def full_after(patch: pytest.MonkeyPatch, count: int, number: int = errno.ENOSPC) -> None:
    """Let ``count`` files be written whole, and refuse all others as the system does."""
    original: Callable[..., None] = os.replace
    done = 0

    def replace(source: Any, target: Any, **keywords: Any) -> None:
        nonlocal done
        done += 1
        if done > count:
            raise OSError(number, os.strerror(number), str(source), None, str(target))
        original(source, target, **keywords)

    patch.setattr(os, "replace", replace)


@pytest.mark.parametrize("kind", ["npz", "json", "png", "gif"])
def test_explain_says_how_many_paths_are_saved(
    kind: str, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    full_after(monkeypatch, 2)
    asked = [*FLOWERS, "--index", "0", "1", "2", "3", "--out", str(tmp_path / "out"), "--format", kind]
    assert run_main(explain, asked) == 2
    told = capsys.readouterr().err
    assert f".{kind}': No space left on device; 2 paths are saved in '{tmp_path}/out'" in told
    assert "--out DIR" in told
    assert "/.tmp-" not in told
    files = list((tmp_path / "out").iterdir())
    assert len(files) == 2  # no part of a third
    assert all(file.stat().st_size > 100 for file in files)


def test_explain_all_saves_as_it_goes(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    import envs

    monkeypatch.setattr(explain_script, "BATCH", 4)
    world = envs.make_world(data="iris")
    counts: list[int] = []
    explain_script.explain(world, list(range(10)), walker="line", on_batch=lambda paths: counts.append(len(paths)))
    assert counts == [4, 4, 2]

    entered, original = 0, explain_script.enter_aimed

    def enter(*arguments: Any) -> Any:
        nonlocal entered
        entered += 1
        if entered == 3:
            raise KeyboardInterrupt
        return original(*arguments)

    monkeypatch.setattr(explain_script, "enter_aimed", enter)
    assert run_main(explain, [*FLOWERS, "--all", "--no-progress", "--format", "npz", "--out", str(tmp_path)]) == 130
    assert f"interrupted; 8 paths are saved in {tmp_path}" in capsys.readouterr().err
    assert len([Trajectory.load(file) for file in tmp_path.iterdir()]) == 8


def test_report_and_evaluate_name_their_file(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    run = shutil.copytree(ROOT / "runs" / "example", tmp_path / "example")
    before = (run / "report.html").read_bytes()
    with monkeypatch.context() as patch:
        full_after(patch, 0)
        assert run_main(report, [str(run)]) == 2
        told = capsys.readouterr().err
        assert f"cannot write the report '{run}/report.html': No space left on device" in told
        assert "--out FILE" in told
        fast = ["--inputs", "2", "--no-oracles", "--closely", "0", "--alone", "0", "--no-progress"]
        assert run_main(evaluate, [*FLOWERS, *fast, "--out", str(tmp_path / "found.json")]) == 2
        found = capsys.readouterr()
        assert f"cannot write the measures '{tmp_path}/found.json': No space left on device" in found.err
        assert "validity" in found.out  # the tables came first
    assert (run / "report.html").read_bytes() == before
    assert not (tmp_path / "found.json").exists()
    assert run_main(evaluate, [*FLOWERS, *fast, "--out", str(tmp_path / "found.json")]) == 0
    json.loads((tmp_path / "found.json").read_text(), parse_constant=lambda name: pytest.fail(name))


def test_a_runs_folder_that_cannot_be_written_is_evaluated_all_the_same(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The folder of fitted judges is a cache: where it cannot be written, they are fitted in memory."""
    import numpy as np

    from agents.explanation.metrics import oracle as judge

    full_after(monkeypatch, 0, errno.EROFS)
    monkeypatch.setattr(judge, "AE_STEPS", 2)
    monkeypatch.setattr(judge, "ORACLE_STEPS", 2)
    x, labels = np.random.default_rng(0).normal(size=(20, 3)), np.arange(20) % 2
    assert judge.oracles_of(x, labels, 2, tmp_path / "cache").classes == 2
    assert list((tmp_path / "cache").iterdir()) == []
    asked = [*FLOWERS, "--index", "0", "--out", str(tmp_path / "out")]
    assert run_main(explain, asked) == 2
    assert "Read-only file system; 0 paths are saved" in capsys.readouterr().err


def test_an_error_of_the_disk_names_the_file_and_not_its_unfinished_copy(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    full_after(monkeypatch, 0)
    with pytest.raises(OSError, match=r"No space left on device: '.*/file\.txt'") as caught:
        write_whole(tmp_path / "file.txt", "text")
    assert not isinstance(caught.value, UserError)
    assert list(tmp_path.iterdir()) == []


def test_names_as_long_as_the_file_system_takes_are_written(tmp_path: Path) -> None:
    file = tmp_path / ("n" * 251 + ".txt")
    write_whole(file, "text")
    assert [p.name for p in tmp_path.iterdir()] == [file.name]
