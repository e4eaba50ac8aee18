"""Paths on digits: the trained agent against every rival, side by side, on a frozen bed.

    python -m tests.benchmarks.digits_paths                      # 3 beds, 5 agents each, all rivals
    python -m tests.benchmarks.digits_paths --variants all       # and the ablation
    python -m tests.benchmarks.digits_paths --beds 0 --seeds 0   # a quick look

Finished cells are kept in --cache, so that an interrupted run goes on where it was. Writes
docs/results/digits_paths.json and .md. The bed stands in digits_bed.py, the rivals in digits_cells.py, the variants in
digits_variants.yml.
"""

from __future__ import annotations

import argparse
import platform
import shlex
import sys
from pathlib import Path
from statistics import fmean
from typing import Any

import yaml

from agents.cli import prepare_process
from tests.benchmarks.digits_cells import RIVALS, ROOT, agent_cell, recipe_of, rival_cell
from tests.benchmarks.results import as_json

VARIANTS = Path(__file__).with_name("digits_variants.yml")

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

#: What the issue asks for, over the agents of a bed (mean): column -> (at least or at most, value).
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


def value_of(cell: dict[str, Any], column: str) -> float:
    """A figure of a cell; `nan` where it is unknown."""
    found = cell["measures"][column]["value"] if column in cell["measures"] else cell[column]
    return float("nan") if found is None else float(found)


def summary(cells: list[dict[str, Any]]) -> dict[str, dict[str, float]]:
    """Mean and worst of every column over cells that differ in their seed."""
    out = {}
    for column, (_, _, worse) in COLUMNS.items():
        values = [value_of(cell, column) for cell in cells]
        out[column] = {"mean": fmean(values), "worst": max(values) if worse > 0 else min(values)}
    return out


def judged(found: dict[str, dict[str, float]], bound: float) -> dict[str, dict[str, Any]]:
    """Each aim with the mean and worst that stand against it, and whether the mean reaches it."""
    aims = {**REACH, "longest_step": ("<=", bound * (1 + 1e-5))}
    out = {}
    for column, (relation, aim) in aims.items():
        mean = found[column]["mean"]
        reached = mean >= aim if relation == ">=" else mean <= aim
        out[column] = {"aim": f"{relation} {aim:g}", **found[column], "reached": bool(reached)}
    return out


def markdown(beds: dict[str, Any], command: str) -> str:
    """The tables as a page."""
    lines = ["# Paths on digits: agent and rivals", ""]
    lines += [f"Made by `{command}`. Per agent: mean over its training seeds and, in brackets, the worst."]
    lines += ["Distances in the 64 pixels, over valid items; kNN ratio 1.0 is as typical as real"]
    lines += ["held-out digits. Rivals have the same finer last step and up to 100 steps; white-box ones are"]
    lines += ["marked.", ""]
    for seed, bed in beds.items():
        facts = ", ".join(f"{name.replace('_', ' ')} {value:.4f}" for name, value in bed["facts"].items())
        lines += [f"## Bed {seed}", "", facts, ""]
        lines += ["| walker | " + " | ".join(title for title, _, _ in COLUMNS.values()) + " |"]
        lines += ["|---|" + "---:|" * len(COLUMNS)]
        for name, row in bed["rows"].items():
            cells = [_text(row["summary"][c], digits, row["n"] > 1) for c, (_, digits, _) in COLUMNS.items()]
            lines.append(f"| {name} | " + " | ".join(cells) + " |")
        for name, row in bed["rows"].items():
            if "judged" in row:
                told = [f"{c} {_mark(v)} {v['aim']}" for c, v in row["judged"].items()]
                lines += ["", f"{name}, mean against the aims: " + "; ".join(told) + "."]
        lines.append("")
    return "\n".join(lines)


def _mark(judgement: dict[str, Any]) -> str:
    return f"{judgement['mean']:.4g} ({'reached' if judgement['reached'] else 'NOT reached'})"


def _text(found: dict[str, float], digits: int, several: bool) -> str:
    mean = f"{found['mean']:,.{digits}f}"
    return f"{mean} ({found['worst']:,.{digits}f})" if several else mean


def show(beds: dict[str, Any]) -> None:
    """The tables in the terminal, one walker a column."""
    from rich.console import Console
    from rich.table import Table

    console = Console(highlight=False)
    for seed, bed in beds.items():
        table = Table(title=f"bed {seed}", box=None, pad_edge=False)
        table.add_column("", no_wrap=True)
        for name in bed["rows"]:
            table.add_column(name, justify="right")
        for column, (title, digits, _) in COLUMNS.items():
            row = [_text(row["summary"][column], digits, row["n"] > 1) for row in bed["rows"].values()]
            table.add_row(title, *row)
        console.print(table)


def main() -> None:
    """The script."""
    variants = yaml.safe_load(VARIANTS.read_text())
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--beds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--seeds", type=int, nargs="*", default=[0, 1, 2, 3, 4], help="of the agents' trainings")
    parser.add_argument("--variants", nargs="+", default=["agent"], help=f"{', '.join(variants)}, or all")
    parser.add_argument("--rivals", nargs="*", default=list(RIVALS), choices=list(RIVALS), metavar="NAME")
    parser.add_argument("--cache", type=Path, default=ROOT / "runs" / "benchmark-cache")
    parser.add_argument("--out", type=Path, default=ROOT / "docs" / "results" / "digits_paths", metavar="STEM")
    parser.add_argument("--fresh", action="store_true", help="measure kept cells again")
    options = parser.parse_args()
    prepare_process()
    from tqdm import tqdm

    names = list(variants) if options.variants == ["all"] else options.variants
    for name in names:
        if name not in variants:
            parser.error(f"unknown variant {name!r}; {VARIANTS.name} has {', '.join(variants)}")
    recipes = {name: recipe_of(variants[name] or {}) for name in names}
    cells = [(bed, name, seed) for bed in options.beds for name in options.rivals for seed in (None,)]
    cells += [(bed, name, seed) for bed in options.beds for name in names for seed in options.seeds]
    found: dict[tuple[int, str], list[dict[str, Any]]] = {}
    with tqdm(cells, desc="cells", unit="cell", dynamic_ncols=True) as bar:
        for bed, name, seed in bar:
            bar.set_postfix_str(f"bed {bed}, {name}" + ("" if seed is None else f", seed {seed}"))
            if seed is None:
                cell = rival_cell(name, bed, options.cache, options.fresh)
            else:
                cell = agent_cell(recipes[name], bed, seed, options.cache, options.fresh)
            found.setdefault((bed, name), []).append(cell)
    beds: dict[str, Any] = {}
    for (bed, name), several in sorted(found.items(), key=lambda item: item[0][0]):
        facts = several[0]["bed"]
        row = {"n": len(several), "summary": summary(several), "cells": several}
        if name in recipes:
            row |= {"recipe": recipes[name], "judged": judged(row["summary"], facts["step_bound"])}
        beds.setdefault(str(bed), {"facts": facts, "rows": {}})["rows"][name] = row
    show(beds)
    command = shlex.join(["python", "-m", "tests.benchmarks.digits_paths", *sys.argv[1:]])
    page = {"command": command, "seeds": options.seeds, "python": platform.python_version(), "beds": beds}
    options.out.parent.mkdir(parents=True, exist_ok=True)
    options.out.with_suffix(".json").write_text(as_json(page))
    options.out.with_suffix(".md").write_text(markdown(beds, command))
    print(f"wrote {options.out}.json and .md")


if __name__ == "__main__":
    main()
