"""TreeView's fidelity on digits: how often the surrogate tree says what the network says.

    python -m tests.benchmarks.treeview               # 3 beds, 3 seeds of the view each

On frozen beds (digits_bed.py; 3 to 5, for the view's design was chosen on 0 to 2): views with several numbers of factors,
5 clusters each, at most 84 leaves. Fidelity is agreement with the network on the 540 held-out digits, which no part of the
view has seen, and on all frames of 150 paths of the line walker, which cross a boundary. `points between` fits to
two decoded points between neighbouring codes a start besides; `as published` is k-means on the activations and random forests
on the inputs (the algorithm of the paper as it is told).

Writes docs/results/treeview.json and .md, with the share of classes left at each depth.
"""

from __future__ import annotations

import argparse
import platform
import shlex
import sys
from functools import partial
from pathlib import Path
from statistics import fmean, stdev
from typing import Any

import numpy as np

from agents.cli import prepare_process
from agents.files import write_whole
from tests.benchmarks.digits_cells import ROOT, kept
from tests.benchmarks.results import as_json

FACTORS = (1, 3, 5, 7)
CLUSTERS, LEAVES, DEPTHS, WALKED = 5, 84, 10, 150
AIM_FIDELITY, AIM_LEAVES = 0.93, 84
COLUMNS = {"held out": 3, "frames of paths": 3, "first frames": 3, "last frames": 3, "leaves": 0, "depth": 1}
DEFAULT = "K = 5"


def measured(bed_seed: int, seeds: int) -> dict[str, list[dict[str, Any]]]:
    """view -> one dict of figures a seed, on one bed."""
    from agents.explain import explain
    from agents.explanation.local.treeview import hidden_features, treeview_of
    from tests.benchmarks.digits_bed import make_bed

    bed = make_bed(bed_seed)
    world = bed.world
    paths = explain(world, list(range(WALKED)), bed.targets[:WALKED].tolist(), "line", max_steps=100)
    views = {f"K = {factors}": partial(treeview_of, world, factors=factors) for factors in FACTORS}
    views[f"{DEFAULT}, points between"] = partial(treeview_of, world, between=2)
    views[f"{DEFAULT}, as published"] = partial(published, world.reference.x.numpy(), *hidden_features(world, world.reference.x))
    predictions = hidden_features(world, bed.x)[1].argmax(1)
    found: dict[str, list[dict[str, Any]]] = {}
    for name, fit in views.items():
        found[name] = [_figures(fit(seed=seed), world, bed.x.numpy(), predictions, paths) for seed in range(seeds)]
    return found


def published(x: np.ndarray, features: np.ndarray, log_p: np.ndarray, *, seed: int, factors: int = 5) -> Any:
    """TreeView as the paper tells it: k-means on feature columns, on each factor's activations, and random forests."""
    from sklearn.cluster import KMeans
    from sklearn.ensemble import RandomForestClassifier
    from sklearn.tree import DecisionTreeClassifier

    from agents.explanation.local.treeview import TREES, TreeView

    columns = ((features - features.mean(0)) / (features.std(0) + 1e-6)).T
    group = KMeans(factors, n_init=10, random_state=seed).fit_predict(columns)
    groups, forests, meta = [], [], []
    for factor in range(factors):
        own = np.nonzero(group == factor)[0]
        cluster = KMeans(CLUSTERS, n_init=10, random_state=seed).fit_predict(features[:, own])
        groups.append(own)
        forests.append(RandomForestClassifier(TREES, random_state=seed).fit(x.reshape(len(x), -1), cluster))
        meta.append(np.eye(CLUSTERS, dtype=np.float32)[cluster])
    tree = DecisionTreeClassifier(max_leaf_nodes=LEAVES, random_state=seed)
    tree.fit(np.concatenate(meta, axis=1), log_p.argmax(1))
    return TreeView(groups, forests, tree, log_p.shape[1], CLUSTERS)


def _figures(view: Any, world: Any, x: np.ndarray, predictions: np.ndarray, paths: list[Any]) -> dict[str, Any]:
    frames = np.concatenate([path.frames(world) for path in paths])
    seen = np.concatenate([path.predicted for path in paths])
    same = view.predict(frames) == seen
    last = np.cumsum([len(path.z) for path in paths]) - 1
    routes = view.routes(x)
    left = np.array([[nodes[min(d, len(nodes) - 1)].alive.sum() for d in range(DEPTHS)] for nodes in routes.nodes])
    return {
        "held out": view.fidelity(x, predictions), "frames of paths": float(same.mean()),
        "first frames": float(same[np.concatenate([[0], last[:-1] + 1])].mean()), "last frames": float(same[last].mean()),
        "leaves": view.leaves, "depth": fmean(len(nodes) - 1 for nodes in routes.nodes), "classes left": left.mean(0).tolist(),
    }  # fmt: skip


def markdown(beds: dict[str, Any], command: str) -> str:
    """The tables as a page."""
    cells = {name: [cell for bed in beds.values() for cell in bed[name]] for name in next(iter(beds.values()))}
    lines = ["# TreeView: fidelity of the surrogate tree", "", f"Made by `{command}`: mean and standard deviation over"]
    lines += [f"{len(beds)} bed(s) and {len(cells[DEFAULT]) // len(beds)} seeds of the view; the least in brackets.", ""]
    lines += ["| view | " + " | ".join(COLUMNS) + " |", "|---|" + "---:|" * len(COLUMNS)]
    for name, several in cells.items():
        told = []
        for column, digits in COLUMNS.items():
            values = [cell[column] for cell in several]
            text = f"{fmean(values):.{digits}f}"
            if digits == 3 and len(values) > 1:
                text += f" ± {stdev(values):.3f} ({min(values):.3f})"
            told.append(text)
        lines.append(f"| {name} | " + " | ".join(told) + " |")
    fidelity, leaves = fmean(c["held out"] for c in cells[DEFAULT]), max(c["leaves"] for c in cells[DEFAULT])
    faithful = "reached" if fidelity >= AIM_FIDELITY else "NOT reached"
    small = "reached" if leaves <= AIM_LEAVES else "NOT reached"
    lines += ["", f"Aims at {DEFAULT}: fidelity >= {AIM_FIDELITY}: {fidelity:.3f}, {faithful};"]
    lines += [f"leaves <= {AIM_LEAVES}: {leaves}, {small}."]
    lines += ["", "## Classes left at each depth, held-out digits", ""]
    lines += ["| view | " + " | ".join(map(str, range(DEPTHS))) + " |", "|---|" + "---:|" * DEPTHS]
    for name, several in cells.items():
        told = [f"{fmean(cell['classes left'][d] for cell in several):.1f}" for d in range(DEPTHS)]
        lines.append(f"| {name} | " + " | ".join(told) + " |")
    return "\n".join([*lines, ""])


def main() -> None:
    """The script."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--beds", type=int, nargs="+", default=[3, 4, 5])
    parser.add_argument("--seeds", type=int, default=3, help="of the view")
    parser.add_argument("--cache", type=Path, default=ROOT / "runs" / "benchmark-cache", help="where finished beds are kept")
    parser.add_argument("--fresh", action="store_true", help="measure every bed again")
    parser.add_argument("--out", type=Path, default=ROOT / "docs" / "results" / "treeview", help="without ending")
    options = parser.parse_args()
    prepare_process()
    about = {"treeview": [*FACTORS, CLUSTERS, LEAVES, WALKED], "seeds": options.seeds}
    beds = {}
    for bed in options.beds:
        beds[str(bed)] = kept(options.cache, {**about, "bed": bed}, partial(measured, bed, options.seeds), options.fresh)
    command = shlex.join(["python", "-m", "tests.benchmarks.treeview", *sys.argv[1:]])
    page = markdown(beds, command)
    print(page)
    told = {"command": command, "python": platform.python_version(), "beds": beds}
    write_whole(options.out.with_suffix(".json"), as_json(told))
    write_whole(options.out.with_suffix(".md"), page)


if __name__ == "__main__":
    main()
