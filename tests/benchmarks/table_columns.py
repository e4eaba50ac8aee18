"""How many columns must change? Walks through tables beside real rows of the other class.

    python -m tests.benchmarks.table_columns                  # Adult and German credit, 3 splits
    python -m tests.benchmarks.table_columns --splits 0 --items 200
    python -m tests.benchmarks.table_columns --dice-environment DIR    # DiCE beside the line; added to the page

Four ways to change a decision: the line with few columns (the default of `agents.explain`), the line with all of its changes,
the nearest row of the other class, and that row with columns put back one by one while the decision holds. On Adult, race, sex
and native country are held, age only rises; "no capital" also holds capital gain and loss. German credit (two classifiers, a
forest and a network) is walked without constraints. Data: $MANIFOLD_DATA, else shared/data beside the checkout.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from agents.constraints import constrained
from agents.explain import explain
from agents.explanation.metrics.path import knn_distance_to_class
from envs import World, make_world
from envs.core.factual import differs
from tests.benchmarks.harness.experiment import Experiment, Options, Record, render, whole_numbers
from tests.benchmarks.harness.runs import Run
from tests.benchmarks.harness.splits import adult_split, data_folder
from tests.benchmarks.harness.tables import spread, table
from tests.benchmarks.harness.walks import SOURCES
from tests.benchmarks.own import dice

TABLES = ("adult", "adult, no capital", "german, forest", "german, network")
WAYS = ("line, few columns", "line, all changes", "nearest unlike row", "the same, columns put back")
COLUMNS: dict[str, tuple[str, int]] = {
    "changed": ("decision changed", 3), "columns": ("columns changed", 2), "queries": ("queries", 1),
    "within_20": ("changed within 20 queries", 3), "l2": ("L2", 2), "knn_ratio": ("kNN ratio", 3),
    "inside": ("changed numbers in the class's 5 to 95 %", 3), "top_column": ("most frequent single column", 0),
    "top_share": ("its share of decisions", 2),
}  # fmt: skip
HELD = ("race", "sex", "native-country")  # on Adult
DICE_ROWS = 50
GERMAN = ("status", "duration", "history", "purpose", "amount", "savings", "employment", "rate", "personal", "debtors",
          "residence", "property", "age", "plans", "housing", "credits", "job", "liable", "telephone", "foreign")  # fmt: skip


def german_world(kind: str, seed: int) -> World:
    """German credit, 70/30, stratified; a forest or a network on one-hot columns, and a table VAE."""
    import pandas
    from sklearn.compose import make_column_transformer
    from sklearn.ensemble import RandomForestClassifier
    from sklearn.model_selection import train_test_split
    from sklearn.neural_network import MLPClassifier
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import OneHotEncoder, StandardScaler

    file = data_folder("german/german.data") / "german" / "german.data"
    frame = pandas.read_csv(file, sep=r"\s+", names=[*GERMAN, "class"])
    truth = frame.pop("class").to_numpy()
    fit, rest, classes, _ = train_test_split(frame, truth, test_size=0.3, stratify=truth, random_state=seed)
    words = [name for name in frame if not pandas.api.types.is_numeric_dtype(frame[name])]
    numbers = [name for name in frame if name not in words]
    columns = make_column_transformer(
        (OneHotEncoder(handle_unknown="ignore", sparse_output=False), words), (StandardScaler(), numbers)
    )
    models = {
        "forest": RandomForestClassifier(100, min_samples_leaf=3, random_state=seed),
        "network": MLPClassifier((64, 64), alpha=1.0, max_iter=100, random_state=seed),
    }
    model = make_pipeline(columns, models[kind]).fit(fit, classes)
    rows = {"data": fit.reset_index(drop=True), "held_out": rest.reset_index(drop=True)}
    return make_world(**rows, classifier=model, class_names=["good", "bad"], seed=seed, progress=False)


def world_of(name: str, seed: int, cache: Path) -> World:
    """The world of a name in `TABLES`."""
    if name.startswith("german"):
        return german_world(name.partition(", ")[2], seed)
    world = adult_split(seed, cache).world
    free = [column for column in world.units.columns if not column.startswith("capital")]
    return constrained(world, free) if name.endswith("capital") else world


def measured(name: str, seed: int, items: int, cache: Path) -> dict[str, Any]:
    """Figures of every way, by name, on one table and split."""
    world = world_of(name, seed, cache)
    rows = list(range(min(items, len(world.held_out.x))))
    found: dict[str, Any] = {}
    for way, sparse in zip(WAYS, (True, False), strict=False):
        paths = explain(world, rows, walker="line", sparse=sparse)
        ends = torch.cat([torch.from_numpy(path.frames(world)[-1:]) for path in paths])
        home = [path.factual(world) for path in paths]
        cells = torch.cat([world.units.exact(end[None], one) for end, one in zip(ends, home, strict=True)])  # type: ignore[misc]
        success = torch.tensor([path.success for path in paths])
        found[way] = figures(world, rows, ends, cells, success, torch.tensor([path.queries for path in paths]))
    for way, back in zip(WAYS[2:], (False, True), strict=True):
        found[way] = figures(world, rows, *unlike_rows(world, rows, back))
    return found


def unlike_rows(world: World, rows: list[int], back: bool) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Nearest reference rows of another class, as encoded rows, cells, success and queries; what is held may differ, and then
    the row counts as none. `back`: columns are put back, the smallest change first, while the decision holds."""
    reference, units = world.reference, world.units
    x, own = world.held_out.x[rows], world.held_out.cells[rows]  # type: ignore[index]
    source = world.answers_held_out(rows).argmax(1)
    gaps = torch.cdist(x, reference.x).masked_fill_(source[:, None] == reference.label[None], torch.inf)
    for i in range(len(rows)):  # rows that agree in what is held
        kept = units.hold(reference.x.clone(), x[i])
        gaps[i] = gaps[i].masked_fill((kept - reference.x).abs().amax(1) > 1e-5, torch.inf)
    near = gaps.min(1)
    cells, success = reference.cells[near.indices].clone(), torch.isfinite(near.values)
    queries = torch.ones(len(rows), dtype=torch.int64)
    if back:
        for i in torch.nonzero(success).flatten().tolist():
            size = (x[i] - reference.x[near.indices[i]]).abs()
            order = torch.zeros(cells.shape[1]).index_add_(0, units.column_of, size).argsort()  # type: ignore[attr-defined]
            for j in order.tolist():
                if not bool(differs(cells[i, j], own[i, j])):
                    continue
                tried = cells[i].clone()
                tried[j] = own[i, j]
                queries[i] += 1
                one = world.classifier.predict_proba(units.encode(tried[None]), tried[None])  # type: ignore[attr-defined]
                if int(one.argmax()) != int(source[i]):
                    cells[i] = tried
    return units.encode(cells), cells, success, queries  # type: ignore[attr-defined]


def figures(world: World, rows: list[int], ends: Tensor, cells: Tensor, success: Tensor, queries: Tensor) -> dict[str, Any]:
    """What ends are worth; distances over those that changed the decision."""
    x, own, reference = world.held_out.x[rows], world.held_out.cells[rows], world.reference  # type: ignore[index]
    names, every = world.units.columns, list(range(len(world.held_out.x)))
    target = torch.where(success, world.classifier.predict_proba(world.units.encode(cells), cells).argmax(1), 0)  # type: ignore[attr-defined]
    changed = differs(cells, own)[success]
    bank, label = reference.x.numpy(), reference.label.numpy()
    near = knn_distance_to_class(ends.numpy(), target.numpy(), bank, label)[success.numpy()]
    seen = world.answers_held_out(every).argmax(1)
    typical = knn_distance_to_class(world.held_out.x.numpy(), seen.numpy(), bank, label).mean()
    inside, moved = 0, 0
    for j in range(len(names)):
        if not hasattr(world.units.kept[j], "usual"):  # type: ignore[attr-defined]
            for k in target.unique().tolist():
                one = success & (target == k) & differs(cells[:, j], own[:, j])
                low, high = np.nanpercentile(reference.cells[reference.label == k, j].numpy(), [5, 95])
                inside += int(((cells[one, j] >= low) & (cells[one, j] <= high)).sum())
                moved += int(one.sum())
    alone = changed[changed.sum(1) == 1].sum(0)
    return {
        "changed": float(success.float().mean()), "columns": float(changed.sum(1).float().mean()),
        "queries": float(queries.float().mean()), "within_20": float((success & (queries <= 20)).float().mean()),
        "l2": float((ends - x).norm(dim=1)[success].mean()), "knn_ratio": float(near.mean() / typical),
        "inside": inside / moved if moved else None,
        "top_column": names[int(alone.argmax())] if len(alone) and int(alone.max()) else "none",
        "top_share": float(alone.max()) / max(int(success.sum()), 1),
    }  # fmt: skip


def measure(options: Options) -> Iterator[Record]:
    """Every table on every split."""
    if options.dice_environment is not None:
        found_by = dice.figures(options.dice_environment, 0, ["Adult"], DICE_ROWS, HELD, ("fnlwgt", "education-num"))
        yield {**options.before, "dice": found_by, "dice_command": options.command}
        return
    before = {part: options.before[part] for part in ("dice", "dice_command") if part in options.before}
    found: dict[str, list[dict[str, Any]]] = {}
    for seed in options.splits:
        for name in options.tables:
            key = {"columns": name, "split": seed, "items": options.items}
            run = Run(
                key, partial(measured, name, seed, options.items, options.cache), (*SOURCES, "agents/walkers/sparse/*.py")
            )
            found.setdefault(name, []).append(options.runner.one(run, f"{name}, split {seed}"))
            yield {"splits": options.splits, "items": options.items, "found": found, **before}


def page(record: Record) -> str:
    """One table for each data set."""
    parts = []
    for name, runs in record["found"].items():
        lines = [
            [way, *(_cell([run[way][column] for run in runs], digits) for column, (_, digits) in COLUMNS.items())]
            for way in WAYS
        ]
        some = f" ({len(runs)} of {len(record['splits'])} splits)" if len(runs) < len(record["splits"]) else ""
        parts += [f"## {name.capitalize()}{some}", table(["way", *(title for title, _ in COLUMNS.values())], lines)]
    if "dice" in record:
        fields = {"command": record["dice_command"], "rows": record["dice"]["rows"], "table": dice.rows_of(record["dice"])}
        parts.append(render("table_columns_dice", **fields))
    return render("table_columns", command=record["command"], items=record["items"], tables="\n\n".join(parts))


def _cell(values: list[Any], digits: int) -> str:
    words = [value for value in values if isinstance(value, str)]
    return ", ".join(dict.fromkeys(words)) if words else spread(values, digits, False)


EXPERIMENT = Experiment(
    "table_columns", __doc__, measure, page,
    flags={
        "--splits": whole_numbers(0, 1, 2),
        "--items": {"type": int, "default": 200, "help": "held-out rows of a split"},
        "--dice-environment": {"metavar": "DIR", "help": "measure DiCE alone, by bin/python of this virtual environment"},
        "--tables": {"nargs": "+", "default": list(TABLES), "choices": TABLES, "metavar": "NAME"},
    },
)  # fmt: skip

if __name__ == "__main__":
    EXPERIMENT.main()
