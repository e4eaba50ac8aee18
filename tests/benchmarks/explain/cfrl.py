"""alibi's CounterfactualRL in a virtual environment of its own: its end points, with the same figures as a walker's.

alibi needs another numpy, and its licence restricts its use: it is never imported here. `cfrl_worker.py` runs in an
environment of its own; data and results go through .npz files. CounterfactualRL gives an end point and no path. The decoded
latent line from the input to that end is the nearest thing to a path, and is judged as a second row: cut, as every walk
here, at the first frame that satisfies the task.
"""

from __future__ import annotations

import hashlib
import io
import subprocess
import sys
import tempfile
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch

from agents.explanation.metrics.path import knn_distance, knn_distance_to_class, rising_steps, step_lengths
from envs.core.world import World
from envs.datasets import TableUnits
from tests.benchmarks.harness.runs import Run
from tests.benchmarks.harness.splits import oracles_of_split, split_of
from tests.benchmarks.harness.walks import SOURCES, judged_rows

REQUIREMENTS = ("torch==2.13.0", "numpy<2", "alibi==0.9.6", "click")  # click: without it alibi's import fails
WORKER = Path(__file__).with_name("cfrl_worker.py")
MOST_ROWS = 20_000  # that it trains on, evenly through the starts
FRAMES = 9  # of the latent line
OF_A_PATH = ("worst_knn_ratio", "rising_share", "straightness", "longest_step", "frames")  # a jump has none of these


class Settings(NamedTuple):
    """What differs from one data set to another.

    Attributes:
        sparsity: weights of the sparsity term: as in alibi's own examples, and retuned so that nearly all answers arrive.
        latent, hidden: dimensions of the auto-encoder's code and of its hidden layer: those of the split's VAE, but for
            MNIST's code, which is as long as in alibi's own example; one of 16 numbers ends up reconstructing nothing.
    """

    sparsity: tuple[float, float]
    latent: int
    hidden: int


SETTINGS: dict[str, Settings] = {
    "digits": Settings((7.5, 1.0), 8, 128), "mnist": Settings((7.5, 1.0), 64, 400), "adult": Settings((0.5, 0.1), 15, 128)
}  # fmt: skip


def environment(folder: Path) -> Path:
    """The interpreter of the virtual environment in `folder`; it is made if there is none (about 2 GB, some minutes).

    Raises:
        SystemExit: alibi cannot be installed or imported; pip's last words are shown.
    """
    python = folder / "bin" / "python"
    if not python.is_file():
        print(f"making an environment for alibi in {folder}", file=sys.stderr)
        subprocess.run([sys.executable, "-m", "venv", str(folder)], check=True)
    probe = [str(python), "-c", "from alibi.explainers import CounterfactualRL"]
    if subprocess.run(probe, capture_output=True).returncode:
        done = subprocess.run([str(python), "-m", "pip", "install", *REQUIREMENTS], capture_output=True, text=True)
        again = subprocess.run(probe, capture_output=True, text=True)
        if done.returncode or again.returncode:
            raise SystemExit(f"error: alibi cannot be installed in {folder}: {(done.stderr or again.stderr)[-600:]}")
    return python


def cfrl_run(name: str, seed: int, sparsity: float, steps: int, python: Path, cache: Path) -> Run:
    """CounterfactualRL on a split: the figures of its end points, and of the lines to them."""
    key = {"cfrl": name, "split": seed, "sparsity": sparsity, "steps": steps}
    return Run(
        key, partial(_figures, name, seed, sparsity, steps, python, cache), (*SOURCES, "tests/benchmarks/explain/cfrl*.py")
    )


def _figures(name: str, seed: int, sparsity: float, steps: int, python: Path, cache: Path) -> dict[str, Any]:
    split = split_of(name, seed, cache)
    found = _explained(name, split, seed, sparsity, steps, python, cache)
    items = split.x.flatten(1).numpy()
    jump = np.stack([items, found["counterfactuals"]], axis=1)
    cost = {"training_queries": float(found["queries"]), "training_cpu_seconds": float(found["training_cpu_seconds"])}
    cost |= {"cpu_ms": 1000 * float(found["cpu_seconds"]) / len(items), "items": len(items)}
    cost |= {f"alone_p{q}_ms": float(np.quantile(found["alone_ms"], q / 100)) for q in (50, 95)}
    end, _ = frames_figures(split, jump, cache, cut=False)
    line, frames = frames_figures(split, found["line"], cache, cut=True)
    end = {column: value for column, value in end.items() if column not in OF_A_PATH}
    rows = {"end": {**end, **cost, "queries": 2.0}, "line": {**line, **cost}}
    if isinstance(split.world.units, TableUnits):
        oracles = oracles_of_split(split, cache)
        rows["end"] |= judged_rows(split, list(jump), np.array(end["arrived"]), oracles)
        rows["line"] |= judged_rows(split, frames, np.array(line["arrived"]), oracles)
    for row in rows.values():
        del row["arrived"]
    return rows


def _explained(
    name: str, split: Any, seed: int, sparsity: float, steps: int, python: Path, cache: Path
) -> dict[str, np.ndarray]:
    """What the worker found, kept by its input alone: the worker runs again only if that changes."""
    world: World = split.world
    units = world.units
    table = isinstance(units, TableUnits)
    size = int(np.prod(world.manifold.data_shape))
    rows = torch.linspace(0, len(world.reference.x) - 1, min(MOST_ROWS, len(world.reference.x))).long()
    settings = SETTINGS[name]
    exchange = {
        "x": world.reference.x[rows].flatten(1).numpy(), "items": split.x.flatten(1).numpy(), "targets": split.targets.numpy(),
        "table": table, "blocks": np.array(units.blocks if table else [], dtype=np.int64).reshape(-1, 2),
        "held": units.held.numpy() if table else np.zeros(size, bool),
        "low": units.low.numpy() if table else np.zeros(size, np.float32),
        "high": units.high.numpy() if table else np.ones(size, np.float32),
        "sparsity": sparsity, "steps": steps, "seed": seed, "latent": settings.latent, "hidden": settings.hidden,
        "frames": FRAMES,
    }  # fmt: skip
    module = world.classifier.module  # type: ignore[attr-defined]  # a torch network: it goes along
    digest = hashlib.sha256(WORKER.read_bytes())
    for part in (*exchange.values(), *module.state_dict().values()):
        digest.update(np.ascontiguousarray(part).tobytes())
    file = cache / f"cfrl-{name}-{seed}-{digest.hexdigest()[:16]}.npz"
    if not file.is_file():
        cache.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=cache) as folder:
            given, found = Path(folder) / "given.npz", Path(folder) / "found.npz"
            np.savez(given, classifier=_script(module, world), **exchange)
            done = subprocess.run([str(python), str(WORKER), str(given), str(found)], capture_output=True, text=True)
            if done.returncode:
                raise SystemExit(f"error: CounterfactualRL failed: {done.stderr[-1500:]}")
            found.replace(file)
    with np.load(file) as archive:
        return {key: archive[key] for key in archive.files}


def _script(module: torch.nn.Module, world: World) -> np.ndarray:
    """The network on flat rows (B, D) as bytes of TorchScript."""
    shape = tuple(world.manifold.data_shape)

    class OnRows(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.module = module

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            logits: torch.Tensor = self.module(x.reshape(-1, *shape))
            return logits

    stream = io.BytesIO()
    torch.jit.save(torch.jit.trace(OnRows().eval(), torch.rand(3, int(np.prod(shape)))), stream)
    return np.frombuffer(stream.getvalue(), dtype=np.uint8)


def frames_figures(split: Any, frames: np.ndarray, cache: Path | None, cut: bool) -> tuple[dict[str, Any], list[np.ndarray]]:
    """The figures of paths given as frames (M, F, D), by the conventions of `agents.explanation.metrics.evaluate`.

    Args:
        split: items, targets, world and real data.
        frames: of the paths.
        cache: where oracles are kept.
        cut: end each path at the first frame that satisfies the task, and count a query for each frame that is left.

    Returns:
        The figures, with `arrived`, whether each item's last frame satisfies the task; and the frames that are left.
    """
    world, targets, reference, items = split.world, split.targets, split.reference, split.x
    many, length, _ = frames.shape
    rows = torch.from_numpy(np.ascontiguousarray(frames)).reshape(many * length, *world.manifold.data_shape)
    before = world.classifier.queries
    sources = torch.cat([world.classifier.predict_proba(part) for part in items.split(4096)]).argmax(1).numpy()
    predictions = torch.cat([world.classifier.predict_proba(part) for part in rows.split(4096)]).reshape(many, length, -1)
    world.classifier.queries = before  # for the figures alone
    p = predictions.gather(2, targets[:, None, None].expand(-1, length, 1))[:, :, 0].numpy()
    good = p >= world.task.tau
    last = np.where(good[:, 1:].any(1), 1 + good[:, 1:].argmax(1), length - 1) if cut else np.full(many, length - 1)
    left = [shown[: end + 1] for shown, end in zip(frames, last, strict=True)]
    arrived = good[np.arange(many), last]
    ends = np.stack([shown[-1] for shown in left])
    flat = items.flatten(1).numpy()
    bank = reference.bank.reshape(len(reference.bank), -1)
    near = knn_distance_to_class(ends, targets.numpy(), bank, reference.bank_classes)
    worst = np.array([knn_distance(shown, bank).max() for shown in left])
    lengths = [step_lengths(shown) for shown in left]
    rising = np.array([rising_steps(p[i, : last[i] + 1]) for i in range(many)], dtype=float)

    oracles = oracles_of_split(split, cache)
    shown_ends = ends.reshape(many, *world.manifold.data_shape)

    def mean(values: np.ndarray) -> float:
        return float(values[arrived].mean()) if arrived.any() else float("nan")

    return {
        "validity": float(arrived.mean()),
        "validity_90": float((p[np.arange(many), last] >= 0.9).mean()),
        "validity_argmax": float((predictions.argmax(2).numpy()[np.arange(many), last] == targets.numpy()).mean()),
        "l2_input": mean(np.linalg.norm(ends - flat, axis=1)),
        "knn_ratio": mean(near) / reference.typical_distance(),
        "im1": mean(oracles.im1(shown_ends, sources, targets.numpy())),
        "oracle": mean((oracles.sees(shown_ends) == targets.numpy()).astype(float)),
        "worst_knn_ratio": mean(worst) / reference.typical_distance_any_class(),
        "rising_share": float(rising[arrived, 0].sum() / max(rising[arrived, 1].sum(), 1)),
        "straightness": mean(
            np.array([np.linalg.norm(s[-1] - s[0]) / max(a.sum(), 1e-12) for s, a in zip(left, lengths, strict=True)])
        ),
        "longest_step": float(max(a.max() for a in lengths)),
        "frames": float(np.median([len(s) for s in left])),
        "p_end": mean(p[np.arange(many), last]),
        "queries": float(2 + last.mean()),
        "arrived": arrived.tolist(),
    }, left
