"""Every kind of file that is read: how an honest one is written, mutated and read."""

from __future__ import annotations

import gzip
import hashlib
import json
import struct
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from agents.console.cli import UserError
from agents.constraints.rules_file import read_rules
from agents.engine.sweeping import Sweep
from agents.runs.checkpoint_files import read_state, write_state
from agents.runs.folder import RunFolder
from agents.runs.lock import LOCK_FILE, run_lock
from agents.runs.run import load_run
from agents.runs.world_record import build_world
from agents.train import TrainConfig, report
from agents.training.log import METRICS_FILE, forget_after
from agents.trajectories.trajectory import Trajectory
from envs.building.data import gathered, units_of
from envs.classifiers.onnx_model import OnnxModel
from envs.config import WorldConfig
from envs.core.known_predictions import KnownPredictions
from envs.datasets.arrays import load_npz
from envs.datasets.corpora import read_corpus
from envs.datasets.idx import read_idx
from envs.datasets.series import load_series_csv, load_ts
from envs.datasets.tables import load_csv
from envs.goals import Goal, ScoreGoal
from envs.manifolds import PCA, Manifold
from envs.modalities.columns import read_description
from envs.reading.files import read_npy, read_picture
from tests.benchmarks.faults.mutations import (
    Rng,
    of_bytes,
    of_environment,
    of_json,
    of_lines,
    of_npz,
    of_path,
    of_tensors,
    of_yaml,
)  # fmt: skip


class Kind(NamedTuple):
    """A file that is read: how an honest one is written below a folder, mutated and read."""

    file: str
    write: Callable[[Path], Any]
    mutate: Callable[[Rng, bytes], bytes]
    read: Callable[[Path], Any]


CONFIG: dict[str, Any] = {
    "created": "2026-01-01", "algo": "ppo", "env": {"id": "Manifold/Custom-v0", "kwargs": {}},
    "world": {"config": {"tau": 0.8, "pair": 0}, "step_length": 0.5, "class_names": ["a", "b"]},
    "hyperparameters": {"n_steps": 8, "policy_kwargs": {"net_arch": [8]}}, "seed": 0, "n_envs": 2, "n_timesteps": 64,
    "curiosity": {"name": "vime", "eta": 0.1, "options": {}}, "versions": {"torch": "2"}, "num_threads": 1,
}  # fmt: skip
COLUMNS = """target: y
missing: ["", "?"]
columns:
  a: {kind: number, range: [0, 10], integer: true}
  b: {kind: category, categories: [u, v], immutable: true}
"""


def _run(folder: Path) -> None:
    import torch

    run = RunFolder(folder, {})
    run.write_config(CONFIG)
    tree = {"a": np.arange(6.0), "b": [1, (2, "x")], "c": {1: torch.ones(2), "d": None}}
    run.save_checkpoint(64, {"policy": {"w": torch.ones(3, 2)}, "progress": {"seconds": 1.0, "steps": 64}, "more": tree})


WORLD: dict[str, Any] = {
    "data": "iris",
    "manifold": "pca",
    "reward": {"success": 1.0},
    "max_episode_steps": 10,
    "label_only": True,
}


def _trained(folder: Path) -> None:
    """A whole run, of a second's training."""
    import shutil

    from agents.train import train

    made = train(
        env="Manifold/Custom-v0", env_kwargs=WORLD,
        n_timesteps=16, n_envs=2, hyperparams={"n_steps": 8, "policy_kwargs": {"net_arch": [8]}}, curiosity="l2",
        eval_episodes=0, pictures=False, log_folder=str(folder / "runs"),
    )  # fmt: skip
    shutil.copytree(made.folder.root, folder, dirs_exist_ok=True)
    shutil.rmtree(folder / "runs")


@cache
def _world() -> Any:
    """The world of `_trained`, built once: these kinds read a checkpoint, and "run" reads the world."""
    from envs.building.world import make_world

    return make_world(**WORLD)


def _resumed(folder: Path) -> None:
    """The training at its last checkpoint, whose manifest is signed again, as anybody can."""
    from agents.runs.checkpoint import restore_random_state
    from agents.runs.random_state import fenced_random_state
    from agents.training.session import resume

    place = folder / "checkpoints" / "16" / "manifest.json"
    manifest = json.loads(place.read_text())
    for name, entry in manifest["files"].items():
        entry["sha256"] = hashlib.sha256((place.parent / name).read_bytes()).hexdigest()
    place.write_text(json.dumps(manifest))
    with fenced_random_state():
        session = resume(TrainConfig(trained_agent=str(folder), n_timesteps=64), _world(), RunFolder.open(folder))
        assert session.resumed is not None
        restore_random_state(session.resumed)


def _known(folder: Path) -> None:
    import torch

    parts = {"label": torch.arange(6) % 2, "prediction": torch.full((6, 2), 0.5), "elsewhere": None}
    (folder / "known_predictions.safetensors").write_bytes(KnownPredictions(**parts, digest="0" * 64).to_bytes())


def _use_known(folder: Path) -> None:
    import torch

    known = KnownPredictions.read(folder / "known_predictions.safetensors")
    x = torch.zeros(6, 3)
    known.changed(lambda rows, few: torch.full((len(few), 2), 0.5), x, x)


def _metrics(folder: Path) -> None:
    lines = [json.dumps({"step": 8 * k, "loss": k / 4, "not_finite": ["a"]}) for k in range(1, 5)]
    (folder / METRICS_FILE).write_text("\n".join(lines) + "\n")


def _lock(folder: Path) -> None:
    _run(folder)
    (folder / LOCK_FILE).write_text(json.dumps({"pid": 1, "since": "2026-01-01T00:00:00+00:00"}) + "\n")


def _use_lock(folder: Path) -> None:
    """A second training is refused, in words that quote the lock's file."""
    content = (folder / LOCK_FILE).read_bytes()
    with run_lock(folder):
        (folder / LOCK_FILE).write_bytes(content)
        try:
            with run_lock(folder):
                raise AssertionError("two trainings hold one lock")
        except UserError:
            pass


def _replayed(folder: Path) -> None:
    path = Trajectory.load(folder / "p.npz")
    build_world(path.environment, file=folder / "p.npz")


def _state(folder: Path) -> None:
    import torch

    module = torch.nn.Linear(3, 2)
    adam = torch.optim.Adam(module.parameters())
    module(torch.ones(1, 3)).sum().backward()
    adam.step()
    tree = {"a": np.arange(6.0), "b": [1, (2, "x")], "c": {1: torch.ones(2), "d": None}, "e": np.float32(2)}
    write_state(folder, {"policy": module.state_dict(), "optimizers": {"adam": adam.state_dict()}, "more": tree})


SCORE = ScoreGoal(low=5.0, spread=2.0)
RULES = "features_to_vary: [age, hours]\npermitted_range: {age: [20, 30]}\nrelations:\n  - total = a + b\n"
SWEEP = """train: {data: iris, n_timesteps: 64}
search:
  hyperparams.learning_rate: {low: 1.0e-4, high: 1.0e-3, log: true}
  n_envs: [2, 4]
seeds: 0-1
trials: 2
measure: success_rate
"""


def _series(folder: Path) -> None:
    rows = [f"{k}.5,{k},-{k},1e{k}:{k},2,3,4:{'ab'[k % 2]}" for k in range(6)]
    (folder / "s.ts").write_text("@problemName x\n@timestamps false\n@classLabel true a b\n@data\n" + "\n".join(rows) + "\n")
    table = [f"{k}.5,{k},-{k},{'ab'[k % 2]}" for k in range(6)]
    (folder / "s.csv").write_text("0,1,2,label\n" + "\n".join(table) + "\n")


def _onnx(folder: Path) -> None:
    from onnx import TensorProto, helper, numpy_helper

    shapes = [("x", ["n", 2]), ("p", ["n", 2])]
    put, out = (helper.make_tensor_value_info(name, TensorProto.FLOAT, shape) for name, shape in shapes)
    nodes = [helper.make_node("MatMul", ["x", "w"], ["z"]), helper.make_node("Softmax", ["z"], ["p"], axis=1)]
    graph = helper.make_graph(nodes, "model", [put], [out], [numpy_helper.from_array(np.eye(2, dtype=np.float32), "w")])
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9)
    (folder / "m.onnx").write_bytes(model.SerializeToString())


def _path(folder: Path, goal: Goal | None = None) -> None:
    predictions = np.array([[0.9, 0.1], [0.6, 0.4], [0.2, 0.8]], np.float32)
    config: dict[str, Any] = (
        {"data": "iris", "tau": 0.8} if goal is None else {"data": "iris", "goal": goal.text, "spread": 2.0}
    )
    Trajectory(
        z=np.zeros((3, 2)), actions=np.zeros((2, 2)), rewards=np.zeros(2), step_lengths=np.ones(2), source_input=np.ones(4),
        source=0, target=1, class_names=["a", "b"] if goal is None else goal.names, walker="line",
        environment={"config": config, "step_length": 0.5}, manifold_key="pca-2d-0",
        requested=None if goal is None else "+10 %",
        success=True, queries=4, predictions=predictions, versions={"torch": "2"}, index=3,
    ).save(folder / "p.npz")  # fmt: skip


def _manifold(folder: Path) -> None:
    import torch

    PCA.fit(torch.randn(30, 4, generator=torch.Generator().manual_seed(0)), latent_dim=2, modality="table").save(folder)


def _rows(folder: Path) -> None:
    rng = np.random.default_rng(0)
    np.savez(folder / "rows.npz", x=rng.random((12, 4)).astype("f4"), truth=np.arange(12) % 2, held_out=rng.random((3, 4)),
             class_names=np.array(["a", "b"]), columns=np.array(list("pqrs")), data_shape=np.array([4]))  # fmt: skip


def _table(folder: Path) -> None:
    rows = [f"{k % 11},{'uv'[k % 2]},{'?' if k == 3 else k / 4},{k % 2}" for k in range(24)]
    (folder / "rows.csv").write_text("a,b,c,y\n" + "\n".join(rows) + "\n")


def _picture(folder: Path) -> None:
    from PIL import Image

    Image.fromarray(np.arange(64, dtype=np.uint8).reshape(8, 8)).save(folder / "p.png")


def _idx(folder: Path) -> None:
    content = b"\0\0\x08\x02" + struct.pack(">II", 4, 5) + bytes(range(20))
    (folder / "rows.gz").write_bytes(gzip.compress(content, mtime=0))


def _use_data(folder: Path) -> None:
    data = load_npz(folder / "rows.npz")
    units_of(gathered(WorldConfig(data=data))[0])


KINDS: dict[str, Kind] = {
    "config": Kind("config.json", _run, of_json, lambda f: RunFolder.open(f).names()),
    "manifest": Kind("checkpoints/64/manifest.json", _run, of_json, lambda f: RunFolder.open(f).load_checkpoint()),
    "run": Kind("config.json", _trained, of_json, lambda f: load_run(f).bonus),
    "known predictions": Kind("known_predictions.safetensors", _known, of_tensors, _use_known),
    "metrics": Kind(METRICS_FILE, _metrics, of_lines, lambda f: forget_after(f / METRICS_FILE, 16)),
    "lock": Kind(LOCK_FILE, _lock, of_json, _use_lock),
    "environment of a path": Kind("p.npz", _path, of_environment, _replayed),
    "policy": Kind("policy.safetensors", _state, of_tensors, lambda f: read_state(f, only=("policy",))),
    "optimizers": Kind("optimizers.pt", _state, of_bytes, lambda f: read_state(f, only=("optimizers",))),
    "tree": Kind("more.json", _state, of_json, lambda f: read_state(f, only=("more",))),
    "tree arrays": Kind("more.npz", _state, of_npz, lambda f: read_state(f, only=("more",))),
    "path": Kind("p.npz", _path, of_path, lambda f: Trajectory.load(f / "p.npz").summary()),
    "manifold": Kind("manifold.json", _manifold, of_json, Manifold.load),
    "manifold weights": Kind("manifold.safetensors", _manifold, of_tensors, Manifold.load),
    "data": Kind("rows.npz", _rows, of_npz, _use_data),
    "npy": Kind("a.npy", lambda f: np.save(f / "a.npy", np.ones((3, 4))), of_bytes, lambda f: read_npy(f / "a.npy")),
    "table": Kind("rows.csv", _table, of_lines, lambda f: load_csv(f / "rows.csv", None, "y")),
    "columns": Kind("c.yml", lambda f: (f / "c.yml").write_text(COLUMNS), of_yaml, lambda f: read_description(f / "c.yml")),
    "sentences": Kind(
        "s.jsonl", lambda f: (f / "s.jsonl").write_text('{"text": "a b", "label": 0}\n{"text": "c", "label": 1}\n'),
        of_lines, lambda f: read_corpus(f / "s.jsonl"),
    ),
    "sentences in a table": Kind(
        "s.tsv", lambda f: (f / "s.tsv").write_text("text\tlabel\na b\t0\nc d\t1\n"),
        of_lines, lambda f: read_corpus(f / "s.tsv"),
    ),
    "series": Kind("s.ts", _series, of_lines, lambda f: load_ts(f / "s.ts")),
    "series in a table": Kind("s.csv", _series, of_lines, lambda f: load_series_csv(f / "s.csv", "label")),
    "rules": Kind("r.yml", lambda f: (f / "r.yml").write_text(RULES), of_yaml, lambda f: read_rules(f / "r.yml")),
    "sweep": Kind("sweep.yml", lambda f: (f / "sweep.yml").write_text(SWEEP), of_yaml, lambda f: Sweep.read(f / "sweep.yml")),
    "onnx": Kind("m.onnx", _onnx, of_bytes, lambda f: OnnxModel.read(f / "m.onnx")(np.ones((3, 2), np.float32))),
    "path of a score": Kind("p.npz", lambda f: _path(f, SCORE), of_path, lambda f: Trajectory.load(f / "p.npz").summary()),
    "picture": Kind("p.png", _picture, of_bytes, lambda f: read_picture(f / "p.png")),
    "idx": Kind("rows.gz", _idx, of_bytes, lambda f: read_idx(f / "rows.gz")),
    "training state": Kind("checkpoints/16/training.json", _trained, of_json, _resumed),
    "environments' state": Kind("checkpoints/16/environment.json", _trained, of_json, _resumed),
    "curiosity's state": Kind("checkpoints/16/curiosity.npz", _trained, of_npz, _resumed),
    "random state": Kind("checkpoints/16/random.json", _trained, of_json, _resumed),
    "progress": Kind("checkpoints/16/progress.json", _trained, of_json, _resumed),
    "summary": Kind("summary.json", _trained, of_json, lambda f: report(load_run(f, world=_world()))),
}  # fmt: skip
