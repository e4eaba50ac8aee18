"""The demo from end to end, with a small budget: the files that it leaves and what it prints."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def done(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, str]:
    """A small demo in a folder with a space, without a display, with a home folder that cannot be written."""
    place = tmp_path_factory.mktemp("my demo")
    home = place / "home"
    home.mkdir(mode=0o500)
    dropped = ("DISPLAY", "MPLCONFIGDIR", "XDG_CONFIG_HOME", "XDG_CACHE_HOME")
    environment = {k: v for k, v in os.environ.items() if k not in dropped}
    environment |= {"HOME": str(home), "PYTHONPATH": str(ROOT), "MPLBACKEND": "Agg"}
    command = [sys.executable, "-m", "agents.demo", "-n", "8192", "--paths", "3", "--no-progress"]
    ran = subprocess.run(command, cwd=place, env=environment, capture_output=True, text=True, timeout=240)
    assert ran.returncode == 0, ran.stderr
    return place, ran.stdout


def test_the_run_folder_holds_paths_pictures_logs_and_the_report(done: tuple[Path, str]) -> None:
    run = done[0] / "runs" / "ppo" / "Manifold-Digits-v0_1"
    assert len(list((run / "paths").glob("*.npz"))) == 3
    assert len(list((run / "paths").glob("*.png"))) == 3
    assert len(list((run / "paths").glob("*.gif"))) == 1
    assert list(run.glob("events.out.tfevents.*"))
    assert (run / "report.html").stat().st_size > 50_000


def test_it_tells_what_it_found_and_how_to_look_further(done: tuple[Path, str]) -> None:
    told = done[1]
    for part in ("held-out inputs", "Predicted ", "--logdir runs/ppo --load_fast", "agents.replay"):
        assert part in told


def test_the_replay_command_it_prints_works(done: tuple[Path, str]) -> None:
    line = next(line for line in done[1].splitlines() if line.strip().startswith("replay "))
    command = line.split(maxsplit=1)[1]
    ran = subprocess.run(
        command, shell=True, cwd=done[0], env={**os.environ, "PYTHONPATH": str(ROOT)}, capture_output=True, text=True
    )
    assert ran.returncode == 0, ran.stderr
    assert "reproduced" in ran.stdout


def test_nothing_it_leaves_names_this_machine(done: tuple[Path, str]) -> None:
    import socket

    for file in (done[0] / "runs").rglob("*"):
        assert socket.gethostname() not in file.name
        if file.suffix in (".json", ".html"):
            assert str(done[0]) not in file.read_text()
