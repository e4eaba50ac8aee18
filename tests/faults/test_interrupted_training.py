"""Trainings that are killed, diverge, or are resumed twice at once: what is saved stays good."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import gymnasium
import numpy as np
import pytest

from agents.console.cli import UserError
from agents.runs.folder import RunFolder
from agents.runs.run import load_run
from agents.train import train
from agents.training import callbacks as training_callbacks
from agents.training import loop as training
from agents.training.log import JsonLinesFormat

PPO = {"n_steps": 8, "n_epochs": 2, "policy_kwargs": {"net_arch": [16]}}
SMALL: dict[str, Any] = {"n_envs": 8, "eval_episodes": 0, "pictures": False, "n_timesteps": 256, "save_freq": 64}


def small(folder: Path, **settings: Any) -> Any:
    return train(**{**SMALL, "hyperparams": PPO, "log_folder": str(folder), **settings})


def lines_of(run: RunFolder) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (run.root / "metrics.jsonl").read_text(encoding="utf-8").splitlines()]


class Disturbed(training_callbacks.ProgressCallback):
    """Stands in for the progress bar, and does something in the middle of a rollout."""

    at = 200

    def _on_step(self) -> bool:
        if self.model.num_timesteps == self.at:
            self.disturb()
        return True

    def disturb(self) -> None:
        raise NotImplementedError


# -- NaN --------------------------------------------------------------------------------------------------------------


class Spoil(Disturbed):
    at = 128

    def disturb(self) -> None:
        next(self.model.policy.parameters()).data.fill_(float("nan"))


@pytest.mark.parametrize(("algo", "params"), [("ppo", PPO), ("sac", {"learning_starts": 32, "batch_size": 16})])
def test_weights_that_are_not_finite_are_never_saved(
    algo: str, params: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(training, "ProgressCallback", Spoil)
    told = r"the training diverged: .* are NaN or infinite after .* steps.*last good checkpoint is the one at.*learning_rate"
    with pytest.raises(UserError, match=told):
        small(tmp_path, algo=algo, hyperparams=params, keep_checkpoints=1)
    run = RunFolder.open("latest", tmp_path)
    assert run.checkpoints()[-1] <= 128
    for weights in run.load_checkpoint(only=("policy",))["policy"].values():
        assert bool(weights.isfinite().all())
    assert load_run(run.root).steps == run.checkpoints()[-1]
    assert "NaN" not in (run.root / "metrics.jsonl").read_text()


def test_a_training_that_diverges_before_its_first_checkpoint_says_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(training, "ProgressCallback", Spoil)
    with pytest.raises(UserError, match=r"diverged.*there is no checkpoint yet.*learning_rate:X \(it was 0\.5\)"):
        small(tmp_path, algo="a2c", save_freq=0, hyperparams={"learning_rate": 0.5, "policy_kwargs": {"net_arch": [16]}})


def test_metrics_hold_null_for_what_is_not_finite(tmp_path: Path) -> None:
    file = tmp_path / "metrics.jsonl"
    log = JsonLinesFormat(file)
    log.write({"a": float("nan"), "b": np.float32("inf"), "c": 1.5, "d": "x"}, {}, 3)
    log.close()
    line = json.loads(file.read_text(), parse_constant=lambda name: pytest.fail(name))
    assert line == {"step": 3, "a": None, "b": None, "c": 1.5, "d": "x", "not_finite": ["a", "b"]}


class Faulty(gymnasium.Env[np.ndarray, np.ndarray]):
    """An environment of the user's that gives NaN after a while."""

    observation_space = gymnasium.spaces.Box(-1, 1, (2,))
    action_space = gymnasium.spaces.Box(-1, 1, (1,))

    def __init__(self, where: str) -> None:
        self.where = where

    def reset(self, *, seed: int | None = None, options: Any = None) -> Any:
        self.t = 0
        return np.zeros(2, np.float32), {}

    def step(self, action: np.ndarray) -> Any:
        self.t += 1
        bad = np.nan if self.t == 11 else 0.0
        obs = np.full(2, bad if self.where == "observation" else 0.0, np.float32)
        return obs, bad if self.where == "reward" else 0.0, False, self.t >= 20, {}


@pytest.mark.parametrize("where", ["reward", "observation"])
def test_nan_from_an_environment_is_named(where: str, tmp_path: Path) -> None:
    gymnasium.register("Faulty-v0", entry_point=Faulty)
    try:
        with pytest.raises(UserError, match=rf"Faulty-v0 gave the {where} \[?nan.*correct the environment's step"):
            small(tmp_path, env="Faulty-v0", env_kwargs={"where": where}, n_envs=2)
    finally:
        gymnasium.registry.pop("Faulty-v0")
    for weights in RunFolder.open("latest", tmp_path).load_checkpoint(only=("policy",))["policy"].values():
        assert bool(weights.isfinite().all())


# -- signals and kills ------------------------------------------------------------------------------------------------


class HangUp(Disturbed):
    at = 104

    def disturb(self) -> None:
        os.kill(os.getpid(), signal.SIGHUP)


@pytest.mark.skipif(not hasattr(signal, "SIGHUP"), reason="this system has no SIGHUP")
def test_a_closed_terminal_saves_and_nohup_goes_on(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(training, "ProgressCallback", HangUp)
    under = signal.signal(signal.SIGHUP, signal.SIG_DFL)  # the tests themselves may run under nohup
    with pytest.raises(training.TrainingInterrupted, match="128 steps are saved") as caught:
        small(tmp_path)
    assert caught.value.exit_code == 128 + signal.SIGHUP
    signal.signal(signal.SIGHUP, signal.SIG_IGN)  # what nohup does
    try:
        assert small(tmp_path).steps == 256
    finally:
        signal.signal(signal.SIGHUP, under)


# Processes of their own: a fork of this one may inherit locks that threads of other tests hold.
KILLED = """
import json, os, sys
from agents.train import train
from agents.training import callbacks, loop

class Kill(callbacks.ProgressCallback):
    def _on_step(self) -> bool:
        if self.model.num_timesteps == 200:
            os._exit(9)
        return True

loop.ProgressCallback = Kill
train(**json.loads(sys.argv[1]))
"""

HOLDS = """
import signal, sys
from agents.runs.folder import RunFolder

with RunFolder.open(sys.argv[1]).lock():
    print("held", flush=True)
    signal.pause()
"""


def a_killed_training(folder: Path, **settings: Any) -> RunFolder:
    """A training whose process ends at once, 8 steps after it logged 192 steps and 136 after its checkpoint."""
    settings = {**SMALL, "hyperparams": PPO, "log_folder": str(folder), "save_freq": 128, **settings}
    process = subprocess.run([sys.executable, "-c", KILLED, json.dumps(settings)], capture_output=True, text=True, check=False)
    assert process.returncode == 9, process.stderr
    return RunFolder.open("latest", folder)


def test_a_run_resumed_after_a_kill_has_no_doubled_lines(tmp_path: Path) -> None:
    whole = small(tmp_path / "whole", save_freq=128)
    run = a_killed_training(tmp_path / "killed")
    assert [line["step"] for line in lines_of(run)] == [64, 128, 192]
    with open(run.root / "metrics.jsonl", "a") as stream:
        stream.write('{"step": 2')  # torn
    resumed = train(trained_agent=str(run.root), **{**SMALL, "n_envs": None})
    assert resumed.steps == 256
    steps = [line["step"] for line in lines_of(run)]
    assert steps == [line["step"] for line in lines_of(whole.folder)] == [64, 128, 192, 256, 256]


def test_resume_with_vime_equals_the_uninterrupted_run_to_the_byte(tmp_path: Path) -> None:
    options = {"min_pool": 64, "fit_every": 64, "updates": 3, "decay": 1.0, "success_decay": 1.0}
    curious = {"curiosity": "vime", "eta": 0.1, "curiosity_kwargs": options}
    whole = small(tmp_path / "whole", save_freq=128, **curious)
    run = a_killed_training(tmp_path / "killed", **curious)
    train(trained_agent=str(run.root), **{**SMALL, "n_envs": None})
    mine, theirs = (folder.checkpoint_path(256) for folder in (whole.folder, run))
    files = sorted(p.name for p in mine.iterdir())
    assert files == sorted(p.name for p in theirs.iterdir())
    timed = {"progress.json", "manifest.json"}  # seconds, and checksums of these
    for name in set(files) - timed:
        contents = [(folder / name).read_bytes() for folder in (mine, theirs)]
        if name == "training.json":  # holds when each episode ended
            contents = [re.sub(rb'"t": [0-9.]+', b"", content) for content in contents]
        assert contents[0] == contents[1], name


def test_a_run_goes_on_from_the_checkpoint_that_is_named(tmp_path: Path) -> None:
    whole = small(tmp_path)
    assert whole.folder.checkpoints() == [64, 128, 192, 256]
    with pytest.raises(UserError, match=r"no checkpoint at 100 steps; it has \[64, 128, 192, 256\]"):
        train(trained_agent=str(whole.folder.root), checkpoint=100)
    with pytest.raises(UserError, match="--checkpoint 64 chooses a checkpoint of a run to resume: name the run with -i"):
        small(tmp_path, checkpoint=64)
    last = whole.folder.checkpoint_path(256) / "policy.safetensors"
    before, lines = last.read_bytes(), [line["step"] for line in lines_of(whole.folder)]
    train(trained_agent=str(whole.folder.root), checkpoint=64, **{**SMALL, "n_envs": None})
    assert whole.folder.checkpoints() == [64, 128, 192, 256]
    assert last.read_bytes() == before
    assert [line["step"] for line in lines_of(whole.folder)] == lines


def test_a_damaged_last_checkpoint_is_skipped_by_everything(tmp_path: Path) -> None:
    run = small(tmp_path).folder
    (run.checkpoint_path(256) / "policy.safetensors").write_bytes(b"")
    (run.checkpoint_path(192) / "manifest.json").unlink()
    with pytest.warns(UserWarning, match="is skipped, and the checkpoint at 128 steps is taken"):
        assert load_run(run.root).steps == 128
    with pytest.warns(UserWarning, match="is skipped"):
        resumed = train(trained_agent=str(run.root), keep_checkpoints=1, **{**SMALL, "n_envs": None})
    assert resumed.steps == 256
    assert run.checkpoints() == [256]
    assert load_run(run.root).steps == 256


def test_one_process_resumes_a_run_at_a_time(tmp_path: Path) -> None:
    run = small(tmp_path).folder
    with run.lock(), pytest.raises(UserError, match=r"is being trained by this process \(since .*\): wait.*leave -i out"):
        train(trained_agent=str(run.root), n_timesteps=512)
    held = subprocess.Popen([sys.executable, "-c", HOLDS, str(run.root)], stdout=subprocess.PIPE, text=True)
    try:
        assert held.stdout is not None
        assert held.stdout.readline() == "held\n"
        with pytest.raises(UserError, match=rf"is being trained by another process, number {held.pid} "):
            train(trained_agent=str(run.root), n_timesteps=512)
        assert os.uname().nodename not in (run.root / ".lock").read_text()
    finally:
        held.kill()  # the lock goes with its holder
        held.communicate()
    assert train(trained_agent=str(run.root), **{**SMALL, "n_envs": None, "n_timesteps": 320}).steps == 320


@pytest.mark.parametrize("value", [float("nan"), float("inf"), np.float32("-inf")])
def test_a_report_shows_what_is_not_finite_as_not_measured(value: float) -> None:
    from agents.explanation.report.words import NOT_MEASURED, digits

    assert digits(value) == NOT_MEASURED
