"""The programs of the pages run as they are written, the table has every option, and every public class has an example."""

import doctest
import importlib
import inspect
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

import vime
from vime import VIME, BonusMixer, CuriosityVecEnvWrapper
from vime.bonuses.base import Bonus

ROOT = Path(__file__).resolve().parents[2]
PAGE = (ROOT / "docs" / "concepts" / "curiosity.md").read_text()
PROGRAMS = re.findall(r"<!-- run -->\n```python\n(.*?)```", PAGE, re.S)
for _later in (1, 3):  # they go on where those before them end
    PROGRAMS[_later] = "\n".join(PROGRAMS[_later - 1 : _later + 1])


def test_every_program_is_marked():
    assert len(PROGRAMS) == PAGE.count("```python") == 4


@pytest.mark.parametrize("program", PROGRAMS, ids=["gymnasium", "vector", "stable-baselines3", "resumed"])
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


MODULES = sorted(
    {path.relative_to(ROOT).with_suffix("").as_posix().replace("/", ".") for path in (ROOT / "vime").rglob("*.py")}
)


@pytest.mark.parametrize("module", MODULES)
def test_examples_run(module):
    assert doctest.testmod(importlib.import_module(module)).failed == 0


@pytest.mark.parametrize("name", [name for name in vime.__all__ if inspect.isclass(getattr(vime, name))])
def test_every_public_class_has_an_example(name):
    kind = getattr(vime, name)
    exempt = issubclass(kind, vime.VimeError) or hasattr(kind, "_fields")  # the base of errors has one; a tuple is data
    assert exempt or ">>>" in kind.__doc__


def test_every_public_name_exists_once():
    assert len(set(vime.__all__)) == len(vime.__all__)
    assert all(getattr(vime, name) is not None for name in vime.__all__)
    assert f'version = "{vime.__version__}"' in (ROOT / "pyproject.toml").read_text()
    errors = {name for name, kind in vars(importlib.import_module("vime.errors")).items() if inspect.isclass(kind)}
    assert errors <= set(vime.__all__)
    assert all(issubclass(getattr(vime, name), vime.VimeError) for name in errors)


def test_the_recipe_shows_the_bonus_that_the_contract_is_tested_on():
    recipe = (ROOT / "docs" / "how-to" / "own-bonus.md").read_text()
    code = (ROOT / "tests" / "vime" / "bonuses" / "simhash.py").read_text()
    assert code[code.index("import torch") :] in recipe
