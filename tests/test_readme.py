"""Every command and program of the README runs as it is written (trainings cut short)."""

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
BLOCKS = re.findall(r"<!-- run -->\n```(\w+)\n(.*?)```", README, re.S)
SHORT = {"agents.train": ["-n", "8192"]}  # a later flag wins over an earlier one


def run(arguments: list[str], folder: Path) -> str:
    """Output of a command that must succeed, run in `folder` with the checkout importable."""
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    done = subprocess.run(arguments, cwd=folder, env=environment, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, f"{shlex.join(arguments)}\n{done.stdout}\n{done.stderr}"
    return done.stdout


def test_the_readme_marks_its_programs():
    kinds = [kind for kind, _ in BLOCKS]
    assert kinds.count("python") >= 3
    assert kinds.count("bash") >= 1
    assert README.count("```python") + README.count("```bash") == len(BLOCKS), "a block without <!-- run --> above it"


@pytest.mark.parametrize("program", [text for kind, text in BLOCKS if kind == "python"])
def test_programs_run(program, tmp_path):
    run([sys.executable, "-c", program], tmp_path)


def test_commands_run_one_after_the_other(tmp_path):
    for line in "".join(text for kind, text in BLOCKS if kind == "bash").splitlines():
        words = shlex.split(line)
        assert words[:2] == ["python", "-m"], line
        out = run([sys.executable, *words[1:], *SHORT.get(words[2], [])], tmp_path)
        if words[2] == "agents.replay":
            assert "reproduced" in out
    assert (tmp_path / "path.gif").is_file()


def test_the_example_run_replays():
    out = run([sys.executable, "-m", "agents.replay", "runs/example"], ROOT)
    assert "reproduced" in out


def test_pictures_and_pages_that_the_readme_names_exist():
    for target in re.findall(r"\]\(([^)#]+)\)", README):
        assert target.startswith("http") or (ROOT / target).exists(), target
