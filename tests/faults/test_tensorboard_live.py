"""A TensorBoard that was open all the time (``--load_fast=false``) sees a training to its end, its resume, and its paths."""

from __future__ import annotations

import contextlib
import json
import os
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import pytest

from agents.train import train
from agents.training.event_files import EventWriter

PATIENCE = 60  # seconds; TensorBoard looks every second, and CI's machine is busy
PPO = {"n_steps": 8, "n_epochs": 1, "policy_kwargs": {"net_arch": [8]}}
SMALL: dict[str, Any] = {"eval_episodes": 2, "pictures": False, "save_freq": 64}


@pytest.fixture
def server(tmp_path: Path) -> Iterator[str]:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    command = [sys.executable, "-m", "tensorboard.main", "--logdir", str(tmp_path), "--port", str(port)]
    command += ["--load_fast=false", "--reload_interval", "1"]
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        yield f"http://127.0.0.1:{port}"
    finally:
        process.terminate()
        process.wait()


def steps_of(server: str, run: str, tag: str, plugin: str = "scalars", kind: str = "scalars") -> list[int]:
    """The steps at which TensorBoard shows a tag now."""
    with contextlib.suppress(OSError):  # not started yet, or the tag is not known yet (404)
        prediction = urllib.request.urlopen(f"{server}/data/plugin/{plugin}/{kind}?{urlencode({'run': run, 'tag': tag})}")
        points = json.loads(prediction.read())
        return [point["step"] if isinstance(point, dict) else point[1] for point in points]
    return []


def wait_for(look: Callable[[], Any], wanted: Any) -> None:
    """Until TensorBoard shows what is wanted."""
    seen, end = look(), time.monotonic() + PATIENCE
    while seen != wanted and time.monotonic() < end:
        time.sleep(0.3)
        seen = look()
    assert seen == wanted


def test_an_open_tensorboard_sees_a_training_its_resume_and_its_paths(server: str, tmp_path: Path) -> None:
    run = train(algo="ppo", n_envs=8, n_timesteps=128, hyperparams=PPO, log_folder=str(tmp_path), **SMALL)
    root = run.folder.root
    name = str(root.relative_to(tmp_path))
    events = sorted(root.glob("events.out.tfevents*"))
    wait_for(lambda: steps_of(server, name, "time/fps"), [64, 128])
    wait_for(lambda: steps_of(server, name, "queries/training"), [128])  # what is logged at the end, too
    train(trained_agent=str(root), n_timesteps=256, **SMALL)
    wait_for(lambda: steps_of(server, name, "time/fps"), [64, 128, 192, 256])
    wait_for(lambda: steps_of(server, name, "queries/training"), [128, 256])
    with EventWriter(root) as writer:  # as the demo does
        writer.add_scalar("explain/validity", 1.0, 256)
    wait_for(lambda: steps_of(server, name, "explain/validity"), [256])
    assert set(events) < set(root.glob("events.out.tfevents*"))  # none was renamed
    assert not [file for file in root.rglob("*") if os.uname().nodename in file.name]


def test_what_a_killed_training_logged_after_its_checkpoint_is_hidden_once_it_goes_on(server: str, tmp_path: Path) -> None:
    for purge, steps in ((None, (1, 2, 3, 4)), (3, (3, 4, 5))):
        with EventWriter(tmp_path / "run", purge) as writer:
            for step in steps:
                writer.add_scalar("x", float(step), step)
    wait_for(lambda: steps_of(server, "run", "x"), [1, 2, 3, 4, 5])


def test_event_files_sort_in_the_order_in_which_they_are_made(tmp_path: Path) -> None:
    (tmp_path / "events.out.tfevents.4000000000.elsewhere.12.0").touch()  # a clock that went wrong
    made = []
    for _ in range(4):
        before = set(tmp_path.iterdir())
        EventWriter(tmp_path).close()
        made += [path.name for path in set(tmp_path.iterdir()) - before]
    assert made == sorted(made)
    assert made[0] > "events.out.tfevents.4000000000.elsewhere.12.0"
    assert all(".local." in name for name in made)
