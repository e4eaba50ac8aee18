"""Every way of explaining on every bed: trained agents, walkers, and alibi's CounterfactualRL in an environment of its own.

    python -m tests.benchmarks.explain_all --cfrl-environment DIR     # digits and Adult, 3 beds
    python -m tests.benchmarks.explain_all --beds 0                   # a quick look, without CounterfactualRL

DIR holds (or gets, about 2 GB) a virtual environment with alibi 0.9.6; without the option its rows are left out. Adult is
looked for in $MANIFOLD_DATA or shared/data beside the checkout. Finished cells are kept in --cache and shared with
digits_paths and adult_paths. Writes docs/results/explain_all.json and .md.
"""

from __future__ import annotations

import argparse
import json
import platform
import shlex
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from agents.cli import prepare_process
from envs.errors import ManifoldError
from tests.benchmarks.adult_paths import spread
from tests.benchmarks.digits_cells import RIVALS, ROOT

COLUMNS: dict[str, tuple[str, int]] = {
    "validity": ("valid", 3),
    "validity_argmax": ("decision changed", 3),
    "l2_input": ("L2", 3),
    "changed_columns": ("columns changed", 2),
    "immutables_violated": ("frames that break what is held", 0),
    "knn_ratio": ("kNN ratio", 3),
    "worst_knn_ratio": ("worst frame", 3),
    "rising_share": ("rising", 3),
    "straightness": ("straight", 3),
    "frames": ("frames", 0),
    "queries": ("queries", 1),
    "training_queries": ("training queries", 0),
    "training_cpu_seconds": ("training CPU-s", 0),
    "cpu_ms": ("CPU-ms each", 2),
}
PREFACE = """\
Mean over the beds (seeds) and, in brackets, least and largest. Distances over valid items, in data space; kNN ratio 1.0 is
as typical as real held-out data of the class, `worst frame` the same for the worst frame of a path and any class. Queries
are rows asked of the classifier for one explanation. CounterfactualRL (alibi 0.9.6) gives an end point and no path: its
first row is that jump, its second the decoded latent line to it, cut at the first frame that satisfies the task."""
NOTES = {
    "digits": "All 540 held-out digits a bed, towards a random other class, until p >= 0.9. CounterfactualRL aims at the "
    "label alone, and is judged at both.",
    "adult": "500 held-out people a bed, each towards the other income class, until the decision changes (p >= 0.5); figures "
    "of the nearest valid rows.",
}


def digits_rows(seed: int, options: argparse.Namespace) -> Iterator[tuple[str, dict[str, Any]]]:
    """(name, cell) of every way on a digits bed; cells are measured when they are asked for."""
    from agents.walkers import WALKERS
    from tests.benchmarks.digits_bed import make_bed
    from tests.benchmarks.digits_cells import agent_cell, recipe_of, rival_cell

    named = {kind for kind, _ in RIVALS.values()} | {"policy"}
    for name in [*RIVALS, *(name for name in WALKERS if name not in named)]:
        found = _unless_refused(name, lambda name=name: rival_cell(name, seed, options.cache))
        if found is not None:
            yield name, _flat(found)
    yield "agent", _flat(agent_cell(recipe_of({}), seed, seed, options.cache))
    yield from _cfrl("digits", lambda: make_bed(seed), seed, options)


def adult_rows(seed: int, options: argparse.Namespace) -> Iterator[tuple[str, dict[str, Any]]]:
    """The same on Adult."""
    from agents.walkers import WALKERS
    from tests.benchmarks.adult_bed import make_bed
    from tests.benchmarks.adult_paths import agent_cell, rival_cell

    for name in WALKERS:
        found = None if name == "policy" else _unless_refused(name, lambda name=name: rival_cell(name, seed, options.cache))
        if found is not None:
            yield _titled(name), found
    yield "agent", agent_cell(seed, options.cache, options.adult_steps)
    yield from _cfrl("adult", lambda: make_bed(seed, options.cache), seed, options)


def _unless_refused(name: str, measure: Callable[[], dict[str, Any]]) -> dict[str, Any] | None:
    """A cell; None, with the reason on stderr, where a walker says that it cannot walk in this world."""
    try:
        return measure()
    except ManifoldError as error:
        print(f"left out: {name}: {error}", file=sys.stderr)
        return None


def _titled(name: str) -> str:
    """Walkers that ask the classifier for gradients say so."""
    from agents.walkers import make_walker

    return f"{name.replace('_', ' ')} (white box)" if make_walker(name).white_box else name


def _cfrl(name: str, bed: Any, seed: int, options: argparse.Namespace) -> Iterator[tuple[str, dict[str, Any]]]:
    from tests.benchmarks.cfrl_cells import SETTINGS, cfrl_cells, environment

    if options.cfrl_environment is None:
        return
    for sparsity in SETTINGS[name][0]:
        found = cfrl_cells(
            name, bed(), seed, sparsity, options.cfrl_steps, environment(options.cfrl_environment), options.cache
        )
        yield f"CounterfactualRL, sparsity {sparsity:g}", found["answer"]
        yield f"CounterfactualRL, sparsity {sparsity:g}, latent line", found["line"]


def _flat(cell: dict[str, Any]) -> dict[str, Any]:
    """A cell of digits_cells with its measures as plain numbers."""
    return {**{name: value["value"] for name, value in cell["measures"].items()}, **cell}


def markdown(beds: dict[str, dict[str, list[dict[str, Any]]]], command: str) -> str:
    """One table a bed as a page."""
    lines = ["# Every way of explaining, side by side", "", f"Made by `{command}`.", "", PREFACE, ""]
    for name, rows in beds.items():
        columns = [c for c in COLUMNS if any(c in cell for cells in rows.values() for cell in cells)]
        lines += [f"## {name.capitalize()}", "", NOTES[name], ""]
        lines += ["| way | " + " | ".join(COLUMNS[c][0] for c in columns) + " |", "|---|" + "---:|" * len(columns)]
        for way, cells in rows.items():
            told = [_told([cell.get(c) for cell in cells], COLUMNS[c][1]) for c in columns]
            lines.append(f"| {way} | " + " | ".join(told) + " |")
        lines.append("")
    return "\n".join(lines)


def _told(values: list[Any], digits: int) -> str:
    known = [float(v) for v in values if v is not None and v == v]
    return spread(known, digits) if known else "–"


def main() -> None:
    """The script."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", nargs="+", default=["digits", "adult"], choices=["digits", "adult"])
    parser.add_argument("--beds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--adult-steps", type=int, default=290_000, help="training steps of an agent on Adult")
    parser.add_argument("--cfrl-environment", type=Path, metavar="DIR", help="folder of alibi's virtual environment")
    parser.add_argument("--cfrl-steps", type=int, default=5000, help="training steps of CounterfactualRL, 100 rows each")
    parser.add_argument("--cache", type=Path, default=ROOT / "runs" / "benchmark-cache")
    parser.add_argument("--out", type=Path, default=ROOT / "docs" / "results" / "explain_all", metavar="STEM")
    options = parser.parse_args()
    prepare_process()
    beds: dict[str, dict[str, list[dict[str, Any]]]] = {}
    for seed in options.beds:
        for name in options.data:
            for way, cell in (digits_rows if name == "digits" else adult_rows)(seed, options):
                print(f"{name}, bed {seed}: {way}", file=sys.stderr, flush=True)
                beds.setdefault(name, {}).setdefault(way, []).append(cell)
    told = ["--data", *options.data, "--beds", *map(str, options.beds)]  # without the folders of this machine
    told += ["--cfrl-environment", "DIR"] if options.cfrl_environment else []
    command = shlex.join(["python", "-m", "tests.benchmarks.explain_all", *told])
    text = markdown(beds, command)
    print(text)
    page = {"command": command, "seeds": options.beds, "python": platform.python_version(), "beds": beds}
    options.out.parent.mkdir(parents=True, exist_ok=True)
    options.out.with_suffix(".json").write_text(json.dumps(page, indent=1) + "\n")
    options.out.with_suffix(".md").write_text(text)


if __name__ == "__main__":
    main()
