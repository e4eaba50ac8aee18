"""Arguments of other environments: plain values pass, text that names files or objects needs trust."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import gymnasium
import numpy as np
import pytest

from agents.console.cli import UserError
from agents.runs.arguments import parameters, texts_of
from agents.runs.run import load_run
from agents.train import train
from envs import UnknownNameError

SMALL: dict[str, Any] = {"n_timesteps": 16, "n_envs": 2, "eval_episodes": 0, "pictures": False,
                         "hyperparams": {"n_steps": 8, "policy_kwargs": {"net_arch": [8]}}}  # fmt: skip


class Corridor(gymnasium.Env[np.ndarray, np.ndarray]):
    """Three steps; it remembers what it was made with."""

    made: list[dict[str, Any]] = []

    def __init__(self, map_name: str = "plain", size: float = 1.0, file: str | None = None, render_mode: str | None = None):
        if size <= 0:
            raise ArithmeticError("no room")
        self.made.append({"map_name": map_name, "size": size, "file": file})
        self.observation_space = gymnasium.spaces.Box(-size, size, (2,))
        self.action_space = gymnasium.spaces.Box(-1, 1, (1,))

    def reset(self, *, seed: int | None = None, options: Any = None) -> tuple[np.ndarray, dict[str, Any]]:
        super().reset(seed=seed)
        return np.zeros(2, np.float32), {}

    def step(self, action: np.ndarray) -> tuple[np.ndarray, float, bool, bool, dict[str, Any]]:
        return np.zeros(2, np.float32), 0.0, False, False, {}


@pytest.fixture(scope="module", autouse=True)
def registered() -> Iterator[None]:
    gymnasium.register("Corridor-v0", entry_point=Corridor, max_episode_steps=3)
    yield
    del gymnasium.registry["Corridor-v0"]


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory, registered: None) -> Path:
    given = {"map_name": "8x8", "size": 2.0, "file": "maps/own.txt"}
    folder = tmp_path_factory.mktemp("runs")
    return Path(train(env="Corridor-v0", env_kwargs=given, log_folder=str(folder), **SMALL).folder.root)


def copied(run: Path, place: Path, **kwargs: Any) -> Path:
    """The run with other arguments, as another account could write it."""
    shutil.copytree(run, place)
    config = json.loads((place / "config.json").read_text())
    config["env"]["kwargs"] = kwargs
    (place / "config.json").write_text(json.dumps(config))
    return place


def test_the_own_run_is_loaded_whatever_it_names(run: Path) -> None:
    assert load_run(run).steps == 16


def test_plain_values_of_others_pass(run: Path, tmp_path: Path) -> None:
    assert load_run(copied(run, tmp_path / "got", map_name="4x4 small", size=3)).steps == 16
    assert Corridor.made[-1] == {"map_name": "4x4 small", "size": 3, "file": None}


@pytest.mark.parametrize("text", ["/etc/hostname", "../x", "x.xml", "os:abort", "~/x", "a\\b"])
def test_a_text_that_may_name_a_file_or_an_object_needs_trust(text: str, run: Path, tmp_path: Path) -> None:
    got = copied(run, tmp_path / "got", file=text)
    before = len(Corridor.made)
    with pytest.raises(UserError, match=r"Corridor-v0.*file .*did not write.*--trust"):
        load_run(got)
    assert len(Corridor.made) == before
    if "/" in text or "." in text or ":" in text:
        assert load_run(got, trust=[text]).steps == 16
        assert Corridor.made[-1]["file"] == text


def test_an_unknown_argument_is_named(run: Path, tmp_path: Path) -> None:
    with pytest.raises(UnknownNameError, match=r"argument of Corridor-v0 in .*config.json.*'map': did you mean 'map_name'"):
        load_run(copied(run, tmp_path / "got", map="x"))


def test_a_value_that_the_environment_refuses_is_named(run: Path, tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"Corridor-v0 cannot be made with \{'size': 0\}: ArithmeticError: no room"):
        load_run(copied(run, tmp_path / "got", size=0))


def test_a_training_that_goes_on_checks_them_too(run: Path, tmp_path: Path) -> None:
    with pytest.raises(UserError, match="--trust"):
        train(trained_agent=str(copied(run, tmp_path / "got", file="/etc/hostname")), n_timesteps=32)


def test_texts_are_found_wherever_they_stand() -> None:
    assert texts_of({"a": ["x", {"b": "c/d"}], "e": "f:g", "h": 1, "i": "8x8"}) == {"c/d": "a", "f:g": "e"}
    assert parameters("Corridor-v0") == ["map_name", "size", "file", "render_mode"]
