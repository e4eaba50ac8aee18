"""Training on the user's own generator, which no run folder can hold; and the folder of data files."""

from __future__ import annotations

import pytest

from agents.console.cli import parse_config
from agents.explain import explain
from agents.replay import compare
from agents.runs.run import load_run
from agents.train import TrainConfig, train
from agents.training.session import _environment
from agents.trajectories.trajectory import Trajectory
from envs import ManifoldError, WorldConfig, make_world
from envs.manifolds import Generator

MODULE = """
import numpy as np
import torch

torch.manual_seed(0)


class Net(torch.nn.Sequential):
    pass


net = Net(torch.nn.Linear(2, 16), torch.nn.Sigmoid())
with torch.no_grad():
    net[0].weight.mul_(2)
    x = net(torch.randn(60, 2)).view(-1, 4, 4).numpy()


def make_net():
    return net


def classify(rows):
    p = 1 / (1 + np.exp(-20 * (rows.reshape(len(rows), -1).mean(1) - x.mean())))
    return np.stack((1 - p, p), 1)
"""


def test_a_run_finds_the_users_generator_by_its_name(tmp_path, monkeypatch):
    (tmp_path / "own_generator.py").write_text(MODULE)
    monkeypatch.syspath_prepend(str(tmp_path))
    kwargs = {"manifold": "own_generator:net", "latent_dim": 2, "class_names": ["dark", "bright"]}
    run = train(
        data="own_generator:x", classifier="own_generator:classify", env_kwargs=kwargs, n_timesteps=256, n_envs=8,
        hyperparams={"n_steps": 16}, log_folder=str(tmp_path / "runs"), eval_episodes=0, pictures=False,
    )  # fmt: skip
    assert not (run.folder.root / "manifold").exists()
    again = load_run(run.folder.root)
    assert isinstance(again.world.manifold, Generator)
    assert again.world.reference.z.equal(run.world.reference.z)
    # Its paths are explained, saved and replayed like any other's.
    paths = explain(again, [0, 1, 2], walker="line")
    paths[0].save(tmp_path / "path.npz")
    assert compare(Trajectory.load(tmp_path / "path.npz"), again.world).reproduced
    with pytest.raises(ManifoldError, match=r"Net.*not saved.*module:object"):
        again.world.manifold.save(tmp_path / "nowhere")
    assert not (tmp_path / "nowhere").exists()


def test_a_function_may_make_the_generator(tmp_path, monkeypatch):
    (tmp_path / "own_function.py").write_text(MODULE)
    monkeypatch.syspath_prepend(str(tmp_path))
    given = {"data": "own_function:x", "classifier": "own_function:classify", "class_names": ["dark", "bright"]}
    world = make_world(**given, manifold="own_function:make_net", latent_dim=2)
    assert isinstance(world.manifold, Generator)
    assert world.reference.z.equal(make_world(**given, manifold="own_function:net", latent_dim=2).reference.z)
    with pytest.raises(ManifoldError, match="needs latent_dim="):
        make_world(**given, manifold="own_function:make_net")


def test_the_data_folder_reaches_the_world(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    config = parse_config(TrainConfig, ["--data", "mnist", "--data-dir", str(tmp_path / "files")])
    env_id, kwargs = _environment(config, None)
    assert env_id == "Manifold/Custom-v0"
    told = WorldConfig(**kwargs).portable().settings()
    assert told == {"data": "mnist", "data_dir": "files"}  # below the present folder: no absolute path in config.json
    with pytest.raises(ValueError, match=r"data_dir='.*files' is not a folder"):
        train(config, n_timesteps=128, log_folder=str(tmp_path / "runs"))
    assert not list((tmp_path / "runs").glob("*/*"))
