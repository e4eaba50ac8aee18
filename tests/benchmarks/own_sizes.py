"""Data of unusual size or kind: does everything work, and how long does it take?

    python -m tests.benchmarks.own_sizes                       # every case, a short training each
    python -m tests.benchmarks.own_sizes --cases "100 classes"  # one, beside those that were measured before

Cases whose package is missing (lightgbm, xgboost, skl2onnx, polars) are skipped by name.
"""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from statistics import fmean
from typing import Any
from unittest.mock import patch

from tests.benchmarks.harness.experiment import Experiment, Options, Record, one_of, render, whole_numbers
from tests.benchmarks.harness.runs import Run, cpu_seconds
from tests.benchmarks.harness.tables import DASH, known, table
from tests.benchmarks.own.cases import Case
from tests.benchmarks.own.measured import agreement, flips, measured, out_of_reach, share
from tests.benchmarks.own.sizes import CASES
from tests.benchmarks.own_data import SOURCES

STEPS, ITEMS = 2048, 20
TITLES = (
    "case", "agreement", "found: with fall-back, line", "flips of the true row", "queries per path", "building, CPU-s",
    f"training of {STEPS:,} steps, CPU-s", "explaining, CPU-ms per row",
)  # fmt: skip


def figures(name: str, seed: int) -> dict[str, Any]:
    """The figures of a case, by its name: another process can call it. No fit comes from the cache."""
    with patch.dict(os.environ, {"MANIFOLD_CACHE": ""}):
        return measured(CASES[name], seed, STEPS, ITEMS, _figures)


def _figures(case: Case, seed: int, steps: int | None, items: int) -> dict[str, Any]:
    from agents.explain import explain
    from agents.explainer import Explainer
    from agents.train import train
    from envs.building.world import make_world

    world, building = cpu_seconds(lambda: make_world(**case.settings, seed=seed, progress=False))
    rows = list(range(min(items, len(world.held_out.x))))
    with tempfile.TemporaryDirectory() as folder:
        settings = {"n_timesteps": steps, "seed": seed, "progress": False, "pictures": False, "eval_episodes": items}
        run, training = cpu_seconds(lambda: train(world=world, log_folder=folder, **settings))
        paths, seconds = cpu_seconds(lambda: explain(run, rows=rows))
        page = Explainer(run).report(Path(folder) / "report.html", paths[:4])
        size = page.stat().st_size
    far = out_of_reach(world, paths)
    return {
        **agreement(world, case), **flips(world, case, paths, far), "found": share(paths, far), "report_bytes": size,
        "line_found": share(explain(world, rows=rows, walker="line"), far), "queries": fmean(path.queries for path in paths),
        "build_seconds": building, "train_seconds": training, "explain_ms": 1000 * seconds / len(rows),
    }  # fmt: skip


def measure(options: Options) -> Iterator[Record]:
    """Every case with every seed; cases that are not asked for keep what was measured before."""
    found: dict[str, list[dict[str, Any]]] = dict(options.before.get("cases", {}))
    for name in options.cases:
        key = {"own_sizes": name, "seeds": options.seeds}
        found[name] = options.runner(
            [Run({**key, "seed": seed}, partial(figures, name, seed), SOURCES, "own-sizes") for seed in options.seeds], name
        )
        yield {"seeds": options.seeds, "cases": {name: found[name] for name in CASES if name in found}}


def page(record: Record) -> str:
    """One table."""
    cases = record["cases"]
    told = {
        "refused": [f"{name} ({runs[0]['refused']})" for name, runs in cases.items() if "refused" in runs[0]],
        "broken": [name for name, runs in cases.items() if any("traceback" in run for run in runs)],
        "missing": [name for name in CASES if name not in cases],
        "skipped": [f"{name} ({runs[0]['skipped']})" for name, runs in cases.items() if "skipped" in runs[0]],
        "changed": [
            f"{runs[0]['columns_changed']:.1f} ({name})"
            for name, runs in cases.items()
            if name.endswith("columns") and "columns_changed" in runs[0]
        ],
    }
    rows = [[name, *cells_of(runs)] for name, runs in cases.items() if any("found" in run for run in runs)]
    return render(
        "own_sizes", steps=f"{STEPS:,}", items=ITEMS, seeds=", ".join(map(str, record["seeds"])), table=table(TITLES, rows),
        **{name: ", ".join(names) or "none" for name, names in told.items()},
    )  # fmt: skip


def cells_of(runs: list[dict[str, Any]]) -> list[str]:
    """A line of the table."""

    def of(name: str, digits: int) -> str:
        values = known(run.get(name) for run in runs)
        return f"{fmean(values):,.{digits}f}" if values else DASH

    return [
        of("agreement", 3), f"{of('found', 2)}, {of('line_found', 2)}", of("flips", 2), of("queries", 1),
        of("build_seconds", 1), of("train_seconds", 1), of("explain_ms", 0),
    ]  # fmt: skip


EXPERIMENT = Experiment(
    "own_sizes", __doc__, measure, page, flags={"--seeds": whole_numbers(0), "--cases": one_of(list(CASES))}
)

if __name__ == "__main__":
    EXPERIMENT.main()
