"""Which latent space explains digits best: the same agent and the same line walker on each manifold, side by side.

    python -m tests.benchmarks.digits_manifolds                          # 3 beds, every manifold
    python -m tests.benchmarks.digits_manifolds --beds 0 --manifolds pca # a quick look, into another --out
    python -m tests.benchmarks.digits_manifolds --manifolds umap umap_knn --keep   # these anew, the others as they stand

Every manifold is fitted to the bed's 1,257 digits. The agent has the same number of training steps on each, and the settings
that `agents.train` chooses there if nothing is asked: the same on all but the maps, whose ways are long (`envs.core.horizon`). Bed,
targets, stop rule, step bound and measures are those of digits_paths.py. The classifier is the bed's own on every manifold but
`joint_own`, whose own head is explained: its targets and class distance differ too. Finished cells are kept in --cache. Writes
docs/results/digits_manifolds.json and .md.
"""

from __future__ import annotations

import argparse
import json
import platform
import shlex
import sys
from pathlib import Path
from statistics import fmean
from typing import Any

from agents.cli import prepare_process
from tests.benchmarks.digits_cells import ROOT, agent_cell, rival_cell, shipped_recipe
from tests.benchmarks.digits_paths import COLUMNS, value_of
from tests.benchmarks.results import as_json

#: name -> what it is, in the table's words
MANIFOLDS = {
    "vae": "VAE, 8-d",
    "joint": "joint VAE + classifier, 8-d",
    "joint_own": "joint, its own head explained",
    "embedding": "classifier's embedding, 8-d (white box)",
    "pca": "PCA, 8-d",
    "gan": "GAN, 32-d, entered by inversion",
    "umap": "UMAP, 2-d, network decoder",
    "umap_knn": "UMAP, 2-d, kNN decoder",
}
WALKERS = ("agent", "line")
SHOWN = (
    "validity", "l2_input", "knn_ratio", "worst_knn_ratio", "queries", "rising_share", "frames", "training_queries",
    "training_cpu_seconds",
)  # fmt: skip
FACTS = {"class_kept": "class kept", "reconstruction_mse": "reconstruction MSE", "accuracy": "classifier accuracy"}


def spread(values: list[float], digits: int) -> str:
    """Mean, and smallest to largest where there are several; of those that are known, a dash where none is."""
    values = [value for value in values if value == value]
    if not values:
        return "–"
    text = f"{fmean(values):,.{digits}f}"
    return text if len(values) == 1 else f"{text} ({min(values):,.{digits}f} to {max(values):,.{digits}f})"


def rows_of(cells: dict[str, dict[str, list[dict[str, Any]]]]) -> list[list[str]]:
    """The table's rows: manifold, walker, number of beds, the shown columns."""
    rows = []
    for walker in WALKERS:
        for name, title in MANIFOLDS.items():
            found = cells.get(name, {}).get(walker, [])
            if found:
                figures = [spread([value_of(cell, c) for cell in found], COLUMNS[c][1]) for c in SHOWN]
                rows.append([title, walker, str(len(found)), *figures])
    return rows


def facts_of(cells: dict[str, dict[str, list[dict[str, Any]]]]) -> list[list[str]]:
    """What each manifold keeps of held-out digits, before any walk."""
    rows = []
    for name, title in MANIFOLDS.items():
        facts = [cell["bed"] for cell in max(cells.get(name, {"": []}).values(), key=len)]
        if facts:
            rows.append([title, *(spread([bed[fact] for bed in facts], 4) for fact in FACTS)])
    return rows


def markdown(cells: dict[str, dict[str, list[dict[str, Any]]]], made: dict[str, str]) -> str:
    """The page; `made` tells the command behind the rows of each manifold."""
    lines = ["# Digits: which latent space explains best", "", *made_by(made)]
    lines += ["Mean over the beds (splits, manifolds and trainings of one seed each; how many, the table says) and range."]
    lines += ["540 held-out digits a bed, towards a random other class, until p >= 0.9. L2 is to the input, in the 64"]
    lines += ["pixels, over valid items. The classifier is the same in every row of a bed but that of the joint model's own"]
    lines += ["head, whose figures stand for themselves. The embedding is read from the classifier's inner layer, so it is"]
    lines += ["a white-box row.", ""]
    lines += _table(["manifold", "walker", "beds", *(COLUMNS[c][0] for c in SHOWN)], rows_of(cells), 2)
    lines += ["", "What decode(encode(x)) keeps of held-out digits:", ""]
    lines += _table(["manifold", *FACTS.values()], facts_of(cells), 1)
    return "\n".join(lines) + "\n"


def made_by(made: dict[str, str]) -> list[str]:
    """A line for each command, with the rows that it made where there are several."""
    commands = list(dict.fromkeys(made.values()))
    if len(commands) == 1:
        return [f"Made by `{commands[0]}`."]
    rows = {command: "; ".join(MANIFOLDS[name] for name in made if made[name] == command) for command in commands}
    return [f"Rows of {rows[command]}: made by `{command}`.\n" for command in commands]


def standing(file: Path) -> dict[str, Any]:
    """What `cells` and `made` hold in a results file, empty if there is none."""
    if not file.is_file():
        return {"cells": {}, "made": {}}
    page = json.loads(file.read_text())
    return {"cells": page["cells"], "made": page.get("made") or dict.fromkeys(page["cells"], page.get("command", ""))}


def _table(titles: list[str], rows: list[list[str]], names: int) -> list[str]:
    rule = "|" + "---|" * names + "---:|" * (len(titles) - names)
    return ["| " + " | ".join(titles) + " |", rule, *("| " + " | ".join(row) + " |" for row in rows)]


def show(cells: dict[str, dict[str, list[dict[str, Any]]]]) -> None:
    """The table in the terminal."""
    from rich.console import Console
    from rich.table import Table

    table = Table("manifold", "walker", "beds", *(COLUMNS[c][0] for c in SHOWN), box=None, pad_edge=False)
    for row in rows_of(cells):
        table.add_row(*row)
    Console(highlight=False).print(table)


def main() -> None:
    """The script."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--beds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--manifolds", nargs="+", default=list(MANIFOLDS), choices=list(MANIFOLDS), metavar="NAME")
    parser.add_argument("--walkers", nargs="+", default=["line", "agent"], choices=WALKERS)
    parser.add_argument("--cache", type=Path, default=ROOT / "runs" / "benchmark-cache")
    parser.add_argument("--out", type=Path, default=ROOT / "docs" / "results" / "digits_manifolds", metavar="STEM")
    parser.add_argument("--keep", action="store_true", help="leave the rows of other manifolds in --out as they stand")
    options = parser.parse_args()
    prepare_process()
    from tqdm import tqdm

    recipe = shipped_recipe()
    command = shlex.join(["python", "-m", "tests.benchmarks.digits_manifolds", *sys.argv[1:]])
    kept = standing(options.out.with_suffix(".json")) if options.keep else {"cells": {}, "made": {}}
    cells: dict[str, dict[str, list[dict[str, Any]]]]
    cells = {**kept["cells"], **{name: {walker: [] for walker in WALKERS} for name in options.manifolds}}
    made = {**kept["made"], **dict.fromkeys(options.manifolds, command)}
    for walker in options.walkers:
        for bed in options.beds:
            for name in tqdm(options.manifolds, desc=f"{walker}, bed {bed}"):
                if walker == "line":
                    cell = rival_cell("line", bed, options.cache, manifold=name)
                else:
                    cell = agent_cell(recipe, bed, bed, options.cache, manifold=name)
                cells[name][walker].append({**cell, "bed_seed": bed})
            # After every bed: what is done already can be read.
            page = {"made": made, "python": platform.python_version(), "recipe": recipe, "cells": cells}
            options.out.parent.mkdir(parents=True, exist_ok=True)
            options.out.with_suffix(".json").write_text(as_json(page))
            options.out.with_suffix(".md").write_text(markdown(cells, made))
    show(cells)
    print(f"wrote {options.out}.json and .md")


if __name__ == "__main__":
    main()
