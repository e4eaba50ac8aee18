"""``~`` in every path that Python takes, and files that are written whole."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import gymnasium as gym
import numpy as np
import pytest

import envs
from agents import Explainer, Trajectory, load_run
from agents.atlas import atlas
from agents.explain import explain
from agents.explanation.figures.gif import save_gif
from agents.explanation.inputs import read_file
from agents.explanation.output import save
from agents.explanation.report.page import write_report
from agents.runs.folder import RunFolder
from agents.train import train
from envs.assets import halved
from envs.classifiers.bag_of_words import BagOfWords
from envs.files import in_home, write_whole
from envs.manifolds import VAE, Manifold

NET = {"n_steps": 8, "policy_kwargs": {"net_arch": [8]}}


@pytest.fixture(scope="module")
def world() -> envs.World:
    return envs.make_world(data="iris", manifold="pca", latent_dim=2)


@pytest.fixture(scope="module")
def path(world: envs.World) -> Trajectory:
    found: Trajectory = explain(world, 0, walker="line")
    return found


@pytest.fixture(scope="module")
def home(world: envs.World, path: Trajectory, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with one of each thing that is read."""
    folder = tmp_path_factory.mktemp("home")
    x = np.random.default_rng(0).normal([5, 3, 4, 1], 1.0, (60, 4)).astype(np.float32)
    np.savez(folder / "rows.npz", x=x, truth=(x[:, 0] > 5).astype(int))
    (folder / "rows.csv").write_text("a,b,y\n" + "".join(f"{k % 7},{k % 5},{k % 2}\n" for k in range(40)))
    (folder / "columns.yml").write_text("target: y\n")
    (folder / "texts.tsv").write_text("text\tlabel\n" + "good day\t0\nbad night\t1\n" * 20)
    np.save(folder / "input.npy", x[0])
    world.manifold.save(folder / "manifold")
    path.save(folder / "path.npz")
    texts = BagOfWords.fit(["a b", "c d"] * 5, np.array([0, 1] * 5), ["x", "y"], least=1)
    texts.save(folder / "words")
    Explainer(world, "line").save(folder / "explainer")
    train(world=world, n_timesteps=16, n_envs=2, hyperparams=NET, eval_episodes=0, pictures=False, log_folder=folder / "runs")
    return folder


READ: dict[str, Callable[[envs.World], Any]] = {
    "data=.npz": lambda world: envs.make_world(data="~/rows.npz", classifier="iris", manifold="pca"),
    "data=Path": lambda world: envs.make_world(data=Path("~/rows.npz"), classifier="iris", manifold="pca"),
    "data=.csv, columns=": lambda world: envs.make_world(data="~/rows.csv", columns="~/columns.yml", manifold="pca"),
    "data=.tsv": lambda world: envs.datasets.corpora.read_corpus("~/texts.tsv"),
    "manifold=": lambda world: envs.make_world(data="iris", manifold="~/manifold"),
    "gym.make": lambda world: gym.make("Manifold/Custom-v0", data="~/rows.npz", classifier="iris", manifold="pca").close(),
    "Manifold.load": lambda world: Manifold.load("~/manifold"),
    "BagOfWords.load": lambda world: BagOfWords.load("~/words"),
    "Trajectory.load": lambda world: Trajectory.load("~/path.npz"),
    "load_run": lambda world: load_run("~/runs/ppo/Manifold-Custom-v0_1", world=world),
    "load_run, root": lambda world: load_run("latest", world=world, root="~/runs"),
    "RunFolder.open": lambda world: RunFolder.open("latest", "~/runs"),
    "Explainer.load": lambda world: Explainer.load("~/explainer"),
    "Explainer.load, a run": lambda world: Explainer.load("~/runs/ppo/Manifold-Custom-v0_1", world=world),
    "explain(a run)": lambda world: explain("~/runs/ppo/Manifold-Custom-v0_1", 0, walker="line"),
    "atlas": lambda world: atlas("~/runs/ppo/Manifold-Custom-v0_1"),
    "an input": lambda world: read_file(world, "~/input.npy"),
}
WRITTEN: dict[str, Callable[[envs.World, Trajectory], Any]] = {
    "Trajectory.save": lambda world, path: path.save("~/new.npz"),
    "save_gif": lambda world, path: save_gif(path, world, "~/new.gif"),
    "output.save": lambda world, path: save([path], world, "~/new", ("npz", "png")),
    "write_report": lambda world, path: write_report("~/new.html", [path], world),
    "Explainer.report": lambda world, path: Explainer(world, "line").report("~/new.html", [path]),
    "Explainer.save": lambda world, path: Explainer(world, "line").save("~/new"),
    "Manifold.save": lambda world, path: world.manifold.save("~/new"),
    "train(log_folder=)": lambda world, path: train(
        world=world, n_timesteps=16, n_envs=2, hyperparams=NET, eval_episodes=0, pictures=False, log_folder="~/new"
    ),
    "train(data=)": lambda world, path: train(
        env_kwargs={"data": "~/rows.npz", "classifier": "iris", "manifold": "pca"}, env="Manifold/Custom-v0", n_timesteps=16, n_envs=2,
        hyperparams=NET, eval_episodes=0, pictures=False, log_folder=Path("~/new"),
    ),
}  # fmt: skip


def at_home(monkeypatch: pytest.MonkeyPatch, home: Path, here: Path) -> None:
    monkeypatch.setenv("HOME", str(home))
    monkeypatch.setenv("USERPROFILE", str(home))
    monkeypatch.chdir(here)


@pytest.mark.parametrize("what", READ)
def test_what_is_read(what: str, home: Path, world: envs.World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    at_home(monkeypatch, home, tmp_path)
    READ[what](world)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("what", WRITTEN)
def test_what_is_written(
    what: str, home: Path, world: envs.World, path: Trajectory, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "home").mkdir()
    (tmp_path / "here").mkdir()
    (tmp_path / "home" / "rows.npz").write_bytes((home / "rows.npz").read_bytes())
    at_home(monkeypatch, tmp_path / "home", tmp_path / "here")
    WRITTEN[what](world, path)
    assert [file.name for file in (tmp_path / "home").iterdir() if file.name.startswith("new")]
    assert list((tmp_path / "here").iterdir()) == []


def test_a_config_holds_the_expanded_path(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(home))
    config = envs.WorldConfig(data="~/rows.npz", data_dir=Path("~/data"))
    assert (config.data, config.data_dir) == (str(home / "rows.npz"), str(home / "data"))
    assert envs.WorldConfig(data="~other", class_names=["~/a", "b"]).to_json()["class_names"] == ["~/a", "b"]


def test_what_is_no_path_in_the_home_folder_stays() -> None:
    for value in ("~x", "a/~/b", 3, None, {"a": "~/b"}):
        assert in_home(value) == value
    assert in_home(["~"]) == [str(Path.home())]


@pytest.mark.parametrize("what", ["manifold.json", "manifold.safetensors", "classifier.json", "classifier.safetensors"])
def test_a_full_disk_leaves_the_old_file(what: str, home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A manifold and a classifier of words are written whole."""
    thing = Manifold.load(home / "manifold") if what.startswith("manifold") else BagOfWords.load(home / "words")
    thing.save(tmp_path)
    before = {file.name: file.read_bytes() for file in tmp_path.iterdir()}

    def full(source: Any, target: Any) -> None:
        if Path(target).name == what:
            raise OSError(28, "No space left on device")
        rename(source, target)

    import os

    rename = os.replace
    monkeypatch.setattr(os, "replace", full)
    with pytest.raises(OSError, match=what):
        thing.save(tmp_path)
    assert {file.name: file.read_bytes() for file in tmp_path.iterdir()} == before


def test_a_file_is_written_whole(tmp_path: Path) -> None:
    write_whole(tmp_path / "a.json", json.dumps({"a": "é"}), durable=True)
    assert (tmp_path / "a.json").read_bytes() == b'{"a": "\\u00e9"}'
    with pytest.raises(FileNotFoundError, match="missing/a"):
        write_whole(tmp_path / "missing" / "a", b"x")
    assert [file.name for file in tmp_path.iterdir()] == ["a.json"]


def of_bag(strength: float) -> BagOfWords:
    return BagOfWords.fit(["a b", "c d"] * 5, np.array([0, 1] * 5), ["x", "y"], least=1, strength=strength)


@pytest.mark.parametrize(
    ("load", "name", "make"),
    [
        (Manifold.load, "manifold", lambda k: VAE(data_shape=(4,), latent_dim=2, hidden=(8,), modality="table")),
        (BagOfWords.load, "classifier", of_bag),
    ],
)
def test_weights_of_another_save_are_refused(
    load: Callable[[Path], Any], name: str, make: Callable[[float], Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first, second = make(1.0), make(2.0)
    first.save(tmp_path)
    card, weights = (tmp_path / f"{name}.{kind}" for kind in ("json", "safetensors"))
    before = card.read_bytes(), weights.read_bytes()
    with monkeypatch.context() as patch:  # the disk is full: the old pair stays
        patch.setattr("json.dumps", lambda *args, **keywords: "\ud800")
        with pytest.raises(UnicodeEncodeError):
            second.save(tmp_path)
    assert (card.read_bytes(), weights.read_bytes()) == before
    assert sorted(file.name for file in tmp_path.iterdir()) == [card.name, weights.name]
    load(tmp_path)
    replaced = os.replace

    def once(source: Any, target: Any) -> None:
        if Path(target) == card:
            raise KeyboardInterrupt
        replaced(source, target)

    with monkeypatch.context() as patch:  # killed between the two
        patch.setattr("os.replace", once)
        with pytest.raises(KeyboardInterrupt):
            second.save(tmp_path)
    with pytest.raises(envs.ManifoldError, match=f"{name}.safetensors does not belong to the .json file beside it"):
        load(tmp_path)
    second.save(tmp_path)
    load(tmp_path)


def test_halved_weights_belong_to_their_card(world: envs.World, tmp_path: Path) -> None:
    world.manifold.save(tmp_path)
    halved(tmp_path / "manifold.safetensors")
    Manifold.load(tmp_path)


def test_weights_saved_before_their_card_named_them_are_read(world: envs.World, tmp_path: Path) -> None:
    world.manifold.save(tmp_path)
    card = tmp_path / "manifold.json"
    said = json.loads(card.read_text())
    del said["sha256"]
    card.write_text(json.dumps(said))
    Manifold.load(tmp_path)
