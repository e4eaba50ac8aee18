"""A bonus of the user's own: by module:object on the command line, as a class from Python."""

from __future__ import annotations

import importlib
import sys
from pathlib import Path
from typing import Any

import pytest

from agents import UserError, load_run
from agents.runs.folder import RunFolder
from agents.train import train
from envs.errors import UntrustedNameError
from vime import VimeError

SMALL: dict[str, Any] = {
    "env": "Manifold/Custom-v0", "n_timesteps": 128, "n_envs": 2, "hyperparams": {"n_steps": 64}, "eval_episodes": 0,
    "pictures": False, "progress": False,
}  # fmt: skip


@pytest.fixture
def module(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    """A module with a bonus."""
    (tmp_path / "my_bonus.py").write_text("from vime.bonuses.rnd import RND\n\nclass Mine(RND):\n    'Mine.'\n\n\nother = 3\n")
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(str(tmp_path))
    yield importlib.import_module("my_bonus")
    sys.modules.pop("my_bonus", None)


def test_a_bonus_is_found_by_its_name_and_by_its_class(module: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    run = train(curiosity="my_bonus:Mine", log_folder=str(tmp_path / "runs"), **SMALL)
    assert type(run.bonus) is module.Mine
    assert run.folder.names() == {"my_bonus:Mine": "curiosity"}
    again = train(curiosity=module.Mine, log_folder=str(tmp_path / "runs"), **SMALL)
    assert again.folder.config["curiosity"]["name"] == "my_bonus:Mine"
    assert type(load_run(run.folder.root).bonus) is module.Mine
    monkeypatch.setattr(RunFolder, "is_own", lambda folder: False)
    with pytest.raises(UntrustedNameError, match="my_bonus:Mine"):
        load_run(run.folder.root)
    with pytest.raises(UntrustedNameError, match="my_bonus:Mine"):
        train(trained_agent=str(run.folder.root), n_timesteps=256)
    assert load_run(run.folder.root, trust=["my_bonus:Mine"]).steps == 128


def test_what_is_no_bonus_is_refused(module: Any) -> None:
    for name, words in (
        ("my_bonus:other", "not a subclass"),
        ("my_bonus:nothing", "cannot load"),
        ("vimme", "did you mean 'vime'"),
    ):
        with pytest.raises(VimeError, match=words):
            train(curiosity=name, **SMALL)

    class Local(module.Mine):
        pass

    with pytest.raises(UserError, match="module of its own"):
        train(curiosity=Local, **SMALL)
