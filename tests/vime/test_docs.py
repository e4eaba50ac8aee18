"""The programs of docs/concepts/curiosity.md run as they are written, and its table knows every option."""

import inspect
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from vime import VIME, BonusMixer, CuriosityVecEnvWrapper
from vime.bonuses.base import Bonus

ROOT = Path(__file__).resolve().parents[2]
PAGE = (ROOT / "docs" / "concepts" / "curiosity.md").read_text()
PROGRAMS = re.findall(r"<!-- run -->\n```python\n(.*?)```", PAGE, re.S)
PROGRAMS[2:] = ["\n".join(PROGRAMS[1:])]  # the third goes on where the second ends


def test_every_program_is_marked():
    assert len(PROGRAMS) == PAGE.count("```python") == 3


@pytest.mark.parametrize("program", PROGRAMS, ids=["gymnasium", "stable-baselines3", "resumed"])
def test_programs_run(program, tmp_path):
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    command = [sys.executable, "-c", program]
    done = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr
    assert "information gain" in done.stdout or "info_gain_nats_mean" in done.stdout


@pytest.mark.parametrize("owner", [Bonus, VIME, BonusMixer, CuriosityVecEnvWrapper])
def test_the_table_names_every_option(owner):
    table = PAGE[PAGE.index("## Options") : PAGE.index("## What is logged")]
    hidden = {"self", "observation_space", "action_space", "venv", "bonus", "mixing", "shared"}
    for name in inspect.signature(owner.__init__).parameters:
        assert name in hidden or f"`{name}`" in table, name
