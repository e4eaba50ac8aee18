"""The library computes with one thread, and leaves the caller's threads as they were."""

from __future__ import annotations

import json
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import scipy.linalg  # noqa: F401  (its BLAS is there from the beginning)
import sklearn.cluster  # noqa: F401
import torch
from threadpoolctl import threadpool_info, threadpool_limits

import envs
from agents import Explainer, Trajectory
from agents.atlas import atlas
from agents.evaluate import evaluate
from agents.explain import explain
from agents.explanation.metrics.evaluate import evaluate_paths
from agents.explanation.output import save
from agents.explanation.report.page import write_report
from agents.replay import ReplayConfig, compare, replay
from agents.runs.run import load_run
from agents.train import train
from agents.training import loop as training
from envs.manifolds import PCA
from envs.runtime.threads import one_thread

PPO = {"n_steps": 8, "n_epochs": 1, "policy_kwargs": {"net_arch": [8]}}


@pytest.fixture
def two() -> Iterator[None]:
    """A process in which torch and BLAS use two threads."""
    before = torch.get_num_threads()
    with threadpool_limits(limits=2):
        torch.set_num_threads(2)
        yield
    torch.set_num_threads(before)


def blas() -> set[int]:
    return {pool["num_threads"] for pool in threadpool_info() if pool["user_api"] == "blas"}


class Watching:
    """A classifier that notes with how many threads it is asked."""

    def __init__(self) -> None:
        self.seen: set[int] = set()

    def __call__(self, x: np.ndarray) -> np.ndarray:
        self.seen |= {torch.get_num_threads()} | blas()
        p = 1 / (1 + np.exp(-(x[:, 2] - 4)))
        return np.stack([1 - p, p], axis=1)


@pytest.mark.usefixtures("two")
def test_everything_runs_in_one_thread_and_puts_back_what_it_found(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    watching = Watching()
    x = np.random.default_rng(0).normal([5, 3, 4, 1], 1.0, (60, 4))
    world = envs.make_world(data=x, classifier=watching, manifold="pca", class_names=["no", "yes"])
    assert watching.seen == {1}
    run = train(world=world, n_timesteps=64, n_envs=8, hyperparams=PPO, eval_episodes=2, log_folder=str(tmp_path))
    assert run.folder.config["num_threads"] == 1
    load_run(run.folder.root, world=world)
    explain(run, 0)
    evaluate(run, ["line"], inputs=range(2), oracles=False, closely=0, alone=1)
    assert watching.seen == {1}
    assert torch.get_num_threads() == 2
    assert blas() == {2}
    inside: list[int] = []
    monkeypatch.setattr(training, "run_training", lambda *_: inside.append(torch.get_num_threads()))
    train(num_threads=2)
    train()
    assert inside == [2, 1]


def replayed(world: envs.World, path: Trajectory, folder: Path) -> None:
    file = path.save(folder / "p.npz")
    worlds = {json.dumps(Trajectory.load(file).environment, sort_keys=True): world}
    replay(file, None, ReplayConfig(gif=str(folder / "p.gif")), worlds)


FROM_PYTHON: dict[str, Callable[[envs.World, Trajectory, Path], Any]] = {
    "explain": lambda world, path, folder: explain(world, 1, walker="line"),
    "evaluate": lambda world, path, folder: evaluate(world, ["line"], inputs=range(2), oracles=False, closely=0, alone=1),
    "evaluate_paths": lambda world, path, folder: evaluate_paths(world, [path]),
    "atlas": lambda world, path, folder: atlas(world, "map"),
    "compare": lambda world, path, folder: compare(path, world),
    "replay": replayed,
    "write_report": lambda world, path, folder: write_report(folder / "r.html", [path], world),
    "save": lambda world, path, folder: save([path], world, folder, ("npz", "png", "gif")),
    "load_run": lambda world, path, folder: load_run(
        train(
            world=world, n_timesteps=16, n_envs=2, hyperparams=PPO, eval_episodes=0, pictures=False, log_folder=str(folder)
        ).folder.root,
        world=world,
    ),
    "Explainer.report": lambda world, path, folder: Explainer(world, "line").report(folder / "r.html"),
    "Explainer.evaluate": lambda world, path, folder: Explainer(world, "line").evaluate(
        inputs=range(2), oracles=False, closely=0, alone=1
    ),
}


@pytest.mark.usefixtures("two")
@pytest.mark.parametrize("fails", [False, True])
@pytest.mark.parametrize("name", FROM_PYTHON)
def test_functions_keep_to_one_thread_and_put_back_what_they_found(
    name: str, fails: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: set[int] = set()
    decode = PCA.decode

    def watched(self: PCA, z: torch.Tensor) -> torch.Tensor:
        seen.update({torch.get_num_threads()} | blas())
        if fails:
            raise ZeroDivisionError
        return decode(self, z)

    world = envs.make_world(data="iris", manifold="pca", latent_dim=2)
    path = explain(world, 0, walker="line")
    monkeypatch.setattr(PCA, "decode", watched)
    if fails:
        with pytest.raises(ZeroDivisionError):
            FROM_PYTHON[name](world, path, tmp_path)
    else:
        FROM_PYTHON[name](world, path, tmp_path)
    assert seen == {1}
    assert torch.get_num_threads() == 2
    assert blas() == {2}


@pytest.mark.usefixtures("two")
def test_an_error_puts_the_threads_back_too() -> None:
    with pytest.raises(envs.ManifoldError):
        envs.make_world(data="iris", manifold="nothing")
    with pytest.raises(ZeroDivisionError), one_thread(), one_thread():
        _ = 1 / (torch.get_num_threads() - 1)
    assert torch.get_num_threads() == 2
    assert blas() == {2}


@pytest.mark.usefixtures("two")
def test_the_limit_holds_again_behind_a_library_that_changed_it() -> None:
    with one_thread():
        with one_thread():
            torch.set_num_threads(2)  # as numba does
        assert torch.get_num_threads() == 1
    assert torch.get_num_threads() == 2


@pytest.mark.usefixtures("two")
def test_threads_that_overlap_put_back_what_the_first_found() -> None:
    inside, out = threading.Event(), threading.Event()

    def other() -> None:
        with one_thread():
            inside.set()
            out.wait()

    worker = threading.Thread(target=other)
    with one_thread():
        worker.start()
        inside.wait()
    assert torch.get_num_threads() == 2
    out.set()
    worker.join()
    assert torch.get_num_threads() == 2
    assert blas() == {2}
    found: list[int] = []
    later = threading.Thread(target=lambda: found.append(torch.get_num_threads()))
    later.start()
    later.join()
    assert found == [2]


def test_importing_changes_no_threads() -> None:
    code = (
        "import torch; torch.set_num_threads(2)\n"
        "import agents, agents.train, agents.explain, agents.evaluate, envs, envs.building.world, vime, vime.sb3\n"
        "assert torch.get_num_threads() == 2"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def test_a_script_keeps_the_threads_that_were_requested() -> None:
    code = (
        "from agents.console.cli import prepare_process; prepare_process(2)\n"
        "import torch; from envs.runtime.threads import one_thread\n"
        "with one_thread(): assert torch.get_num_threads() == 2\n"
        "assert torch.get_num_threads() == 2"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
