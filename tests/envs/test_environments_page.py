"""docs/environments.md equals what its generator writes, and its examples run."""

from __future__ import annotations

import inspect
import re
import subprocess
import sys

import pytest

from envs import SPECS, LatentEnv, WorldConfig
from envs.registration import CONTROL, HALF_CHEETAH

SECTIONS = [
    "Description",
    "Action space",
    "Observation space",
    "Reward",
    "Episode end",
    "Info",
    "Arguments",
    "Version history",
]


def test_the_page_is_what_its_generator_writes(environments_page):
    assert environments_page.PAGE.read_text(encoding="utf-8") == environments_page.page(), (
        "docs/environments.md is out of date: run python tests/envs/environments_page.py"
    )


def test_every_registered_id_is_described(environments_page):
    assert set(environments_page.ABOUT) == set(environments_page.EXAMPLES) == set(SPECS)


def test_the_docstring_has_its_fixed_sections():
    assert re.findall(r"^## (.*)$", inspect.getdoc(LatentEnv), re.M) == SECTIONS


def test_every_argument_is_explained(environments_page):
    table = environments_page.arguments_table(WorldConfig)
    explained = {name for row in table.splitlines()[2:] for name in re.findall(r"`(\w+)`", row.split("|")[1])}
    assert explained == set(inspect.signature(WorldConfig).parameters)


@pytest.mark.parametrize("env_id", sorted(SPECS))
def test_the_examples_run(environments_page, env_id):
    code = environments_page.EXAMPLES[env_id]
    assert f"```python{code}```" in environments_page.PAGE.read_text(encoding="utf-8")
    subprocess.run(
        [sys.executable, "-W", "error", "-c", code],
        check=True,
        timeout=100,
        cwd=environments_page.ROOT,
        capture_output=True,
    )


def test_the_info_is_what_the_docstring_says(toy_world):
    told = re.search(r"## Info\n(.*?)\n\n", inspect.getdoc(LatentEnv), re.S)
    assert told is not None
    names = set(re.findall(r"``(\w+)``", told[1]))
    env = LatentEnv(world=toy_world())
    env.reset(seed=0)
    assert set(env.step(env.action_space.sample())[4]) == names


def test_the_example_of_the_control_tasks_runs(environments_page):
    code = environments_page.CONTROL_EXAMPLE
    assert f"```python{code}```" in environments_page.PAGE.read_text(encoding="utf-8")
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", code], check=True, timeout=100, cwd=environments_page.ROOT, capture_output=True
    )
    assert float(done.stdout) > 0


def test_every_control_task_is_described(environments_page):
    page = environments_page.control_section()
    assert all(f"### {env_id}\n" in page for env_id in (*CONTROL, HALF_CHEETAH))
