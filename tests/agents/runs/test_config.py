"""What config.json holds: the settings of a training, through JSON, with errors that name what is wrong."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from agents.console.cli import UserError
from agents.runs.config import CuriosityConfig, RunConfig
from agents.runs.folder import RunFolder
from agents.train import train
from envs.config import FIELDS
from envs.errors import UnknownNameError

PLAIN: dict[str, Any] = {
    "algo": "ppo", "env": {"id": "A/B-v0", "kwargs": {}}, "hyperparameters": {"gamma": 0.9}, "seed": 0, "n_envs": 2,
    "n_timesteps": 64,
}  # fmt: skip


def test_the_settings_of_a_training_go_through_json() -> None:
    config = RunConfig(**PLAIN, curiosity=CuriosityConfig(name="vime", eta=0.1, options={"updates": 3}), versions={"a": "1"})
    values = json.loads(json.dumps(config.to_json()))
    assert RunConfig.from_json(values) == config
    assert values["curiosity"] == {"name": "vime", "eta": 0.1, "options": {"updates": 3}}
    assert "warm_start" not in values


def test_a_training_writes_them_and_they_are_read_back(tmp_path: Path) -> None:
    run = train(
        n_timesteps=32, n_envs=4, hyperparams={"n_steps": 8, "batch_size": 32, "n_epochs": 1}, eval_episodes=0, pictures=False,
        log_folder=str(tmp_path), curiosity="rnd", eta=0.5, env="Manifold/Digits-v0", env_kwargs={"tau": 0.7},
    )  # fmt: skip
    config = RunFolder.open(run.folder.root).run_config()
    assert config == run.folder.run_config()
    assert (config.env_id, config.env_kwargs) == ("Manifold/Digits-v0", {}), "the world's settings have one place"
    assert config.world is not None
    assert set(config.world["config"]) == set(FIELDS)
    assert config.world["config"]["tau"] == 0.7
    assert config.curiosity is not None
    assert (config.curiosity.name, config.curiosity.eta) == ("rnd", 0.5)
    assert config.hyperparameters["n_steps"] == 8


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"hyperparameter": {}}, r"'here/config.json' 'hyperparameter': did you mean 'hyperparameters'"),
        ({"curiosity": {"name": "vime", "etta": 1}}, "the curiosity of .*'etta': did you mean 'eta'"),
        ({"curiosity": {"eta": 1}}, "the curiosity of .*lacks name"),
        ({"env": "A/B-v0"}, "'here/config.json' is damaged: env is a mapping of names to values, not 'A/B-v0'"),
        ({"env": {}}, r"env\.id is a text, not None"),
        ({"n_envs": "2"}, "n_envs is '2'; a whole number of at least 1"),
        ({"seed": True}, "seed is True; a whole number"),
        ({"n_timesteps": 10**20}, "n_timesteps is .*; a whole number of at least 1 and at most"),
        ({"curiosity": 3}, "curiosity is a mapping of names to values, not 3"),
        ({"curiosity": {"name": "vime", "eta": -1}}, "the curiosity of .*eta is -1; a finite number of at least 0"),
        ({"world": 3}, "world is a mapping of names to values, not 3"),
    ],
)
def test_settings_that_are_none_are_named(change: dict[str, Any], message: str) -> None:
    with pytest.raises((UserError, UnknownNameError), match=message):
        RunConfig.from_json({**PLAIN, **change}, "'here/config.json'")


def test_missing_settings_are_named() -> None:
    with pytest.raises(UserError, match="here is damaged: it lacks algo, env, hyperparameters, seed, n_envs, n_timesteps"):
        RunConfig.from_json({}, "here")
    with pytest.raises(UserError, match="not a JSON object"):
        RunConfig.from_json([], "here")  # type: ignore[arg-type]


def test_a_run_of_an_earlier_format_is_refused(tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text(json.dumps({**PLAIN, "format_version": 1}))
    with pytest.raises(UserError, match=r"config.json' has format version 1, this release reads 2: train again"):
        RunFolder.open(tmp_path)
