"""A resumed run equals the uninterrupted one, to the last byte of its policy."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import pytest

from agents.console.cli import UserError
from agents.runs.folder import RunFolder
from agents.train import train
from agents.training.config import TrainConfig
from agents.training.session import resume

NET = {"policy_kwargs": {"net_arch": [16]}}
OFF = {**NET, "learning_starts": 32, "batch_size": 16, "gradient_steps": 2}
PARAMS: dict[str, dict[str, Any]] = {
    "ppo": {**NET, "n_steps": 8, "n_epochs": 2, "learning_rate": "lin_1e-3"},
    "ppo2v": {**NET, "n_steps": 8, "n_epochs": 2},
    "a2c": NET,
    "trpo": {**NET, "n_steps": 8},
    "sac": OFF,
    "td3": OFF,
    "tqc": OFF,
}


def begin(folder: Path, algo: str, **settings: Any) -> Any:
    common: dict[str, Any] = {
        "n_envs": 8,
        "n_timesteps": 448,
        "save_freq": 1,
        "keep_checkpoints": 0,
        "eval_episodes": 0,
        "pictures": False,
    }
    return train(**{**common, "algo": algo, "hyperparams": PARAMS[algo], "log_folder": str(folder), **settings})


def cut(run: Any, place: Path, steps: int) -> Path:
    """A copy of the run as it was after ``steps``: what a killed process leaves."""
    shutil.copytree(run.folder.root, place)
    for path in (place / "checkpoints").iterdir():
        if int(path.name) > steps:
            shutil.rmtree(path)
    return place


def policy(root: Path, steps: int) -> bytes:
    return (root / "checkpoints" / str(steps) / "policy.safetensors").read_bytes()


@pytest.mark.parametrize("algo", sorted(PARAMS))
def test_resumed_equals_uninterrupted(tmp_path: Path, algo: str) -> None:
    whole = begin(tmp_path, algo)
    middle = next(steps for steps in whole.folder.checkpoints() if steps >= 192)
    place = cut(whole, tmp_path / "cut", middle)
    resumed = train(trained_agent=str(place), save_freq=1, keep_checkpoints=0, eval_episodes=0, pictures=False)
    assert resumed.folder.checkpoints() == whole.folder.checkpoints()
    for steps in whole.folder.checkpoints():
        assert policy(place, steps) == policy(whole.folder.root, steps), steps
    assert policy(place, middle) != policy(place, whole.steps)
    last = whole.folder.load_checkpoint()
    again = resumed.folder.load_checkpoint()
    assert again["training"]["episode_successes"] == last["training"]["episode_successes"]


@pytest.mark.parametrize("algo", ["ppo", "ppo2v", "sac"])
def test_resumed_equals_uninterrupted_with_curiosity(tmp_path: Path, algo: str) -> None:
    options = {"min_pool": 128, "fit_every": 128, "updates": 5, "decay": 1.0, "success_decay": 1.0}
    curious = {"curiosity": "vime", "eta": 0.1, "curiosity_kwargs": options}
    whole = begin(tmp_path, algo, n_timesteps=896, save_freq=128, **curious)
    place = cut(whole, tmp_path / "cut", 640)
    resumed = train(trained_agent=str(place), save_freq=128, keep_checkpoints=0, eval_episodes=0, pictures=False)
    assert policy(place, resumed.steps) == policy(whole.folder.root, whole.steps)
    plain = begin(tmp_path, algo, n_timesteps=896, save_freq=128)
    assert policy(plain.folder.root, plain.steps) != policy(whole.folder.root, whole.steps)
    assert resumed.bonus.fits == whole.model.get_env().bonus.fits > 0


def test_asking_for_more_steps_goes_on(tmp_path: Path) -> None:
    whole = begin(tmp_path, "a2c", n_timesteps=256)
    half = begin(tmp_path, "a2c", n_timesteps=128)
    queries = half.queries
    with pytest.raises(UserError, match=r"128 steps.*request more with -n"):
        train(trained_agent=str(half.folder.root))
    more = train(trained_agent=str(half.folder.root), n_timesteps=256, eval_episodes=0, pictures=False)
    assert policy(more.folder.root, 256) == policy(whole.folder.root, 256)
    assert more.folder.config["n_timesteps"] == 256
    assert more.queries > queries + 128


def test_a_schedule_that_is_stretched_is_said_to_be(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run = begin(tmp_path, "ppo", n_timesteps=128)
    capsys.readouterr()
    train(trained_agent=str(run.folder.root), n_timesteps=256, eval_episodes=0, pictures=False)
    told = "".join(line for line in capsys.readouterr().err.splitlines(keepends=True) if "learning_rate" in line)
    assert "learning_rate lin_1e-3 is stretched to 256 steps: at 128 it goes from 0 to 0.0005, and falls to 0 at 256" in told
    assert told.count("\n") == 1
    constant = begin(tmp_path, "a2c", n_timesteps=64)
    capsys.readouterr()
    train(trained_agent=str(constant.folder.root), n_timesteps=128, eval_episodes=0, pictures=False)
    assert capsys.readouterr().err == ""


def test_a_resumed_run_keeps_its_settings(tmp_path: Path) -> None:
    run = begin(tmp_path, "a2c", n_timesteps=64)
    for settings, told in (
        ({"algo": "ppo"}, "--algo ppo.*has a2c"),
        ({"seed": 9}, "--seed 9.*has 0"),
        ({"n_envs": 3}, "--n-envs 3"),
        ({"curiosity": "vime"}, "--curiosity vime.*has none"),
        ({"hyperparams": {"gamma": 0.5}}, "--hyperparams"),
    ):
        with pytest.raises(UserError, match=told):
            train(trained_agent=str(run.folder.root), n_timesteps=128, **settings)


def test_another_number_of_threads_is_said(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run = begin(tmp_path, "a2c", n_timesteps=64)
    for threads, told in ((1, ""), (2, "was trained with --num-threads 1 and goes on with 2")):
        capsys.readouterr()
        given = TrainConfig(trained_agent=str(run.folder.root), n_timesteps=128, num_threads=threads)
        assert resume(given, None, RunFolder.open(run.folder.root)).config.num_threads == threads
        error = capsys.readouterr().err
        assert told in error
        assert ("num-threads" in error) == bool(told)
