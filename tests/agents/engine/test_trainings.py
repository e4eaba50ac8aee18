"""Several trainings: the same runs whatever the number of workers, finished ones are read, interrupted ones go on."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from agents.console.cli import UserError
from agents.engine.spread import spread
from agents.engine.trainings import Training, as_text, carry_out, interval, seeds_of, train_seeds
from agents.runs.folder import RunFolder
from agents.train import main, train

QUICK: dict[str, Any] = {"data": "iris", "n_timesteps": 128, "n_envs": 2, "hyperparams": {"n_steps": 64}, "eval_episodes": 5}
TIMED = ("cpu_seconds",)


def plain(rows: list[dict[str, Any]], root: Path) -> list[dict[str, Any]]:
    """Rows without what differs between two folders or two measurements of time."""
    return [{k: v for k, v in row.items() if k not in TIMED} | {"run": Path(row["run"]).relative_to(root)} for row in rows]


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, list[dict[str, Any]]]:
    """A folder with finished trainings, and their rows."""
    folder = tmp_path_factory.mktemp("finished")
    return folder, train_seeds(seeds=[0, 1], log_folder=folder, progress=False, **QUICK)


def test_a_second_call_trains_nothing(finished: tuple[Path, list[dict[str, Any]]]) -> None:
    folder, rows = finished
    assert [row["seed"] for row in rows] == [0, 1]
    before = {file: file.stat().st_mtime_ns for file in folder.rglob("*")}
    assert train_seeds(seeds=[0, 1], log_folder=folder, progress=False, **QUICK) == rows
    assert {file: file.stat().st_mtime_ns for file in folder.rglob("*")} == before
    assert "mean over the seeds" in as_text(rows)


@pytest.mark.slow
@pytest.mark.parametrize("engine", ["local", "ray"])
def test_workers_train_the_same(tmp_path: Path, finished: tuple[Path, list[dict[str, Any]]], engine: str) -> None:
    pytest.importorskip("ray" if engine == "ray" else "joblib")
    folder, rows = finished
    found = train_seeds(seeds=[0, 1], log_folder=tmp_path, progress=False, engine=engine, jobs=2, **QUICK)
    assert plain(rows, folder) == plain(found, tmp_path)
    policies = [Path(row["run"]) / "checkpoints/128/policy.safetensors" for row in (*rows, *found)]
    first, second, again, _ = (file.read_bytes() for file in policies)
    assert first == again != second


def test_an_interrupted_training_goes_on_to_the_same_policy(tmp_path: Path) -> None:
    settings = {**QUICK, "seed": 3, "n_timesteps": 256, "save_freq": 128}
    whole = carry_out(Training(settings, str(tmp_path / "whole")))
    shutil.copytree(tmp_path / "whole", tmp_path / "killed")
    (killed,) = (tmp_path / "killed").glob("*/*_*")
    shutil.rmtree(killed / "checkpoints" / "256")
    (killed / "summary.json").unlink()
    again = carry_out(Training(settings, str(tmp_path / "killed")))
    assert again["steps"] == 256
    policies = [Path(row["run"]) / "checkpoints/256/policy.safetensors" for row in (whole, again)]
    assert policies[0].read_bytes() == policies[1].read_bytes()


def test_a_run_without_a_checkpoint_begins_anew(tmp_path: Path, finished: tuple[Path, list[dict[str, Any]]]) -> None:
    shutil.copytree(finished[0] / "seed-0", tmp_path, dirs_exist_ok=True)
    (copy,) = tmp_path.glob("*/*_*")
    shutil.rmtree(copy / "checkpoints")
    again = carry_out(Training({**QUICK, "seed": 0}, str(tmp_path)))
    assert RunFolder.open(again["run"]).checkpoints() == [128]
    assert len(list(tmp_path.glob("*/*_*"))) == 1


def test_a_training_that_fails_is_a_row_and_the_others_go_on(tmp_path: Path) -> None:
    rows = train_seeds(seeds=[0], log_folder=tmp_path, progress=False, **{**QUICK, "algo": "pppo"})
    assert "pppo" in rows[0]["error"]
    assert "failed" in as_text(rows)


def test_a_folder_of_other_trainings_and_live_objects_are_refused(
    tmp_path: Path, finished: tuple[Path, list[dict[str, Any]]]
) -> None:
    with pytest.raises(UserError, match="other settings"):
        train_seeds(seeds=[0], log_folder=finished[0], progress=False, **{**QUICK, "n_envs": 4})
    with pytest.raises(UserError, match="workers read the settings from files"):
        train_seeds(seeds=[0], log_folder=tmp_path / "live", data=np.zeros((3, 2)))
    with pytest.raises(UserError, match="no setting n_steps"):
        train_seeds(seeds=[0], log_folder=tmp_path, n_steps=3)
    with pytest.raises(UserError, match="resumes one"):
        train_seeds(seeds=[0], log_folder=tmp_path, trained_agent="latest")


@pytest.mark.parametrize(("text", "seeds"), [("0-2", [0, 1, 2]), ("5", [5]), ("0, 3,7-8", [0, 3, 7, 8])])
def test_seeds_are_read(text: str, seeds: list[int]) -> None:
    assert seeds_of(text) == seeds


@pytest.mark.parametrize("text", ["", "a", "3-1", "-1", "0,0", "0-4294967296", "1.5", "0-99999"])
def test_seeds_that_are_none_are_refused(text: str) -> None:
    with pytest.raises(UserError, match="seeds"):
        seeds_of(text)


def test_the_interval_is_students() -> None:
    found = interval([1.0, 2.0, 3.0, None])
    assert (found.value, found.n) == (2.0, 3)
    assert found.high - 2 == pytest.approx(4.302653 / np.sqrt(3), rel=1e-5)
    assert np.isnan(interval([1.0]).low)


def test_later_tasks_may_depend_on_earlier_results() -> None:
    results: list[int] = []

    def tasks() -> Any:
        yield -1
        assert results == [1]
        yield -2

    for _, result in spread(abs, tasks()):
        results.append(result)
    assert results == [1, 2]


def test_engines_and_jobs_that_there_are_not_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(UserError, match="known are local, ray"):
        spread(abs, [], "dask")
    with pytest.raises(UserError, match="at least 1"):
        spread(abs, [], jobs=0)
    with pytest.raises(UserError, match="belongs to the engine ray"):
        spread(abs, [], address="auto")
    monkeypatch.setitem(__import__("sys").modules, "ray", None)
    with pytest.raises(UserError, match=r"manifold-traversal\[ray\]"):
        list(spread(abs, [1], "ray"))


def test_the_command_trains_all_seeds(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    flags = ["--data", "iris", "-n", "128", "--n-envs", "2", "-params", "n_steps:64", "--eval-episodes", "5", "--no-progress"]
    assert main([*flags, "--seeds", "2", "-f", str(tmp_path)]) == 0
    said = capsys.readouterr().out
    assert "seed-2" in said
    assert "95 % interval" in said
    with pytest.raises(UserError, match="--seeds 0-4"):
        main([*flags, "--jobs", "2"])
    with pytest.raises(UserError, match="leave one of them out"):
        main([*flags, "--seeds", "0", "--seed", "1"])


def test_train_itself_takes_no_seeds() -> None:
    with pytest.raises(UserError, match="no setting seeds"):
        train(seeds="0-4")
