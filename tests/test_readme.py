"""Every command and program of the README runs as it is written (trainings cut short). tests/test_docs.py tests the site."""

from __future__ import annotations

import os
import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
README = (ROOT / "README.md").read_text()
BLOCK = r"<!-- run -->\n```{}\n(.*?)```"
BLOCKS = re.findall(BLOCK.replace("{}", r"(\w+)"), README, re.S)
SHORT = {"agents.train": ["-n", "8192"]}  # a later flag wins over an earlier one


def run(arguments: list[str], folder: Path) -> str:
    """Output of a command that must succeed, run in `folder` with the checkout importable."""
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    done = subprocess.run(arguments, cwd=folder, env=environment, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, f"{shlex.join(arguments)}\n{done.stdout}\n{done.stderr}"
    return done.stdout


def run_commands(commands: str, folder: Path) -> None:
    """Lines of commands, one after the other in one folder; what is replayed must be reproduced."""
    for line in commands.splitlines():
        words = shlex.split(line.replace("manifold-traversal ", "python -m agents."))
        assert words[:2] == ["python", "-m"], line
        out = run([sys.executable, *words[1:], *SHORT.get(words[2], [])], folder)
        if words[2] == "agents.replay":
            assert "reproduced" in out
        if "--gif" in words:
            assert (folder / words[words.index("--gif") + 1]).is_file()


def test_the_readme_marks_its_programs():
    kinds = [kind for kind, _ in BLOCKS]
    assert set(kinds) == {"python", "bash"}
    assert README.count("```python") + README.count("```bash") == len(BLOCKS), "a block without <!-- run --> above it"


def test_the_readme_is_short_and_says_what_this_is_first():
    assert len(README.split()) < 1000
    prose = [line for line in README.splitlines() if line and not line.startswith("#")]
    assert "counterfactual explanation as a path" in prose[0]


@pytest.mark.parametrize("program", [text for kind, text in BLOCKS if kind == "python"])
def test_programs_run(program, tmp_path):
    run([sys.executable, "-c", program], tmp_path)


def test_commands_run_one_after_the_other(tmp_path):
    run_commands("".join(text for kind, text in BLOCKS if kind == "bash"), tmp_path)
    assert (tmp_path / "path.gif").is_file()


def test_the_example_run_replays():
    out = run([sys.executable, "-m", "agents.replay", "runs/example"], ROOT)
    assert "reproduced" in out


def test_pictures_and_pages_that_the_readme_names_exist():
    for target in re.findall(r"\]\(([^)#]+)\)", README):
        assert target.startswith("http") or (ROOT / target).exists(), target
