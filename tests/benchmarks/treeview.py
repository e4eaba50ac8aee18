"""TreeView's fidelity on digits: how often does the surrogate tree agree with the network?

    python -m tests.benchmarks.treeview               # 3 splits, 3 seeds of the view each

Splits 3 to 5 of `harness.splits.digits_split`, because the view's design was chosen on 0 to 2: views with several numbers
of factors, 5 clusters each, at most 84 leaves. Fidelity is agreement with the network on the 540 held-out digits, which no
part of the view has seen, and on all frames of 150 paths of the line walker, which cross a boundary. `points between` also
fits to two decoded points between neighbouring codes for each start; `as published` is k-means on the activations and
random forests on the inputs (the algorithm of the paper as it is written).
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from statistics import fmean
from typing import Any

import numpy as np
from sklearn.cluster import KMeans
from sklearn.ensemble import RandomForestClassifier
from sklearn.tree import DecisionTreeClassifier

from agents.explain import explain
from agents.explanation.local.treeview import TREES, TreeView, hidden_features, treeview_of
from tests.benchmarks.harness.experiment import Experiment, Options, Record, render, whole_numbers
from tests.benchmarks.harness.runs import Run
from tests.benchmarks.harness.splits import digits_split
from tests.benchmarks.harness.tables import plus_minus, reached, table
from tests.benchmarks.harness.walks import MOST_STEPS, SOURCES

FACTORS = (1, 3, 5, 7)
CLUSTERS, LEAVES, DEPTHS, WALKED = 5, 84, 10, 150
AIM_FIDELITY, AIM_LEAVES = 0.93, 84
COLUMNS = {"held out": 3, "frames of paths": 3, "first frames": 3, "last frames": 3, "leaves": 0, "depth": 1}
DEFAULT = "K = 5"


# ---- run --------------------------------------------------------------------------------------------------------------


def measured(split_seed: int, seeds: int) -> dict[str, list[dict[str, Any]]]:
    """View -> one dict of figures a seed, on one split."""
    split = digits_split(split_seed)
    world = split.world
    paths = explain(world, list(range(WALKED)), split.targets[:WALKED].tolist(), "line", max_steps=MOST_STEPS)
    views = {f"K = {factors}": partial(treeview_of, world, factors=factors) for factors in FACTORS}
    views[f"{DEFAULT}, points between"] = partial(treeview_of, world, between=2)
    views[f"{DEFAULT}, as published"] = partial(
        published, world.reference.x.numpy(), *hidden_features(world, world.reference.x)
    )
    labels = hidden_features(world, split.x)[1].argmax(1)
    found: dict[str, list[dict[str, Any]]] = {}
    for name, fit in views.items():
        found[name] = [_figures(fit(seed=seed), world, split.x.numpy(), labels, paths) for seed in range(seeds)]
    return found


def published(x: np.ndarray, features: np.ndarray, log_p: np.ndarray, *, seed: int, factors: int = 5) -> Any:
    """TreeView as the paper describes it: k-means on feature columns, on each factor's activations, and random forests."""
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


def _figures(view: Any, world: Any, x: np.ndarray, labels: np.ndarray, paths: list[Any]) -> dict[str, Any]:
    frames = np.concatenate([path.frames(world) for path in paths])
    seen = np.concatenate([path.predicted for path in paths])
    same = view.predict(frames) == seen
    last = np.cumsum([len(path.z) for path in paths]) - 1
    routes = view.routes(x)
    left = np.array([[nodes[min(d, len(nodes) - 1)].alive.sum() for d in range(DEPTHS)] for nodes in routes.nodes])
    return {
        "held out": view.fidelity(x, labels), "frames of paths": float(same.mean()),
        "first frames": float(same[np.concatenate([[0], last[:-1] + 1])].mean()), "last frames": float(same[last].mean()),
        "leaves": view.leaves, "depth": fmean(len(nodes) - 1 for nodes in routes.nodes), "classes left": left.mean(0).tolist(),
    }  # fmt: skip


def measure(options: Options) -> Iterator[Record]:
    """Every view on every split."""
    sources = (*SOURCES, "agents/explanation/treeview*.py", "tests/benchmarks/treeview.py")
    about = {"treeview": [*FACTORS, CLUSTERS, LEAVES, WALKED], "seeds": options.seeds}
    runs = [Run({**about, "split": s}, partial(measured, s, options.seeds), sources) for s in options.splits]
    yield {"splits": dict(zip(map(str, options.splits), options.runner(runs, "splits"), strict=True))}


# ---- analyse ----------------------------------------------------------------------------------------------------------


def page(record: Record) -> str:
    """Fidelity, the aims at the default, and the classes left at each depth."""
    splits = list(record["splits"].values())
    views = {name: [cell for split in splits for cell in split[name]] for name in splits[0]}
    fidelity, leaves = fmean(c["held out"] for c in views[DEFAULT]), max(c["leaves"] for c in views[DEFAULT])
    return render(
        "treeview",
        command=record["command"], splits=len(splits), seeds=len(views[DEFAULT]) // len(splits), default=DEFAULT,
        table=table(["view", *COLUMNS], [
            [name, *(_text([cell[column] for cell in cells], digits) for column, digits in COLUMNS.items())]
            for name, cells in views.items()
        ]),
        fidelity=f">= {AIM_FIDELITY}: {fidelity:.3f}, {reached(fidelity, '>=', AIM_FIDELITY)}",
        leaves=f"<= {AIM_LEAVES}: {leaves}, {reached(leaves, '<=', AIM_LEAVES)}",
        depths=table(["view", *map(str, range(DEPTHS))], [
            [name, *(f"{fmean(cell['classes left'][d] for cell in cells):.1f}" for d in range(DEPTHS))]
            for name, cells in views.items()
        ]),
    )  # fmt: skip


def _text(values: list[float], digits: int) -> str:
    if digits == 3 and len(values) > 1:
        return f"{plus_minus(values, 3)} ({min(values):.3f})"
    return f"{fmean(values):.{digits}f}"


EXPERIMENT = Experiment(
    "treeview", __doc__, measure, page,
    flags={"--splits": whole_numbers(3, 4, 5), "--seeds": {"type": int, "default": 3, "help": "of the view"}},
)  # fmt: skip

if __name__ == "__main__":
    EXPERIMENT.main()
