"""How long an explanation takes: 1,080 held-out tasks in one batch, and one alone, in CPU time.

    python -m tests.benchmarks.explain_speed                     # the example run that is shipped

540 held-out digits towards two random other classes each, by the trained agent with its last step planned (with the
ensemble check and without) and refined, and by the walkers without training. CPU time of this process, medians over repeats.
Other processes on a shared machine still affect it, through caches and shared cores, so the time of a fixed piece of work
(the yardstick) is given beside it.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np
import torch

from agents.evaluate import draw_targets
from agents.explanation.explain import choose_walker, explain
from agents.runs.run import load_run
from agents.walkers.planning.ensemble import Ensemble
from agents.walkers.policy import PolicyWalker
from tests.benchmarks.harness.experiment import Experiment, Options, Record, render
from tests.benchmarks.harness.runs import ROOT, cpu_seconds
from tests.benchmarks.harness.tables import reached, table

AIMS = {"batch": 0.15, "alone": 5.0}  # CPU-ms an explanation
WALKERS = ("line", "face", "spheres")


def yardstick() -> float:
    """CPU-ms of a fixed piece of work: 200 products of 256 x 256 matrices."""
    a = torch.ones(256, 256)
    return 1000 * cpu_seconds(lambda: [a @ a for _ in range(200)])[1]


def measured(run_path: Path, repeats: int, singles: int) -> dict[str, Any]:
    """Walker -> CPU-ms in the batch and alone (median and 95 %), and the validity."""
    run = load_run(run_path)
    rows = list(range(len(run.world.held_out.x)))
    targets = [*(draw_targets(run.world, rows, 0) or []), *(draw_targets(run.world, rows, 1) or [])]
    second = run.ensemble or Ensemble.fit(run.world)  # older runs have none: fitted as a training would
    walkers = {
        "agent, planned with the ensemble check": PolicyWalker(run.model, run.surrogate, retries=2, ensemble=second),
        "agent, last step planned": PolicyWalker(run.model, run.surrogate, retries=2),
        "agent, last step refined": PolicyWalker(run.model),
    }
    walkers |= {name: choose_walker(name, run) for name in WALKERS}
    found: dict[str, Any] = {"yardstick before": yardstick()}
    for name, walker in walkers.items():
        explain(run, rows[:20], targets[:20], walker)  # imports and graphs are not timed
        batch, alone, paths = [], [], []
        for _ in range(repeats):
            paths, seconds = cpu_seconds(lambda walker=walker: explain(run, rows * 2, targets, walker))
            batch.append(1000 * seconds / len(targets))
        for row in rows[:singles]:
            alone.append(1000 * cpu_seconds(lambda row=row, walker=walker: explain(run, row, targets[row], walker))[1])
        found[name] = {
            "batch": median(batch), "alone": median(alone), "alone 95 %": float(np.quantile(alone, 0.95)),
            "valid": sum(path.success for path in paths) / len(paths),
        }  # fmt: skip
    return {**found, "yardstick after": yardstick(), "load": os.getloadavg()[0]}


def measure(options: Options) -> Iterator[Record]:
    """All walkers on one run."""
    yield {"found": measured(options.run, options.repeats, options.singles)}


def page(record: Record) -> str:
    """One table, and the agent against the aims."""
    found = record["found"]
    rows = {name: row for name, row in found.items() if isinstance(row, dict)}
    titles = ["walker", "CPU-ms each, 1,080 in a batch", "CPU-ms alone, median", "95 %", "valid"]
    cells = [
        [name, f"{row['batch']:.3f}", f"{row['alone']:.2f}", f"{row['alone 95 %']:.2f}", f"{row['valid']:.4f}"]
        for name, row in rows.items()
    ]
    aims = [
        f"- {name}, {key}: {row[key]:.3f} CPU-ms, aim {aim:g}: {reached(row[key], '<=', aim)}."
        for name, row in rows.items() if name.startswith("agent") for key, aim in AIMS.items()
    ]  # fmt: skip
    return render(
        "explain_speed", command=record["command"], before=found["yardstick before"], after=found["yardstick after"],
        load=found["load"], table=table(titles, cells), aims="\n".join(aims),
    )  # fmt: skip


EXPERIMENT = Experiment(
    "explain_speed", __doc__, measure, page,
    flags={
        "--run": {"type": Path, "default": ROOT / "runs" / "example", "help": "a run on the digits"},
        "--repeats": {"type": int, "default": 5, "help": "of the batch"},
        "--singles": {"type": int, "default": 40, "help": "explained alone"},
    },
)  # fmt: skip

if __name__ == "__main__":
    EXPERIMENT.main()
