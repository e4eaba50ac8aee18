"""The console command, and what all commands share: suggestions, data flags, results for machines."""

from __future__ import annotations

import json
import subprocess
import sys
from importlib import import_module

import pytest

import agents
from agents.__main__ import COMMANDS, completion, main
from agents.console.cli import WORLD_FLAGS, run_main
from agents.errors import UserError
from agents.evaluate import EvaluateConfig
from agents.evaluate import main as evaluate_main
from agents.explain import ExplainConfig
from agents.explain import main as explain_main
from agents.train import TrainConfig


def test_every_command_is_there_and_loads_no_torch_for_its_help() -> None:
    for module, config, _ in COMMANDS.values():
        assert hasattr(import_module(module), config)
        assert callable(import_module(module).main)
    code = (
        "import sys; from agents.__main__ import COMMANDS, main\n"
        "for name in COMMANDS:\n"
        "    try: main([name, '--help'])\n"
        "    except SystemExit as ended: assert ended.code == 0\n"
        "assert 'torch' not in sys.modules"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def test_version_and_help(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--version"]) == 0
    assert capsys.readouterr().out == f"manifold-traversal {agents.__version__}\n"
    assert main([]) == 0
    said = capsys.readouterr().out
    assert all(f"  {name} " in said for name in COMMANDS)


def test_a_misspelled_command_flag_or_choice_is_answered_with_the_close_one(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(UserError, match="did you mean 'train'"):
        main(["trian"])
    for asked, words in (
        (["explain", "--indx", "3"], "did you mean --index?"),
        (["explain", "--split", "heldout"], "did you mean 'held_out'?"),
        (["train", "--n-timestep", "3"], "did you mean --n-timesteps?"),
    ):
        with pytest.raises(SystemExit) as ended:
            main(asked)
        assert ended.value.code == 2
        assert words in capsys.readouterr().err


def test_train_explain_and_evaluate_describe_a_world_by_the_same_flags() -> None:
    for config in (TrainConfig, ExplainConfig, EvaluateConfig):
        assert {*WORLD_FLAGS, "env", "env_kwargs"} <= set(config.__dataclass_fields__)


def test_explain_and_evaluate_print_one_json_object(capsys: pytest.CaptureFixture[str]) -> None:
    assert run_main(explain_main, ["--data", "iris", "--index", "0", "1", "--json"]) == 0
    paths = json.loads(capsys.readouterr().out)["paths"]
    assert [path["index"] for path in paths] == [0, 1]
    assert paths[0]["frames"][-1]["class"] == paths[0]["end"]
    few = ["--inputs", "3", "--no-oracles", "--closely", "0", "--alone", "0", "--no-progress"]
    assert run_main(evaluate_main, ["--data", "iris", *few, "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["walkers"]["line"]["validity"]["n"] == 3


@pytest.mark.parametrize("shell", ["bash", "zsh"])
def test_tab_completion_knows_commands_flags_and_choices(shell: str) -> None:
    text = completion(shell)
    assert "train explain replay" in text
    script = (
        text + "COMP_WORDS=(manifold-traversal explain --split '');COMP_CWORD=3; _manifold_traversal; echo ${COMPREPLY[@]}"
    )
    if shell == "bash":
        done = subprocess.run(["bash", "-c", script], capture_output=True, text=True, check=True)
        assert done.stdout.split() == ["own", "held_out", "reference"]
    with pytest.raises(UserError, match="known shells"):
        completion("fish")
