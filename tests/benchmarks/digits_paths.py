"""Paths on digits: the trained agent beside every rival, on the same splits.

    python -m tests.benchmarks.digits_paths                      # 3 splits, 5 agents each, all rivals
    python -m tests.benchmarks.digits_paths --variants all       # and the ablation
    python -m tests.benchmarks.digits_paths --splits 0 --seeds 0 # a quick look

The splits are `harness.splits.digits_split`, the rivals stand in harness/walks.py, the variants in digits_variants.yml.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from pathlib import Path
from statistics import fmean
from typing import Any

import yaml

from agents.walkers import make_walker
from tests.benchmarks.harness.experiment import Experiment, Options, Record, one_of, render, whole_numbers
from tests.benchmarks.harness.runs import Run
from tests.benchmarks.harness.splits import digits_split
from tests.benchmarks.harness.tables import DASH, known, reached, table
from tests.benchmarks.harness.walks import (
    MOST_STEPS,
    RIVALS,
    SOURCES,
    agent_walker,
    measured,
    recipe_of,
    trained_by,
    training_cost,
    value_of,
)

VARIANTS = yaml.safe_load(Path(__file__).with_name("digits_variants.yml").read_text())
#: column -> (title, digits, which end is worse: +1 more, -1 less, 0 neither)
COLUMNS: dict[str, tuple[str, int, int]] = {
    "validity": ("valid at p >= 0.9", 4, -1),
    "l2_input": ("L2", 3, 1),
    "knn_ratio": ("kNN ratio", 3, 1),
    "worst_knn_ratio": ("worst frame", 3, 1),
    "queries": ("queries", 2, 1),
    "rising_share": ("rising", 4, -1),
    "straightness": ("straight", 3, -1),
    "frames": ("frames", 0, 0),
    "longest_step": ("longest step", 3, 1),
    "p_end": ("p at end", 3, 0),
    "training_queries": ("training queries", 0, 1),
    "training_cpu_seconds": ("training CPU-s", 1, 1),
    "cpu_ms": ("CPU-ms each", 2, 1),
}
#: aims for the mean over the agents of a split
REACH = {
    "validity": (">=", 0.999),
    "l2_input": ("<=", 1.95),
    "knn_ratio": ("<=", 1.03),
    "queries": ("<=", 10.0),
    "training_queries": ("<=", 300_000),
    "training_cpu_seconds": ("<=", 40.0),
    "rising_share": (">=", 0.999),
    "frames": (">=", 5.0),
}


# ---- run --------------------------------------------------------------------------------------------------------------


def rival_run(name: str, split_seed: int, cache: Path, manifold: str = "vae") -> Run:
    """A rival on a split, or on another manifold of it."""
    kind, settings = RIVALS.get(name, (name, {}))
    key = {"rival": name, "settings": settings, "split": split_seed, "steps": MOST_STEPS, "manifold": manifold}
    return Run(key, partial(_rival, kind, settings, split_seed, manifold, cache), SOURCES)


def agent_run(recipe: dict[str, Any], split_seed: int, seed: int, cache: Path, manifold: str = "vae") -> Run:
    """An agent of a recipe, trained from a seed on a split, or on another manifold of it."""
    key = {"recipe": recipe, "split": split_seed, "seed": seed, "manifold": manifold}
    return Run(key, partial(_agent, recipe, split_seed, seed, manifold, cache), SOURCES)


def _rival(kind: str, settings: dict[str, Any], split_seed: int, manifold: str, cache: Path) -> dict[str, Any]:
    split = digits_split(split_seed, manifold)
    return measured(split, split.world, make_walker(kind, **settings), MOST_STEPS, cache=cache)


def _agent(recipe: dict[str, Any], split_seed: int, seed: int, manifold: str, cache: Path) -> dict[str, Any]:
    split = digits_split(split_seed, manifold, **recipe["env_kwargs"])
    run = trained_by(recipe, split, seed, cache, {"split": split_seed, "manifold": manifold})
    found = measured(split, run, agent_walker(run, **recipe["walker"]), None, seed, cache)
    return {**found, **training_cost(run)}


def measure(options: Options) -> Iterator[Record]:
    """Every rival, and every variant from every seed, on every split."""
    names = list(VARIANTS) if options.variants == ["all"] else options.variants
    recipes = {name: recipe_of(VARIANTS[name] or {}) for name in names}
    splits: dict[str, Any] = {}
    for seed in options.splits:
        runs = {name: [rival_run(name, seed, options.cache)] for name in options.rivals}
        runs |= {name: [agent_run(recipe, seed, s, options.cache) for s in options.seeds] for name, recipe in recipes.items()}
        found = options.runner.rows(options.runner, [(own, f"split {seed}, {name}") for name, own in runs.items() if own])
        rows: dict[str, Any] = {}
        for name, cells in zip((name for name, own in runs.items() if own), found, strict=True):
            rows[name] = {"n": len(cells), "summary": summary(cells), "cells": cells}
            if name in recipes:
                bound = cells[0]["split"]["step_bound"]
                rows[name] |= {"recipe": recipes[name], "judged": against_aims(rows[name]["summary"], bound)}
        splits[str(seed)] = {"facts": next(iter(rows.values()))["cells"][0]["split"], "rows": rows}
        yield {"seeds": options.seeds, "splits": splits}


def summary(cells: list[dict[str, Any]]) -> dict[str, dict[str, float | None]]:
    """Mean and worst of every column over runs that differ in their seed."""
    out: dict[str, dict[str, float | None]] = {}
    for column, (_, _, worse) in COLUMNS.items():
        values = known(value_of(cell, column) for cell in cells)
        whole = len(values) == len(cells)
        worst = (max(values) if worse > 0 else min(values)) if whole else None
        out[column] = {"mean": fmean(values) if whole else None, "worst": worst}
    return out


def against_aims(found: dict[str, dict[str, Any]], bound: float) -> dict[str, dict[str, Any]]:
    """Each aim with the mean and worst that stand against it, and whether the mean reaches it."""
    out = {}
    for column, (relation, aim) in {**REACH, "longest_step": ("<=", bound * (1 + 1e-5))}.items():
        mean = found[column]["mean"]
        good = mean is not None and reached(mean, relation, aim) == "reached"
        out[column] = {"aim": f"{relation} {aim:g}", **found[column], "reached": good}
    return out


# ---- analyse ----------------------------------------------------------------------------------------------------------


def page(record: Record) -> str:
    """A table a split."""
    sections = []
    for seed, split in record["splits"].items():
        facts = ", ".join(f"{name.replace('_', ' ')} {value:.4f}" for name, value in split["facts"].items())
        cells = [
            [name, *(_text(row["summary"][c], digits, row["n"] > 1) for c, (_, digits, _) in COLUMNS.items())]
            for name, row in split["rows"].items()
        ]
        sections += [f"## Split {seed}", "", facts, "", table(["walker", *(title for title, _, _ in COLUMNS.values())], cells)]
        for name, row in split["rows"].items():
            if "judged" in row:
                parts = [f"{c} {_mark(v)} {v['aim']}" for c, v in row["judged"].items()]
                sections += ["", f"{name}, mean against the aims: " + "; ".join(parts) + "."]
        sections.append("")
    return render("digits_paths", command=record["command"], sections="\n".join(sections).rstrip())


def _mark(found: dict[str, Any]) -> str:
    return f"{found['mean']:.4g} ({'reached' if found['reached'] else 'NOT reached'})"


def _text(found: dict[str, float | None], digits: int, several: bool) -> str:
    if found["mean"] is None:
        return DASH
    mean = f"{found['mean']:,.{digits}f}"
    return f"{mean} ({found['worst']:,.{digits}f})" if several else mean


EXPERIMENT = Experiment(
    "digits_paths", __doc__, measure, page,
    files=("digits_paths", "digits_ablation", "digits_recipes", "digits_recipes_tuning"),
    flags={
        "--splits": whole_numbers(0, 1, 2),
        "--seeds": whole_numbers(0, 1, 2, 3, 4, nargs="*", help="of the agents' trainings"),
        "--variants": one_of(["all", *VARIANTS], "agent", help=f"{', '.join(VARIANTS)}, or all"),
        "--rivals": one_of(list(RIVALS), nargs="*"),
    },
)  # fmt: skip

if __name__ == "__main__":
    EXPERIMENT.main()
