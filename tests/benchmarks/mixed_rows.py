"""Are rows of walks plausible? Zero-inflated, skewed, exclusive and linked columns, modelled as such and as plain ones.

    python -m tests.benchmarks.mixed_rows                         # four tables, three seeds, the line
    python -m tests.benchmarks.mixed_rows --data german --seeds 0 # a quick look

For each table there are two worlds: one with the columns as they are noticed from the data, and one in which every column is a
plain number or category. Adult and German credit are read from $MANIFOLD_DATA; `shop` and `claims` are generated.
"""

from __future__ import annotations

import csv
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch

from agents.explain import explain
from agents.train import train
from envs.building.world import make_world
from envs.core.world import World
from envs.datasets import TableUnits, load_csv
from envs.modalities.columns import Column
from tests.benchmarks.harness.experiment import Experiment, Options, Record, one_of, render, whole_numbers
from tests.benchmarks.harness.runs import Run
from tests.benchmarks.harness.splits import adult_csv, data_folder
from tests.benchmarks.harness.tables import spread, table
from tests.benchmarks.harness.walks import SOURCES

PLAIN = {"zero_inflated": False, "scale": "linear", "exclusive_with": False}
MODELS = ("plain", "noticed")
WALKERS = ("line", "agent")


def german_csv(cache: Path) -> Path:
    """german.data with a first line of names, and the classes in words: a number as a target would be the name of a class."""
    source = data_folder("german/german.data") / "german" / "german.data"
    rows = [line.split() for line in source.read_text().splitlines() if line.strip()]
    rows = [[*row[:-1], {"1": "good", "2": "bad"}[row[-1]]] for row in rows]
    return _written(cache / "german.csv", [*(f"a{j + 1}" for j in range(20)), "target"], rows)


def shop_csv(cache: Path, rows: int = 4000) -> Path:
    """Customers: what they spent and what they were refunded (0 or log-normal, never both), their plan and its fee."""
    random = np.random.default_rng(0)
    plan = random.choice(5, rows, p=[0.3, 0.3, 0.2, 0.15, 0.05])
    age = random.integers(18, 80, rows)
    kind = random.random(rows)
    spent = np.where(kind < 0.25 + 0.04 * plan, np.exp(random.normal(4 + 0.3 * plan, 1, rows)), 0).round(2)
    refund = np.where(kind > 0.92, np.exp(random.normal(3, 0.5, rows)), 0).round(2)
    score = 0.03 * (age - 45) + 0.5 * plan + 0.6 * np.log1p(spent) - 0.8 * (refund > 0) + random.normal(0, 0.7, rows)
    fee, name = [5, 9, 14, 20, 49], ["basic", "home", "plus", "pro", "team"]
    table = zip(age, [name[k] for k in plan], [fee[k] for k in plan], spent, refund, np.where(score > 1.8, "stays", "leaves"),
                strict=True)  # fmt: skip
    return _written(cache / "shop.csv", ["age", "plan", "fee", "spent", "refund", "target"], table)


def claims_csv(cache: Path, rows: int = 3000) -> Path:
    """Insurance claims: log-normal amounts over four orders of magnitude, a zero-inflated deductible, a region."""
    random = np.random.default_rng(1)
    size = random.normal(0, 1, rows)
    amount = np.exp(7 + 1.5 * size + random.normal(0, 0.4, rows)).round(2)
    income = np.exp(10 + 0.6 * size + random.normal(0, 0.6, rows)).round(0)
    deductible = np.where(random.random(rows) < 0.4, np.exp(5 + 0.5 * size + random.normal(0, 0.3, rows)), 0).round(0)
    region = random.choice(["north", "south", "west"], rows)
    score = size + 0.5 * (region == "west") - 0.6 * (deductible > 0) + random.normal(0, 0.3, rows)
    return _written(
        cache / "claims.csv", ["amount", "income", "deductible", "region", "target"],
        zip(amount, income, deductible, region, np.where(score > 0, "high", "low"), strict=True),
    )  # fmt: skip


def _written(file: Path, names: list[str], rows: Any) -> Path:
    file.parent.mkdir(parents=True, exist_ok=True)
    with file.open("w", newline="") as stream:
        csv.writer(stream).writerows([names, *rows])
    return file


#: name -> (file, column of the classes, inputs that are explained)
DATA: dict[str, tuple[Callable[[Path], Path], str, int]] = {
    "adult": (adult_csv, "income", 2000),
    "german": (german_csv, "target", 300),
    "shop": (shop_csv, "target", 1000),
    "claims": (claims_csv, "target", 900),
}


def world_of(name: str, model: str, seed: int, cache: Path) -> tuple[World, tuple[Column, ...]]:
    """A world of a table, and its columns as they are noticed."""
    make, target, _ = DATA[name]
    file = str(make(cache))
    noticed = load_csv(file, target=target, seed=seed).table.columns
    plain = {c.name: {"linked_to": False, **(PLAIN if c.kind == "number" else {})} for c in noticed}
    columns = {"target": target, "columns": plain if model == "plain" else {}}
    return make_world(data=file, columns=columns, seed=seed), noticed


def measured(name: str, model: str, walker: str, seed: int, steps: int, cache: Path) -> dict[str, Any]:
    """One walker in one world: rates by class of the inputs, of real rows, of decoded rows and of ends."""
    world, noticed = world_of(name, model, seed, cache)
    held_out, most = world.held_out, DATA[name][2]
    predicted = (
        torch.cat([world.answers_held_out(part) for part in torch.arange(len(held_out.x)).split(4096)]).argmax(1).numpy()
    )
    assert held_out.cells is not None
    assert isinstance(world.units, TableUnits)
    real, rows = world.units.values(held_out.cells), list(range(min(most, len(predicted))))
    decoded = world.units.rows(world.manifold.decode(world.manifold.encode(held_out.x[rows])))
    found: dict[str, Any] = {"decoded": judged(decoded, real, noticed), "inputs": judged(real[rows], real, noticed)}
    found["real"] = [judged(real[predicted == k], real, noticed) for k in range(world.classes)]
    targets = (1 - predicted[rows]).tolist()
    known, label = world.units.rows(world.reference.x), world.reference.label
    near = [torch.cdist(held_out.x[rows][predicted[rows] != k], world.reference.x[label == k]).argmin(1).numpy()
            for k in range(world.classes)]  # fmt: skip
    found["nearest"] = [judged(known[label == k][near[k]], real, noticed) for k in range(world.classes)]
    source: Any = world
    if walker == "agent":
        folder = str(cache / f"mixed-{name}-{model}")
        source = train(world=world, algo="ppo", seed=seed, n_timesteps=steps, log_folder=folder, save_freq=0,
                       eval_episodes=0, pictures=False)  # fmt: skip
    paths = explain(source, rows, targets, "line" if walker == "line" else None, seed=seed, fallback=False, sparse=False)
    first, ends = (_rows_at(world, paths, place) for place in (0, -1))
    arrived = np.array([path.success for path in paths])
    found["validity"] = float(arrived.mean())
    found["frames 0 that are the input"] = float(np.mean([list(a) == list(b) for a, b in zip(first, real[rows], strict=True)]))
    found["ends"] = [judged(ends[arrived & (np.array(targets) == k)], real, noticed) for k in range(world.classes)]
    return found


def _rows_at(world: World, paths: list[Any], place: int) -> np.ndarray:
    """One frame of each path as a row in the user's values."""
    frames = np.stack([path.frames(world)[place] for path in paths])
    inputs = [path.index for path in paths]
    assert world.held_out.cells is not None
    factual = world.factual_of(world.held_out.x[inputs], cells=world.held_out.cells[inputs])
    return np.asarray(world.units.rows(torch.from_numpy(frames), factual))  # type: ignore[attr-defined]


def judged(rows: np.ndarray, real: np.ndarray, columns: tuple[Column, ...]) -> dict[str, Any]:
    """Of rows (B, C): their number, the share other than 0 of each zero-inflated column, and the shares that break a relation.

    Args:
        rows: in the user's values.
        real: (N, C) rows of the data.
        columns: as they are noticed.
    """
    at = {column.name: j for j, column in enumerate(columns)}
    there = {c.name: rows[:, at[c.name]].astype(float) != 0 for c in columns if c.zero_inflated}
    both = [there[c.name] & there[c.exclusive_with] for c in columns if c.exclusive_with]
    apart = []
    for column in columns:
        if column.linked_to:
            pair = at[column.linked_to], at[column.name]
            known = {tuple(map(str, row[list(pair)])) for row in real}
            apart.append(np.array([tuple(map(str, row[list(pair)])) not in known for row in rows], dtype=bool))
    return {
        "rows": len(rows),
        "not 0": {name: float(own.mean()) if len(own) else None for name, own in there.items()},
        "both": float(np.mean(np.any(both, axis=0))) if both and len(rows) else None,
        "apart": float(np.mean(np.any(apart, axis=0))) if apart and len(rows) else None,
    }


def gap(one: dict[str, Any], other: dict[str, Any]) -> float | None:
    """The largest difference between two rates of a zero-inflated column, in points."""
    both = [(one["not 0"][name], other["not 0"][name]) for name in one["not 0"]]
    found = [100 * abs(a - b) for a, b in both if a is not None and b is not None]
    return max(found, default=None)


def measure(options: Options) -> Iterator[Record]:
    """Every table with both models and every seed."""
    cells: dict[str, dict[str, list[dict[str, Any]]]] = {}
    sources = (*SOURCES, "tests/benchmarks/mixed_rows.py")
    for name in options.data:
        for model in MODELS:
            for walker in options.walkers:
                steps = options.steps if walker == "agent" else 0
                runs = [
                    Run({"mixed": name, "model": model, "walker": walker, "seed": seed, "steps": steps},
                        partial(measured, name, model, walker, seed, steps, options.cache), sources)
                    for seed in options.seeds
                ]  # fmt: skip
                cells.setdefault(name, {})[f"{model} {walker}"] = options.runner(runs, f"{name}, {model}, {walker}")
            yield {"seeds": options.seeds, "steps": options.steps, "cells": cells}


def _row(name: str, how: str, found: list[dict[str, Any]]) -> list[str]:
    def mean(value: Callable[[dict[str, Any]], float | None], digits: int = 3) -> str:
        return spread([value(cell) for cell in found], digits, False)

    def over_ends(cell: dict[str, Any], key: str) -> float | None:
        known = [(end["rows"], end[key]) for end in cell["ends"] if end[key] is not None]
        return sum(n * share for n, share in known) / sum(n for n, _ in known) if known else None

    ends = [[gap(cell["ends"][k], cell["real"][k]) for cell in found] for k in range(len(found[0]["real"]))]
    return [
        name, *how.split(), mean(lambda cell: cell["validity"]), mean(lambda cell: gap(cell["decoded"], cell["inputs"]), 1),
        " / ".join(spread(values, 1, False) for values in ends), mean(lambda cell: over_ends(cell, "both")),
        mean(lambda cell: over_ends(cell, "apart")),
    ]  # fmt: skip


def _rates(name: str, how: str, found: list[dict[str, Any]]) -> list[list[str]]:
    """Rates of each zero-inflated column by class."""
    return [
        [f"{name}, {column}, class {k}", *how.split(),
         *(spread([cell[part][k]["not 0"][column] for cell in found], 3, False) for part in ("real", "nearest", "ends"))]
        for column in found[0]["inputs"]["not 0"] for k in range(len(found[0]["real"]))
    ]  # fmt: skip


def page(record: Record) -> str:
    """Two tables."""
    titles = ["table", "columns", "walker", "found", "decoded, points", "ends by class, points", "both not 0", "no such pair"]
    cells = [(name, how, found) for name, kinds in record["cells"].items() for how, found in kinds.items()]
    agents = f" Agents are trained for {record['steps']:,} steps." if any("agent" in how for _, how, _ in cells) else ""
    return render(
        "mixed_rows",
        command=record["command"], seeds=len(record["seeds"]), agents=agents,
        table=table(titles, [_row(*cell) for cell in cells], "lllr"),
        rates=table(["table, column, class", "columns", "walker", "real rows", "nearest real row", "ends"],
                    [row for cell in cells for row in _rates(*cell)], "lllr"),
    )  # fmt: skip


EXPERIMENT = Experiment(
    "mixed_rows", __doc__, measure, page,
    flags={
        "--data": one_of(list(DATA)),
        "--seeds": whole_numbers(0, 1, 2),
        "--walkers": one_of(WALKERS, "line"),
        "--steps": {"type": int, "default": 20_000, "help": "training steps of an agent"},
    },
)  # fmt: skip

if __name__ == "__main__":
    EXPERIMENT.main()
