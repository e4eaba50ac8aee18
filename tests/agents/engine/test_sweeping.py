"""A sweep: what it reads, that a second call goes on, and that its results do not depend on who works."""

from __future__ import annotations

import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from agents.console.cli import UserError
from agents.engine import sweeping
from agents.engine.sweeping import Choice, Sweep, run_sweep
from agents.sweep import main
from envs.errors import ManifoldError

FILE = """
train: {data: iris, n_timesteps: 128, n_envs: 2, eval_episodes: 5}
search:
  hyperparams.n_steps: [16, 64]
  hyperparams.learning_rate: {low: 1.0e-4, high: 1.0e-2, log: true}
seeds: 3
trials: 2
measure: mean_reward
"""
SWEEP: dict[str, Any] = {"train": {"data": "iris"}, "search": {"n_envs": [2, 4]}}


@pytest.fixture
def instant(monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """Trainings that take no time; what was asked of them."""
    asked: list[Any] = []

    def row(training: Any) -> dict[str, Any]:
        asked.append(training)
        rate = training.settings["hyperparams"]["learning_rate"]
        failed = "diverged" if rate > 0.5 else None
        return {"seed": training.settings["seed"], "run": training.folder, "error": failed, "mean_reward": -rate}

    monkeypatch.setattr(sweeping, "carry_out", row)
    return asked


def searched(trials: int, high: float = 0.1, **more: Any) -> dict[str, Any]:
    search = {"hyperparams.learning_rate": {"low": 1e-4, "high": high, "log": True}}
    return {"train": {"data": "iris"}, "search": search, "trials": trials, "measure": "mean_reward", **more}


def test_a_second_call_goes_on_and_the_best_comes_first(tmp_path: Path, instant: list[Any]) -> None:
    pytest.importorskip("optuna")
    rows = run_sweep(searched(3), tmp_path, progress=False)
    assert [row["state"] for row in rows] == ["complete"] * 3
    assert [row["value"] for row in rows] == sorted((row["value"] for row in rows), reverse=True)
    more = run_sweep(searched(5), tmp_path, progress=False)
    assert len(more) == 5 == len(instant)
    assert all(row in more for row in rows)
    assert (tmp_path / "trials.csv").read_text().count("\n") == 6
    with pytest.raises(UserError, match="other measure"):
        run_sweep(searched(5) | {"measure": "success_rate"}, tmp_path, progress=False)


def test_a_trial_that_was_begun_is_trained_to_its_end_with_its_own_settings(tmp_path: Path, instant: list[Any]) -> None:
    optuna = pytest.importorskip("optuna")
    run_sweep(searched(1), tmp_path, progress=False)
    backend = optuna.storages.journal.JournalFileBackend(str(tmp_path / sweeping.JOURNAL))
    study = optuna.load_study(study_name="sweep", storage=optuna.storages.JournalStorage(backend))
    rate = study.ask().suggest_float("hyperparams.learning_rate", 1e-4, 0.1, log=True)
    rows = run_sweep(searched(2), tmp_path, progress=False)
    assert {row["trial"]: row["hyperparams.learning_rate"] for row in rows}[1] == rate
    assert instant[-1].folder.endswith("trial-1/seed-0")


def test_a_trial_that_fails_is_told_and_the_others_go_on(tmp_path: Path, instant: list[Any]) -> None:
    pytest.importorskip("optuna")
    rows = run_sweep(searched(12, high=10.0), tmp_path, progress=False)
    assert {row["state"] for row in rows} == {"complete", "fail"}
    assert rows[-1]["error"] == "diverged"


def test_the_command_searches_with_real_trainings(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    pytest.importorskip("optuna")
    (tmp_path / "sweep.yml").write_text(FILE)
    assert main([str(tmp_path / "sweep.yml"), "--out", str(tmp_path / "out"), "--no-progress"]) == 0
    assert "mean reward, mean over 1 seeds" in capsys.readouterr().out
    assert len(list((tmp_path / "out").glob("trial-*/seed-*/ppo/*/summary.json"))) == 2


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ({"searh": {}}, "search"),
        ({"search": {}}, "needs search"),
        ({"search": {"n_env": [2]}}, "n_envs"),
        ({"search": {"seed": [2]}}, "seed"),
        ({"search": {"n_envs.x": [2]}}, "no settings within"),
        ({"search": {"n_envs": []}}, "choices are a list"),
        ({"search": {"n_envs": {"low": 4, "high": 2}}}, "below"),
        ({"search": {"n_envs": {"low": 0, "high": 2, "log": True}}}, "log needs"),
        ({"search": {"n_envs": {"low": 1, "hihg": 2}}}, "high"),
        ({"search": {"data": ["iris"]}}, "train and in search"),
        ({"measure": "succes_rate"}, "success_rate"),
        ({"trials": 0}, "trials"),
        ({"seeds": "x"}, "seeds"),
    ],
)
def test_what_a_sweep_cannot_mean_is_refused(change: dict[str, Any], told: str) -> None:
    with pytest.raises((UserError, ManifoldError), match=told):
        Sweep.read({**SWEEP, **change})


def test_ranges_of_whole_numbers_stay_whole() -> None:
    assert Choice.read({"low": 1, "high": 4}, "n_envs") == Choice((), 1, 4)
    assert isinstance(Choice.read({"low": 1.0, "high": 4}, "x").high, float)


def test_without_optuna_the_extra_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "optuna", None)
    with pytest.raises(UserError, match=r"manifold-traversal\[sweep\]"):
        run_sweep(SWEEP, tmp_path)


@pytest.mark.slow
def test_trials_on_a_ray_cluster_are_those_of_this_machine_and_are_kept(tmp_path: Path) -> None:
    pytest.importorskip("optuna")
    pytest.importorskip("ray")
    (tmp_path / "sweep.yml").write_text(FILE)
    sweep = Sweep.read(tmp_path / "sweep.yml")
    here, there = (run_sweep(sweep, tmp_path / engine, engine=engine, progress=False) for engine in ("local", "ray"))
    assert here == there
    assert [row["state"] for row in there] == ["complete"] * 2
    more = run_sweep(replace(sweep, trials=3), tmp_path / "ray", engine="ray", progress=False)
    assert len(more) == 3
    assert all(row in more for row in there)


@pytest.mark.slow
def test_trainings_with_an_onnx_classifier_are_searched(tmp_path: Path) -> None:
    pytest.importorskip("optuna", reason="the extra [sweep] is not installed")
    pytest.importorskip("onnxruntime", reason="the extra [onnx] is not installed")
    to_onnx = pytest.importorskip("skl2onnx", reason="skl2onnx is not installed").to_onnx
    import numpy as np
    from sklearn.datasets import load_iris
    from sklearn.linear_model import LogisticRegression

    iris = load_iris()
    model = LogisticRegression(max_iter=500).fit(iris.data, iris.target)
    saved = to_onnx(model, iris.data[:1].astype(np.float32), options={"zipmap": False}).SerializeToString()
    (tmp_path / "model.onnx").write_bytes(saved)
    np.savez(tmp_path / "rows.npz", x=iris.data.astype(np.float32), y=iris.target)
    train = {
        "data": str(tmp_path / "rows.npz"), "classifier": str(tmp_path / "model.onnx"), "manifold": "pca",
        "n_timesteps": 128, "n_envs": 2, "eval_episodes": 2,
    }  # fmt: skip
    found = run_sweep(
        {"train": train, "search": {"hyperparams.n_steps": [16, 32]}, "trials": 1}, tmp_path / "sweep", progress=False
    )
    assert [row["state"] for row in found] == ["complete"]
