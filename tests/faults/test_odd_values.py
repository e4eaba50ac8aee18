"""Values on a command line that cannot be end in one line that names them; nothing is trained or left behind."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest

from agents import atlas, evaluate, explain, replay, train
from agents.console.cli import UserError, run_main
from agents.training.algorithms import check_hyperparameters

KWARGS: list[tuple[str, str]] = [
    ("seed:-1", "seed is -1"),
    ("seed:1.5", "seed is 1.5; a whole number"),
    ("seed:x", "seed is 'x'; a whole number"),
    ("seed:100000000000000000000", "seed is 100000000000000000000"),
    ("max_episode_steps:-1", "max_episode_steps is -1"),
    ("max_episode_steps:0", "max_episode_steps is 0"),
    ("max_episode_steps:1.5", "max_episode_steps is 1.5; a whole number"),
    ("max_episode_steps:1e12", "max_episode_steps is 1000000000000.0; a whole number of at least 1 and at most"),
    ("max_episode_steps:1000000000000", "max_episode_steps is 1000000000000"),
    ("reward:5", "reward is a mapping"),
    ("reward:{'success':'a'}", "reward: success is 'a'; a number"),
    ("reward:{'success':1e999}", "reward: success is inf"),
    ("reward:{5:1}", "reward is a mapping"),
    ("task:3", "task is a name or a task"),
    ("move:3", "move is a text"),
    ("initial_latent:[1]", "initial_latent is a text"),
    ("label_only:maybe", "label_only is true or false, not 'maybe'"),
    ("guidance:1", "guidance is true or false"),
    ("step:1e999", "step is a positive share of the class distance, not inf"),
    ("step:0", "step is a positive share of the class distance, not 0"),
    ("max_step:-1", "max_step is a share of the class distance, 0 for no bound, not -1"),
    ("gamma:2", "gamma is 2; a finite number above 0 and at most 1"),
    ("gamma:'x'", "gamma is 'x'; a number above 0 and at most 1"),
    ("tau:[1]", "tau is [1]; a number"),
    ("tau:7", "tau"),
    ("latent_dim:0", "latent_dim is 0"),
    ("latent_dim:2.5", "latent_dim is 2.5; a whole number"),
    ("data_shape:[2,'x']", "data_shape is 'x'; a whole number"),
    ("input_shape:4", "input_shape is a list of whole numbers"),
    ("class_names:5", "class_names is a list of names"),
    (f"manifold:{'x' * 5000}", "unknown manifold 'xxx"),
    ("truth:True", "truth is a list or an array with an entry for each row, not True"),
    ("truth:x", "truth is a list or an array"),
    ("held_out:2.5", "held_out is a list or an array"),
    ("held_out:{'a':1}", "held_out is a list or an array"),
    ("columns:3", "columns is a list of names"),
    ("columns:True", "columns is a list of names"),
    ("pixel_range:1", "pixel_range is a list of two numbers"),
    ("pixel_range:[1]", "pixel_range is a list of two numbers"),
    ("pixel_range:[1,'a']", "pixel_range is 'a'; a number"),
    ("pixel_range:[3,1]", "pixel_range is [3, 1]; give the lower number first"),
    ("fit:3", "fit is a mapping"),
]
FLAGS: list[tuple[Any, list[str], str]] = [
    (explain.main, ["--seed", "1e20"], "--seed 100000000000000000000"),
    (explain.main, ["--seed", "-1"], "--seed -1"),
    (explain.main, ["--max-steps", "0"], "--max-steps 0"),
    (explain.main, ["--checkpoint", "-5"], "--checkpoint -5"),
    (explain.main, ["--num-threads", "0"], "--num-threads 0"),
    (explain.main, ["--num-threads", "1e9"], "--num-threads 1000000000"),
    (evaluate.main, ["--seed", "1e20"], "--seed 100000000000000000000"),
    (evaluate.main, ["--closely", "-1"], "--closely -1"),
    (evaluate.main, ["--alone", "-1"], "--alone -1"),
    (replay.main, ["--tolerance", "nan"], "--tolerance nan"),
    (replay.main, ["--delay", "-1"], "--delay -1"),
    (replay.main, ["--delay", "inf"], "--delay inf"),
    (replay.main, ["x" * 5000], "no run folder 'xxx"),
    (atlas.main, ["x" * 5000], "no run folder 'xxx"),
    (train.main, ["-i", "x" * 5000], "no run folder 'xxx"),
    (atlas.main, ["--seed", "-1"], "--seed -1"),
    (atlas.main, ["--rows", "0"], "--rows 0"),
    (train.main, ["--device", "meta"], "--device 'meta'"),
    (train.main, ["--n-envs", "1e12"], "n_envs is 1000000000000;"),
    (train.main, ["-n", "1e30"], "-n 1000000000000000"),
    (train.main, ["--curiosity", "vime", "--eta", "nan"], "--eta nan"),
    (train.main, ["--seed", "1e20"], "--seed 100000000000000000000"),
    (train.main, ["-params", "n_epochs:0"], "n_epochs is 0"),
    (train.main, ["-params", "n_epochs:1.5"], "n_epochs is 1.5; a whole number"),
    (train.main, ["-params", "ent_coef:1e999"], "ent_coef is inf"),
    (train.main, ["-params", "ent_coef:nan"], "ent_coef is 'nan'; a number"),
    (train.main, ["-params", "ent_coef:auto"], "ent_coef is 'auto', which ppo cannot adjust: a number is needed"),
    (train.main, ["--algo", "sac", "-params", "ent_coef:automatic"], "ent_coef is 'automatic'; a number"),
    (train.main, ["-params", "n_steps:many"], "n_steps is 'many'; a whole number"),
    (train.main, ["-params", "learning_rate:lin_nan"], "learning_rate is 'lin_nan'"),
    (train.main, ["-params", "learning_rate:fast"], "learning_rate is 'fast'; write a number or lin_<number>"),
    (train.main, ["-params", "n_steps:0"], "n_steps is 0"),
    (train.main, ["-params", "batch_size:-4"], "batch_size is -4"),
    (train.main, ["-params", "learning_rate:0"], "learning_rate is 0"),
    (train.main, ["-params", "gamma:2"], "gamma is 2"),
    (train.main, ["-params", "clip_range:[1]"], "clip_range is [1]; a number"),
]


@pytest.mark.parametrize(("value", "told"), KWARGS)
def test_values_of_an_environment(value: str, told: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    given = ["--env", "Manifold/Custom-v0", "--env-kwargs", "manifold:pca", value]
    for main, more in (
        (explain.main, ["--walker", "line", "--index", "0"]),
        (train.main, ["-n", "16", "-f", str(tmp_path / "runs")]),
    ):
        assert run_main(main, [*given, *more]) == 2
        error = capsys.readouterr().err
        assert told in error
        assert len(error.strip().splitlines()) == 1
    assert not (tmp_path / "runs").exists()


@pytest.mark.parametrize(("main", "flags", "told"), FLAGS)
def test_values_of_flags(
    main: Any, flags: list[str], told: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    needed = {explain.main: ["--index", "0", "--env", "Manifold/Digits-v0", "--walker", "line"], train.main: ["-n", "16"]}
    needed = {**needed, evaluate.main: ["--env", "Manifold/Digits-v0", "--walker", "line"]}
    assert run_main(main, [*needed.get(main, []), *flags]) == 2
    error = capsys.readouterr().err
    assert told in error
    assert len(error.strip().splitlines()) == 1
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("value", [float("nan"), float("inf"), True, [1]])
@pytest.mark.parametrize("name", ["ent_coef", "learning_rate", "gae_lambda", "noise_std"])
def test_hyperparameters_from_python(name: str, value: Any) -> None:
    with pytest.raises(UserError, match=name):
        check_hyperparameters({name: value})


def test_texts_that_algorithms_read_are_theirs() -> None:
    check_hyperparameters({"ent_coef": "auto_0.1", "learning_rate": "lin_3e-4", "target_kl": None, "policy_kwargs": {}})


def test_a_seed_from_python_is_checked() -> None:
    with pytest.raises(UserError, match="seed is -1"):
        explain.explain(None, 0, seed=-1)  # type: ignore[arg-type]


def test_a_working_folder_that_was_deleted(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)  # goes back to where the tests run
    (tmp_path / "gone").mkdir()
    os.chdir(tmp_path / "gone")
    (tmp_path / "gone").rmdir()
    for main, arguments in ((train.main, ["-n", "16"]), (explain.main, ["latest", "--index", "0"])):
        assert run_main(main, arguments) == 2
        assert "the folder that this was started in is no longer there" in capsys.readouterr().err
