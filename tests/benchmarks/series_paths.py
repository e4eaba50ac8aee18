"""Walks through time series beside a native guide, the nearest series of another class and the latent line.

    python -m tests.benchmarks.series_paths                      # GunPoint, ItalyPowerDemand, ArrowHead, 3 seeds
    python -m tests.benchmarks.series_paths --seeds 0 --sets GunPoint

A small network of convolutions is fitted to each training set and explained on held-out series. The oracle is ROCKET, fitted
to the true classes of the same training set; its own accuracy on the held-out series is what its agreement with ends is
compared with. Data: $MANIFOLD_DATA, else shared/data beside the checkout.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from functools import partial
from statistics import fmean
from typing import Any

import numpy as np
import torch
from torch import Tensor

from agents.explain import explain
from agents.explanation.metrics.path import knn_distance_to_class
from envs import World, make_world
from envs.classifiers.networks import fit_classifier, series_classifier
from envs.datasets import DATASETS, Data
from tests.benchmarks.harness.experiment import Experiment, Options, Record, one_of, render, whole_numbers
from tests.benchmarks.harness.runs import Run
from tests.benchmarks.harness.splits import data_folder
from tests.benchmarks.harness.tables import reached, spread, table
from tests.benchmarks.series.rivals import Ends, native_guide, neighbours
from tests.benchmarks.series.rocket import Rocket

SETS = ("GunPoint", "ItalyPowerDemand", "ArrowHead")
OTHERS = ("OSULeaf", "oscillator")  # on which settings were chosen
WAYS = ("walk, few intervals", "line, all changes", "nearest of another class", "native guide")
TASKS = {"flips": None, "p >= 0.9": 0.9}  # what an end must reach -> tau
CHANGED = 0.1  # standard deviations of a point: a smaller change does not count
ROWS = 15_000  # that the explained network sees in its training, in all epochs
COLUMNS: dict[str, tuple[str, int]] = {
    "validity": ("validity", 3), "oracle": ("oracle agrees", 3), "changed": ("points changed", 3), "l2": ("L2", 2),
    "knn_ratio": ("kNN ratio", 3), "queries": ("queries", 1), "cpu": ("CPU ms an input", 1),
}  # fmt: skip


def data_of(name: str, seed: int) -> Data:
    """A set of the shared data, or one of this library."""
    if name in DATASETS:
        return DATASETS[name](seed=seed)
    file = data_folder(f"timeseries/{name}.npz") / "timeseries" / f"{name}.npz"
    with np.load(file) as found:
        x, y, held_out, truth = (found[part] for part in ("x_train", "y_train", "x_test", "y_test"))
    names, (x, held_out) = np.unique(y), (part[:, 0] for part in (x, held_out))
    classes = (np.searchsorted(names, part) for part in (y, truth))
    return Data(x, held_out, *classes, [f"class {n}" for n in names], modality="series")


def explained(data: Data, seed: int) -> torch.nn.Module:
    """A network of convolutions fitted to the training series with noise, as is usual for few series."""
    x, y = torch.from_numpy(data.x).float(), torch.from_numpy(np.asarray(data.truth))
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        module = series_classifier((1, x.shape[1]), int(y.max()) + 1)

    def loss(module: torch.nn.Module, rows: Tensor, classes: Tensor, generator: torch.Generator) -> Tensor:
        noisy = rows + 0.1 * torch.randn(rows.shape, generator=generator)
        return torch.nn.functional.cross_entropy(module(noisy), classes)

    return fit_classifier(
        module, x, y, epochs=ROWS // len(x), batch_size=16, learning_rate=2e-3, cosine=True, seed=seed, loss=loss
    )


def measured(name: str, seed: int, items: int) -> dict[str, Any]:
    """Figures of every way, by task and name, on one set."""
    data = data_of(name, seed)
    world = make_world(data=data, classifier=explained(data, seed), class_names=data.class_names, seed=seed, progress=False)
    oracle = Rocket(data.x, np.asarray(data.truth), seed)
    held_out, truth = np.asarray(data.held_out), np.asarray(data.held_out_truth)
    every = list(range(len(held_out)))
    found: dict[str, Any] = {
        "accuracy": float((world.answers_held_out(every).argmax(1).numpy() == truth).mean()),
        "oracle accuracy": float((oracle.predict(held_out) == truth).mean()),
    }
    rows = np.linspace(0, len(held_out) - 1, min(items, len(held_out))).round().astype(int).tolist()
    for told, tau in TASKS.items():
        asked = world if tau is None else world.replace(task="reach", tau=tau)
        found[told] = {way: one_way(asked, oracle, way, rows, tau) for way in WAYS}
    return found


def one_way(world: World, oracle: Rocket, way: str, rows: list[int], tau: float | None) -> dict[str, Any]:
    """Figures of one way for these held-out series."""
    began = time.process_time()
    if way == WAYS[2]:
        ends = neighbours(world, rows, tau)
    elif way == WAYS[3]:
        ends = native_guide(world, rows, tau)
    else:
        paths = explain(world, rows, walker="line", sparse=way == WAYS[0])
        last = torch.stack([torch.from_numpy(path.frames(world)[-1]) for path in paths])
        success, queries = (torch.tensor([getattr(path, name) for path in paths]) for name in ("success", "queries"))
        ends = Ends(last, success, queries)
    return figures(world, oracle, ends, rows) | {"cpu": 1000 * (time.process_time() - began) / len(rows)}


def figures(world: World, oracle: Rocket, ends: Ends, rows: list[int]) -> dict[str, Any]:
    """What ends are worth: over those that are valid, but for validity and queries."""
    units: Any = world.units
    x, reference, good = world.held_out.x[rows], world.reference, ends.success
    target = world.classifier.predict_proba(ends.x, units.exact(ends.x, None)).argmax(1)
    own = units.values(units.exact(ends.x, None)).astype(np.float64)
    agrees = oracle.predict(own) == target.numpy()
    bank, label = reference.x.numpy(), reference.label.numpy()
    near = knn_distance_to_class(ends.x.numpy(), target.numpy(), bank, label)[good.numpy()]
    seen = world.answers_held_out(list(range(len(world.held_out.x)))).argmax(1).numpy()
    typical = knn_distance_to_class(world.held_out.x.numpy(), seen, bank, label).mean()
    return {
        "validity": float(good.float().mean()), "oracle": float(agrees[good.numpy()].mean()),
        "changed": float(((ends.x - x).abs() > CHANGED * units.spread)[good].float().mean()),
        "l2": float((ends.x - x).norm(dim=1)[good].mean()), "knn_ratio": float(near.mean() / typical),
        "queries": float(ends.queries.float().mean()),
    }  # fmt: skip


def measure(options: Options) -> Iterator[Record]:
    """Every set with every seed."""
    found: dict[str, list[dict[str, Any]]] = {}
    sources = ("envs/**/*.py", "agents/walkers/**/*.py", "tests/benchmarks/series/*.py", "tests/benchmarks/series_paths.py")
    for name in options.sets:
        for seed in options.seeds:
            key = {"series": name, "seed": seed, "items": options.items}
            run = Run(key, partial(measured, name, seed, options.items), sources)
            found.setdefault(name, []).append(options.runner.one(run, f"{name}, seed {seed}"))
            yield {"seeds": options.seeds, "items": options.items, "found": found}


def page(record: Record) -> str:
    """One table for each set and task."""
    parts = []
    for name, runs in record["found"].items():
        own, other = (spread([run[key] for run in runs], 3, False) for key in ("accuracy", "oracle accuracy"))
        parts.append(f"## {name}\n\nHeld-out accuracy: of the explained network {own}, of the oracle {other}.")
        for task in TASKS:
            lines = [
                [way, *(spread([run[task][way][column] for run in runs], digits, False)
                        for column, (_, digits) in COLUMNS.items())]
                for way in WAYS
            ]  # fmt: skip
            parts.append(f"Until the decision {task}:" if TASKS[task] is None else f"Until {task}:")
            parts.append(table(["way", *(title for title, _ in COLUMNS.values())], lines))
    return render("series_paths", command=record["command"], items=record["items"], tables="\n\n".join(parts),
                  verdicts=verdicts(record["found"]))  # fmt: skip


def verdicts(found: dict[str, list[dict[str, Any]]]) -> str:
    """Which aims the walks reach, by set and task."""
    lines = []
    for name, runs in found.items():
        for task in TASKS:
            own, guide = ({key: fmean(run[task][way][key] for run in runs) for key in COLUMNS} for way in (WAYS[0], WAYS[3]))
            aims = (
                reached(own["validity"], ">=", 0.99),
                reached(own["oracle"], ">=", fmean(run["oracle accuracy"] for run in runs) - 0.03),
                reached(own["changed"], "<=", guide["changed"]),
                reached(own["knn_ratio"], "<=", guide["knn_ratio"]),
            )
            lines.append([name, task, *aims])
    return table(["set", "until", "validity", "oracle", "points changed", "kNN ratio"], lines, "ll")


EXPERIMENT = Experiment(
    "series_paths", __doc__, measure, page,
    flags={
        "--seeds": whole_numbers(0, 1, 2),
        "--items": {"type": int, "default": 60, "help": "held-out series of a set"},
        "--sets": one_of((*SETS, *OTHERS), *SETS),
    },
)  # fmt: skip

if __name__ == "__main__":
    EXPERIMENT.main()
