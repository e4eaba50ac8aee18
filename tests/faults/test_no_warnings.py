"""The five main commands in Python's development mode, every warning an error: no file is left open, nothing is deprecated."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
#: warnings that other packages give when they are imported, by module: ``ignore::Category:module``
OF_OTHERS: tuple[str, ...] = ()
SMALL = ["-n", "32", "--n-envs", "2", "-params", "n_steps:8", "--eval-episodes", "4", "--no-pictures"]
WORLDS = {
    "digits": ["--env", "Manifold/Digits-v0"],
    "table with curiosity": ["--data", "iris", "--manifold", "pca", "--curiosity", "vime", "--curiosity-kwargs", "min_pool:16",
                             "fit_every:8"],
    "sentences": ["--env", "Manifold/Sentences-v0"],
}  # fmt: skip
COMMANDS = [
    ["explain", "latest", "--index", "0", "--walker", "line", "--format", "npz", "png", "gif", "json"],
    ["explain", "latest", "--index", "1", "--lime", "latent"],
    ["replay", "latest", "--gif", "path.gif"],
    ["evaluate", "latest", "--walker", "policy", "line", "--inputs", "2", "--closely", "1", "--alone", "1"],
]
LOCAL = {"digits": ["--lime", "--treeview"], "table with curiosity": ["--lime"], "sentences": []}  # what a report can add


def command(folder: Path, *arguments: str) -> None:
    """Run one; it must end well, and say nothing of a warning."""
    filters = [part for told in ("error", *OF_OTHERS) for part in ("-W", told)]
    given = [sys.executable, "-X", "dev", *filters, "-m", "agents", *arguments]
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    done = subprocess.run(given, cwd=folder, env=environment, capture_output=True, text=True, check=False, encoding="utf-8")
    assert done.returncode == 0, f"{arguments}\n{done.stdout}\n{done.stderr}"
    for word in ("Warning", "Exception ignored", "Traceback"):
        assert word not in done.stderr, f"{arguments}\n{done.stderr}"


@pytest.mark.slow
@pytest.mark.timeout(900)
@pytest.mark.parametrize("world", WORLDS)
def test_the_main_commands_give_no_warning(world: str, tmp_path: Path) -> None:
    command(tmp_path, "train", *WORLDS[world], *SMALL)
    for arguments in [*COMMANDS, ["report", "latest", *LOCAL[world]]]:
        command(tmp_path, *arguments)
    command(tmp_path, "train", "-i", "latest", *SMALL[:1], "64")
