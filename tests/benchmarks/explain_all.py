"""Every way of explaining on every bed: trained agents, walkers, and alibi's CounterfactualRL in an environment of its own.

    python -m tests.benchmarks.explain_all --cfrl-environment DIR     # digits, MNIST and Adult, 3 beds
    python -m tests.benchmarks.explain_all --beds 0 --data digits     # a quick look, without CounterfactualRL

DIR holds (or gets, about 2 GB) a virtual environment with alibi 0.9.6; without the option its rows are left out. MNIST and
Adult are looked for in $MANIFOLD_DATA or shared/data beside the checkout. Finished cells are kept in --cache and shared with
digits_paths and adult_paths. The page is written after every bed, so that an interrupted run has told what it found. Writes
docs/results/explain_all.json and .md; the sentences under each table are computed (explain_verdict.py).
"""

from __future__ import annotations

import argparse
import platform
import shlex
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from agents.cli import prepare_process
from agents.files import write_whole
from envs.errors import ManifoldError
from tests.benchmarks.adult_paths import spread
from tests.benchmarks.digits_cells import RIVALS, ROOT, kept
from tests.benchmarks.explain_verdict import AGENT, TYPICAL, break_even, means, sentences
from tests.benchmarks.results import as_json

DATA = ("digits", "mnist", "adult")
COLUMNS: dict[str, tuple[str, int]] = {
    "validity": ("valid", 3),
    "validity_90": ("p >= 0.9", 3),
    "validity_argmax": ("in the class", 3),
    "l2_input": ("L2", 3),
    "changed_columns": ("columns changed", 2),
    "immutables_violated": ("frames that break what is held", 0),
    "knn_ratio": ("kNN ratio", 3),
    "worst_knn_ratio": ("worst frame", 3),
    "im1": ("IM1", 3),
    "oracle": ("oracle agrees", 3),
    "rising_share": ("rising", 3),
    "straightness": ("straight", 3),
    "frames": ("frames", 0),
    "queries": ("queries", 1),
    "training_queries": ("training queries", 0),
    "training_cpu_seconds": ("training CPU-s", 0),
    "cpu_ms": ("CPU-ms each", 2),
    "alone_p50_ms": ("alone, median", 1),
    "alone_p95_ms": ("alone, 95 %", 1),
    "items": ("items", 0),
}
PREFACE = """\
Mean over the beds (seeds) and, in brackets, least and largest. *Valid*: the stop rule is met. Distances over valid items, in
data space; kNN ratio 1.0 is as typical as real held-out data of the class, *worst frame* the same for the worst frame of a
path and any class. Two judges had no part in any search: *IM1* compares the reconstruction by an autoencoder of the target
class with that by one of the source class (less is better), *oracle* is another classifier of another kind. Queries are rows
asked of the classifier for one explanation, training queries those before the first; the last column but one says after how
many explanations the agent has asked fewer in all. CounterfactualRL (alibi 0.9.6) gives an end point and no path: its first
row is that jump, its second the decoded latent line to it, cut at the first frame that satisfies the task. FACE itself ends
at real data; here, as with every walker, its way is walked and decoded."""
NOTES = {
    "digits": "All 540 held-out digits a bed, towards a random other class, until p >= 0.9. CounterfactualRL aims at the "
    "label alone, and is judged at both.",
    "mnist": "The first 500 test images, towards a random other class, until p >= 0.9; dear searches and descents on the "
    "first 100 of them, as the last column says. One world for all beds: the seed draws targets and trains agents. "
    "CounterfactualRL's auto-encoder gets 10 epochs and a code of 64 numbers, as in its makers' example: with 16, as many as "
    "the VAE has, it reconstructs nothing, and no answer was valid.",
    "adult": "500 held-out people a bed, each towards the other income class, until the decision changes (p >= 0.5); figures "
    "of the nearest valid rows.",
}


def digits_rows(seed: int, options: argparse.Namespace) -> Iterator[tuple[str, dict[str, Any]]]:
    """(name, cell) of every way on a digits bed; cells are measured when they are asked for."""
    from tests.benchmarks.digits_bed import make_bed
    from tests.benchmarks.digits_cells import agent_cell, recipe_of, rival_cell

    for name in _named():
        found = _unless_refused(name, lambda name=name: rival_cell(name, seed, options.cache))
        if found is not None:
            yield name, _flat(found)
    yield AGENT, _flat(agent_cell(recipe_of({}), seed, seed, options.cache))
    yield TYPICAL, _flat(agent_cell(recipe_of({"walker": {"ends": "typical"}}), seed, seed, options.cache))
    yield from _cfrl("digits", lambda: make_bed(seed), seed, options)


def mnist_rows(seed: int, options: argparse.Namespace) -> Iterator[tuple[str, dict[str, Any]]]:
    """The same on MNIST."""
    from tests.benchmarks.mnist_cells import agent_cell, make_bed, rival_cell

    for name in _named():
        found = _unless_refused(name, lambda name=name: rival_cell(name, seed, options.cache))
        if found is not None:
            yield name, _flat(found)
    yield AGENT, _flat(agent_cell(seed, options.cache))
    yield TYPICAL, _flat(agent_cell(seed, options.cache, ends="typical"))
    yield from _cfrl("mnist", lambda: make_bed(seed), seed, options)


def adult_rows(seed: int, options: argparse.Namespace) -> Iterator[tuple[str, dict[str, Any]]]:
    """The same on Adult."""
    from agents.walkers import WALKERS
    from tests.benchmarks.adult_bed import make_bed
    from tests.benchmarks.adult_paths import agent_cell, rival_cell

    for name in WALKERS:
        found = None if name == "policy" else _unless_refused(name, lambda name=name: rival_cell(name, seed, options.cache))
        if found is not None:
            yield _titled(name), found
    yield AGENT, agent_cell(seed, options.cache, options.adult_steps)
    yield from _cfrl("adult", lambda: make_bed(seed, options.cache), seed, options)


ROWS = {"digits": digits_rows, "mnist": mnist_rows, "adult": adult_rows}


def front(name: str, seed: int, options: argparse.Namespace) -> list[dict[str, float]] | None:
    """The white-box front of a bed of pictures; None for a table, whose valid rows no gradient sees."""
    from tests.benchmarks import digits_bed, mnist_cells
    from tests.benchmarks.white_box_optimum import optima

    if name == "adult":
        return None

    def found() -> dict[str, Any]:
        bed = digits_bed.make_bed(seed) if name == "digits" else mnist_cells.make_bed(seed, mnist_cells.DEAR_ITEMS)
        return {"front": optima(bed.world, bed.x, bed.targets, bed.reference)}

    code = Path(__file__).with_name("white_box_optimum.py").read_text()
    return list(kept(options.cache, {"optimum": name, "bed": seed, "code": code}, found, False)["front"])


def _named() -> list[str]:
    """The rivals by their settings in the table, then every other walker by its name."""
    from agents.walkers import WALKERS

    named = {kind for kind, _ in RIVALS.values()} | {"policy"}
    return [*RIVALS, *(name for name in WALKERS if name not in named)]


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
    for sparsity in SETTINGS[name].sparsity:
        found = cfrl_cells(
            name, bed(), seed, sparsity, options.cfrl_steps, environment(options.cfrl_environment), options.cache
        )
        yield f"CounterfactualRL, sparsity {sparsity:g}", found["prediction"]
        yield f"CounterfactualRL, sparsity {sparsity:g}, latent line", found["line"]


def _flat(cell: dict[str, Any]) -> dict[str, Any]:
    """A cell of digits_cells with its measures as plain numbers."""
    return {**{name: value["value"] for name, value in cell["measures"].items()}, **cell}


def markdown(beds: dict[str, dict[str, Any]], command: str) -> str:
    """One table a data set, and what its figures say, as a page."""
    lines = ["# Every way of explaining, side by side", "", f"Made by `{command}`.", "", PREFACE, ""]
    for name, found in beds.items():
        rows = found["rows"]
        columns = [c for c in COLUMNS if any(c in cell for cells in rows.values() for cell in cells)]
        titles = [COLUMNS[c][0] for c in columns]
        agent = means(rows[AGENT]) if AGENT in rows else None
        lines += [f"## {name.upper() if name == 'mnist' else name.capitalize()}", "", NOTES[name], ""]
        lines += ["| way | " + " | ".join([*titles[:-1], "agent asks fewer in all", titles[-1]]) + " |"]
        lines += ["|---|" + "---:|" * (len(columns) + 1)]
        for way, cells in rows.items():
            told = [_told([cell.get(c) for cell in cells], COLUMNS[c][1]) for c in columns]
            fewer = "–" if agent is None or way in (AGENT, TYPICAL) else break_even(agent, means(cells))
            lines.append(f"| {way} | " + " | ".join([*told[:-1], fewer, told[-1]]) + " |")
        lines += ["", *(f"- {sentence}" for sentence in sentences(rows, found["fronts"])), ""]
    return "\n".join(lines)


def _told(values: list[Any], digits: int) -> str:
    known = [float(v) for v in values if v is not None and v == v]
    return spread(known, digits) if known else "–"


def main() -> None:
    """The script."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", nargs="+", default=list(DATA), choices=list(DATA))
    parser.add_argument("--beds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--mnist-beds", type=int, nargs="+", help="beds of MNIST, whose cells are dear (default: as --beds)")
    parser.add_argument("--adult-steps", type=int, default=290_000, help="training steps of an agent on Adult")
    parser.add_argument("--cfrl-environment", type=Path, metavar="DIR", help="folder of alibi's virtual environment")
    parser.add_argument("--cfrl-steps", type=int, default=5000, help="training steps of CounterfactualRL, 100 rows each")
    parser.add_argument("--cache", type=Path, default=ROOT / "runs" / "benchmark-cache")
    parser.add_argument("--out", type=Path, default=ROOT / "docs" / "results" / "explain_all", metavar="STEM")
    options = parser.parse_args()
    prepare_process()
    told = ["--data", *options.data, "--beds", *map(str, options.beds)]  # without the folders of this machine
    told += ["--mnist-beds", *map(str, options.mnist_beds)] if options.mnist_beds else []
    told += ["--cfrl-environment", "DIR", "--cfrl-steps", str(options.cfrl_steps)] if options.cfrl_environment else []
    command = shlex.join(["python", "-m", "tests.benchmarks.explain_all", *told])
    beds: dict[str, dict[str, Any]] = {}
    for name in options.data:
        for seed in (options.mnist_beds or options.beds) if name == "mnist" else options.beds:
            found = beds.setdefault(name, {"rows": {}, "fronts": []})
            for way, cell in ROWS[name](seed, options):
                print(f"{name}, bed {seed}: {way}", file=sys.stderr, flush=True)
                found["rows"].setdefault(way, []).append(cell)
            if (optimum := front(name, seed, options)) is not None:
                found["fronts"].append(optimum)
            page = {"command": command, "seeds": options.beds, "python": platform.python_version(), "beds": beds}
            options.out.parent.mkdir(parents=True, exist_ok=True)
            write_whole(options.out.with_suffix(".json"), as_json(page))
            write_whole(options.out.with_suffix(".md"), markdown(beds, command))
    print(markdown(beds, command))


if __name__ == "__main__":
    main()
