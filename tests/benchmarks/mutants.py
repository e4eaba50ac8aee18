"""Damaged and hostile files of every kind that is read: each mutant must be read, or end in a named error.

``python -m tests.benchmarks.mutants --count 5000 --out mutants.json``: structure-aware mutants with fixed seeds, in process.
Reported of each kind: files tried, read all the same, named errors, tracebacks (with the first of them) and hangs; and the
process's largest memory. tests/faults/test_damaged_files.py runs some 200 of each.
"""

from __future__ import annotations

import argparse
import gzip
import hashlib
import io
import json
import signal
import struct
import sys
import tempfile
import traceback
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from agents.console.cli import UserError
from agents.runs.checkpoint_files import read_state, write_state
from agents.runs.folder import RunFolder
from agents.runs.run import load_run
from agents.runs.world_record import build_world
from agents.train import TrainConfig, report
from agents.trajectories.file import checksum
from agents.trajectories.trajectory import Trajectory
from envs.building.data import gathered, units_of
from envs.config import WorldConfig
from envs.datasets.arrays import load_npz
from envs.datasets.corpora import read_corpus
from envs.datasets.idx import read_idx
from envs.datasets.tables import load_csv
from envs.errors import ManifoldError
from envs.manifolds import PCA, Manifold
from envs.modalities.columns import read_description
from envs.reading.files import read_npy, read_picture
from vime.errors import VimeError

NAMED = (ManifoldError, UserError, VimeError)
SECONDS = 60  # more than this is a hang
Rng = np.random.Generator
VALUES: tuple[Any, ...] = (
    None, True, False, -1, 0, 1, 3, 2.5, -0.0, 1e308, float("nan"), float("inf"), 10**40, 10**5000, 2**63, "", "x", "0",
    "true", "os:abort", "../../x", "/dev/zero", "a\x1b[31m\x07b", "\ud800", "x" * 5000, [], {}, [[]], [1, "a", None],
    {"a": {"b": []}}, {"@": "array", "key": "a99"}, {"@": "tuple"}, {"@": "pairs", "items": [1]},
)  # fmt: skip


class Kind(NamedTuple):
    """A file that is read: how an honest one is written below a folder, mutated and read."""

    file: str
    write: Callable[[Path], Any]
    mutate: Callable[[Rng, bytes], bytes]
    read: Callable[[Path], Any]


class Result(NamedTuple):
    """Of one kind; `failures` holds seed and traceback."""

    tried: int
    read: int
    named: int
    failures: list[tuple[int, str]]


# -- mutants ------------------------------------------------------------------------------------------------------------


def of_bytes(rng: Rng, content: bytes) -> bytes:
    """Cut, flipped, overwritten, repeated or lengthened."""
    data = bytearray(content)
    for _ in range(int(rng.integers(1, 4))):
        at, size = int(rng.integers(0, len(data) + 1)), int(rng.integers(1, 40))
        how = int(rng.integers(0, 6))
        if how == 0:
            del data[at:]
        elif how == 1 and data:
            data[at % len(data)] ^= 1 << int(rng.integers(0, 8))
        elif how == 2:
            data[at : at + size] = rng.bytes(size)
        elif how == 3:
            data[at : at + size] = bytes([int(rng.choice([0, 255, 10, 34, 91, 123]))]) * size
        elif how == 4:
            data[at:at] = data[: size * 10]
        else:
            data += rng.bytes(size)
    return bytes(data)


def of_tree(rng: Rng, tree: Any) -> Any:
    """JSON values with one place changed: another value, one missing, one more, or nested deeply."""
    places = list(_places(tree))
    holder, key = places[int(rng.integers(0, len(places)))]
    how = int(rng.integers(0, 8))
    if how == 0:
        del holder[key]
    elif how == 1 and isinstance(holder, dict):
        holder[f"{key}_"] = _value(rng)
    elif how == 2:
        nested: Any = 1
        for _ in range(int(rng.choice([60, 70, 300]))):
            nested = [nested] if rng.random() < 0.5 else {"a": nested}
        holder[key] = nested
    elif how == 3:
        holder[key] = [holder[key]] * int(rng.integers(1, 4))
    else:
        holder[key] = _value(rng)
    return tree


def of_json(rng: Rng, content: bytes) -> bytes:
    """A JSON file: mostly its values, else its bytes."""
    if rng.random() < 0.25:
        return of_bytes(rng, content)
    if rng.random() < 0.03:
        return b"[" * 100_000
    tree = json.loads(content)
    for _ in range(int(rng.integers(1, 3))):
        tree = of_tree(rng, tree)
    sys.set_int_max_str_digits(0)
    return json.dumps(tree).encode("utf-8", "surrogatepass")


def of_npz(rng: Rng, content: bytes, sign: bool = False) -> bytes:
    """An .npz: its arrays, its headers, its metadata (signed again, if `sign`), or its bytes."""
    if rng.random() < 0.25:
        return of_bytes(rng, content)
    with np.load(io.BytesIO(content)) as archive:
        arrays = dict(archive)
    if rng.random() < 0.15:
        return _with_header(rng, arrays)
    name = str(rng.choice(sorted(arrays)))
    if "metadata" in arrays and rng.random() < 0.7:
        tree = of_tree(rng, json.loads(str(arrays["metadata"][0])))
        arrays["metadata"] = np.array([json.dumps(tree)])
    else:
        arrays = _other_array(rng, arrays, name)
    if sign and {"metadata", "checksum"} <= set(arrays) and arrays["metadata"].dtype.kind == "U" and arrays["metadata"].size:
        rest = {key: value for key, value in arrays.items() if key not in ("metadata", "checksum")}
        if all(value.dtype != object for value in rest.values()):
            arrays["checksum"] = np.array([checksum(rest, str(arrays["metadata"].flat[0]))])
    packed = io.BytesIO()
    np.savez_compressed(packed, **arrays)
    return packed.getvalue()


def of_path(rng: Rng, content: bytes) -> bytes:
    """A path, signed again, as anybody can."""
    return of_npz(rng, content, sign=True)


def of_environment(rng: Rng, content: bytes) -> bytes:
    """A path whose environment has another value of a setting, signed again."""
    with np.load(io.BytesIO(content)) as archive:
        arrays = dict(archive)
    tree = json.loads(str(arrays["metadata"][0]))
    kwargs = tree["environment"]["config"]
    names = ("task", "tau", "reward", "move", "step", "max_step", "guidance", "gamma", "max_episode_steps",
             "initial_latent", "seed", "label_only", "class_names", "latent_dim", "fit", "manifold",
             "classifier", "pair", "columns", "data")  # fmt: skip
    kwargs[str(rng.choice(names))] = _value(rng)
    if isinstance(reward := kwargs.get("reward", {"step": 0.1}), dict) and rng.random() < 0.2:
        kwargs["reward"] = {**reward, "success": _value(rng)}
    arrays["metadata"] = np.array([json.dumps(tree)])
    rest = {key: value for key, value in arrays.items() if key not in ("metadata", "checksum")}
    arrays["checksum"] = np.array([checksum(rest, str(arrays["metadata"][0]))])
    packed = io.BytesIO()
    np.savez_compressed(packed, **arrays)
    return packed.getvalue()


def of_tensors(rng: Rng, content: bytes) -> bytes:
    """A safetensors file: its header's values, or its bytes."""
    if rng.random() < 0.4:
        return of_bytes(rng, content)
    size = struct.unpack("<Q", content[:8])[0]
    head = json.dumps(of_tree(rng, json.loads(content[8 : 8 + size]))).encode("utf-8", "surrogatepass")
    return struct.pack("<Q", len(head)) + head + content[8 + size :]


def of_lines(rng: Rng, content: bytes) -> bytes:
    """A text: its cells, separators and lines, or its bytes."""
    if rng.random() < 0.4:
        return of_bytes(rng, content)
    lines = content.decode().split("\n")
    at = int(rng.integers(0, len(lines)))
    cells = lines[at].split(",")
    cells[int(rng.integers(0, len(cells)))] = str(_value(rng)).encode("utf-8", "replace").decode()[:200]
    lines[at] = str(rng.choice([",", ";", ",,", "\t"])).join(cells)
    if rng.random() < 0.2:
        lines.insert(at, lines[int(rng.integers(0, len(lines)))])
    return "\n".join(lines).encode()


def of_yaml(rng: Rng, content: bytes) -> bytes:
    """A YAML file: its values, tags and aliases, or its bytes."""
    if rng.random() < 0.4:
        return of_lines(rng, content)
    odd = ("!!python/object/apply:os.abort []", "&a [*a]", "2020-99-99", "0x", "{a: b: c}", "? [1]\n: 2", "!!int x", "=", "<<",
           "!!binary x", "{<<: 1}", "[" * 3000, "{[1]: 2}", "1e999")  # fmt: skip
    text = content.decode()
    values = [place for place, letter in enumerate(text) if letter == ":"]
    at = int(rng.choice(values)) + 1
    return (text[:at] + " " + str(rng.choice(odd)) + text[at:].partition("\n")[1] + text[at:].partition("\n")[2]).encode()


def _places(tree: Any) -> Any:
    for key, value in tree.items() if isinstance(tree, dict) else enumerate(tree) if isinstance(tree, list) else ():
        yield tree, key
        yield from _places(value)


def _value(rng: Rng) -> Any:
    return VALUES[int(rng.integers(0, len(VALUES)))]


def _other_array(rng: Rng, arrays: dict[str, np.ndarray], name: str) -> dict[str, np.ndarray]:
    old = arrays[name]
    other: tuple[Callable[[], Any], ...] = (
        lambda: np.zeros((0,)), lambda: np.array(3), lambda: old[None], lambda: old.ravel()[:1], lambda: old.astype("U9"),
        lambda: np.full(old.shape, np.nan), lambda: np.full(old.shape, 1e308), lambda: np.zeros(old.shape, bool),
        lambda: np.array([{}], dtype=object), lambda: np.array(["a", "\x1b[2J"]), lambda: np.zeros(3, "M8[s]"),
        lambda: np.zeros(3, [("a", "i4")]), lambda: np.full(old.shape, -1), lambda: np.zeros((1,) * 20), lambda: old.T,
    )  # fmt: skip
    changed = {**arrays, name: other[int(rng.integers(0, len(other)))]()}
    if rng.random() < 0.2:
        changed[f"{name}_"] = changed.pop(name)
    return changed


def _with_header(rng: Rng, arrays: dict[str, np.ndarray]) -> bytes:
    """An archive in which one member's header says something else than its bytes."""
    packed, chosen = io.BytesIO(), str(rng.choice(sorted(arrays)))
    heads = ("(10**9,)", "(1099511627776,)", "(-1,)", "(1.5,)", "((1,),)", "(" * 3000, "(True,)", "'a'")
    with zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, value in arrays.items():
            stream = io.BytesIO()
            np.save(stream, value)
            content = stream.getvalue()
            if name == chosen:
                shape = heads[int(rng.integers(0, len(heads)))]
                descr = str(rng.choice(["<f4", "|O", "<U99999999", "|V4", "nonsense", ">i8"]))
                head = f"{{'descr': '{descr}', 'fortran_order': {rng.choice(['True', 'False', '5'])}, 'shape': {shape}, }}\n"
                content = b"\x93NUMPY\x01\x00" + struct.pack("<H", len(head)) + head.encode() + rng.bytes(16)
            archive.writestr(f"{name}.npy", content)
    return packed.getvalue()


# -- honest files -------------------------------------------------------------------------------------------------------

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


def _trained(folder: Path) -> None:
    """A whole run, of a second's training."""
    import shutil

    from agents.train import train

    made = train(
        data="iris", manifold="pca", env_kwargs={"reward": {"success": 1.0}, "max_episode_steps": 10, "label_only": True},
        n_timesteps=16, n_envs=2, hyperparams={"n_steps": 8, "policy_kwargs": {"net_arch": [8]}}, curiosity="l2",
        eval_episodes=0, pictures=False, log_folder=str(folder / "runs"),
    )  # fmt: skip
    shutil.copytree(made.folder.root, folder, dirs_exist_ok=True)
    shutil.rmtree(folder / "runs")


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
        session = resume(TrainConfig(trained_agent=str(folder), n_timesteps=64), None, RunFolder.open(folder))
        assert session.resumed is not None
        restore_random_state(session.resumed)


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


def _path(folder: Path) -> None:
    predictions = np.array([[0.9, 0.1], [0.6, 0.4], [0.2, 0.8]], np.float32)
    environment = {"config": {"data": "iris", "tau": 0.8}, "step_length": 0.5}
    Trajectory(
        z=np.zeros((3, 2)), actions=np.zeros((2, 2)), rewards=np.zeros(2), step_lengths=np.ones(2), source_input=np.ones(4),
        source=0, target=1, class_names=["a", "b"], environment=environment, manifold_key="pca-2d-0", walker="line",
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
    "training state": Kind("checkpoints/16/training.json", _trained, of_json, _resumed),
    "environments' state": Kind("checkpoints/16/environment.json", _trained, of_json, _resumed),
    "curiosity's state": Kind("checkpoints/16/curiosity.npz", _trained, of_npz, _resumed),
    "random state": Kind("checkpoints/16/random.json", _trained, of_json, _resumed),
    "progress": Kind("checkpoints/16/progress.json", _trained, of_json, _resumed),
    "summary": Kind("summary.json", _trained, of_json, lambda f: report(load_run(f))),
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
    "picture": Kind("p.png", _picture, of_bytes, lambda f: read_picture(f / "p.png")),
    "idx": Kind("rows.gz", _idx, of_bytes, lambda f: read_idx(f / "rows.gz")),
}  # fmt: skip


# -- the campaign -------------------------------------------------------------------------------------------------------


def run_kind(name: str, count: int, folder: Path) -> Result:
    """Read `count` mutants of a kind, seeds 0 to count - 1."""
    kind = KINDS[name]
    folder.mkdir(parents=True)
    kind.write(folder)
    kind.read(folder)  # the honest one is read
    file = folder / kind.file
    honest, read, named, failures = file.read_bytes(), 0, 0, []
    for seed in range(count):
        file.write_bytes(kind.mutate(np.random.default_rng([seed, *name.encode()]), honest))
        try:
            with _alarm():
                kind.read(folder)
            read += 1
        except NAMED:
            named += 1
        except Exception:  # what the campaign looks for
            failures.append((seed, traceback.format_exc(limit=-3)))
    return Result(count, read, named, failures)


class _alarm:
    """TimeoutError after `SECONDS`, where the system has such a clock."""

    def __enter__(self) -> None:
        if hasattr(signal, "SIGALRM"):
            self.before = signal.signal(signal.SIGALRM, self._ring)
            signal.alarm(SECONDS)

    def __exit__(self, *error: object) -> None:
        if hasattr(signal, "SIGALRM"):
            signal.alarm(0)
            signal.signal(signal.SIGALRM, self.before)

    @staticmethod
    def _ring(*_: Any) -> None:
        raise TimeoutError(f"more than {SECONDS} s")


def main() -> int:
    """The campaign; exit code 1 if anything ended without a named error."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--count", type=int, default=5000, help="mutants a kind")
    parser.add_argument("--kind", nargs="+", default=list(KINDS), choices=list(KINDS))
    parser.add_argument("--out", type=Path, help="JSON file of the figures")
    options = parser.parse_args()
    figures: dict[str, Any] = {}
    with tempfile.TemporaryDirectory() as folder:
        for number, name in enumerate(options.kind):
            result = run_kind(name, options.count, Path(folder) / str(number))
            hangs = sum("TimeoutError" in told for _, told in result.failures)
            figures[name] = {"tried": result.tried, "read": result.read, "named errors": result.named,
                             "tracebacks": len(result.failures) - hangs, "hangs": hangs}  # fmt: skip
            print(f"{name:24s} {figures[name]}")
            for seed, told in result.failures[:3]:
                print(f"  seed {seed}: {told}")
    if options.out is not None:
        import resource

        figures["largest memory, MB"] = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024
        options.out.write_text(json.dumps(figures, indent=1) + "\n")
    return int(any(part["tracebacks"] or part["hangs"] for part in figures.values() if isinstance(part, dict)))


if __name__ == "__main__":
    sys.exit(main())
