"""How long an explanation takes: 1,080 held-out tasks in one batch, and one alone, in CPU time.

    python -m tests.benchmarks.explain_speed                     # the example run that is shipped

540 held-out digits towards two random other classes each, by the trained agent with its last step planned (with second
opinions and without) and refined, and by the walkers without training. CPU time of this process, medians over repeats; what
others do on a shared machine still shows in it, through caches and shared cores, so the time of a fixed piece of work (the
yardstick: 200 products of 256 x 256 matrices) stands beside it.

Writes docs/results/explain_speed.json and .md.
"""

from __future__ import annotations

import argparse
import os
import platform
import shlex
import sys
import time
from pathlib import Path
from statistics import median
from typing import Any

from agents.cli import prepare_process
from agents.files import write_whole
from tests.benchmarks.digits_cells import ROOT
from tests.benchmarks.results import as_json

AIM_BATCH, AIM_ALONE = 0.15, 5.0  # CPU-ms an explanation
WALKERS = ("line", "face", "spheres")


def yardstick() -> float:
    """CPU-ms of a fixed piece of work."""
    import torch

    a = torch.ones(256, 256)
    started = time.process_time()
    for _ in range(200):
        a @ a
    return 1000 * (time.process_time() - started)


def measured(run_path: Path, repeats: int, singles: int) -> dict[str, Any]:
    """walker -> CPU-ms in the batch and alone (median and 95 %), and the validity."""
    import numpy as np

    from agents.evaluate import draw_targets
    from agents.explain import choose_walker, explain
    from agents.runs.run import load_run
    from agents.walkers.planning.ensemble import Ensemble
    from agents.walkers.policy import PolicyWalker

    run = load_run(run_path)
    rows = list(range(len(run.world.held_out.x)))
    targets = [*(draw_targets(run.world, rows, 0) or []), *(draw_targets(run.world, rows, 1) or [])]
    second = run.ensemble or Ensemble.fit(run.world)  # a run of before there were any: fitted as a training would
    walkers = {
        "agent, planned with second opinions": PolicyWalker(run.model, run.surrogate, retries=2, ensemble=second),
        "agent, last step planned": PolicyWalker(run.model, run.surrogate, retries=2),
        "agent, last step refined": PolicyWalker(run.model),
    }
    walkers |= {name: choose_walker(name, run) for name in WALKERS}
    found: dict[str, Any] = {"yardstick before": yardstick()}
    for name, walker in walkers.items():
        explain(run, rows[:20], targets[:20], walker)  # imports and graphs are charged to nobody
        batch, alone, paths = [], [], []
        for _ in range(repeats):
            started = time.process_time()
            paths = explain(run, rows * 2, targets, walker)
            batch.append(1000 * (time.process_time() - started) / len(targets))
        for row in rows[:singles]:
            started = time.process_time()
            explain(run, row, targets[row], walker)
            alone.append(1000 * (time.process_time() - started))
        found[name] = {
            "batch": median(batch), "alone": median(alone), "alone 95 %": float(np.quantile(alone, 0.95)),
            "valid": sum(path.success for path in paths) / len(paths),
        }  # fmt: skip
    return {**found, "yardstick after": yardstick(), "load": os.getloadavg()[0]}


def markdown(found: dict[str, Any], command: str) -> str:
    """The table as a page."""
    lines = ["# How long an explanation takes", "", f"Made by `{command}`, one thread."]
    lines += [f"Yardstick {found['yardstick before']:.0f} and {found['yardstick after']:.0f} CPU-ms before and after;"]
    lines += [f"load of the machine {found['load']:.1f}. Walks end after the world's 20 steps; FACE's are often longer.", ""]
    lines += ["| walker | CPU-ms each, 1,080 in a batch | CPU-ms alone, median | 95 % | valid |", "|---|---:|---:|---:|---:|"]
    rows = {name: row for name, row in found.items() if isinstance(row, dict)}
    for name, row in rows.items():
        lines.append(f"| {name} | {row['batch']:.3f} | {row['alone']:.2f} | {row['alone 95 %']:.2f} | {row['valid']:.4f} |")
    lines.append("")
    for name in [name for name in rows if name.startswith("agent")]:
        for key, aim in (("batch", AIM_BATCH), ("alone", AIM_ALONE)):
            word = "reached" if rows[name][key] <= aim else "NOT reached"
            lines.append(f"- {name}, {key}: {rows[name][key]:.3f} CPU-ms, aim {aim:g}: {word}.")
    return "\n".join([*lines, ""])


def main() -> None:
    """The script."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--run", type=Path, default=ROOT / "runs" / "example", help="a run on the digits")
    parser.add_argument("--repeats", type=int, default=5, help="of the batch")
    parser.add_argument("--singles", type=int, default=40, help="explained alone")
    parser.add_argument("--out", type=Path, default=ROOT / "docs" / "results" / "explain_speed", help="without ending")
    options = parser.parse_args()
    prepare_process()
    found = measured(options.run, options.repeats, options.singles)
    command = shlex.join(["python", "-m", "tests.benchmarks.explain_speed", *sys.argv[1:]])
    page = markdown(found, command)
    print(page)
    about = {"command": command, "python": platform.python_version(), "found": found}
    write_whole(options.out.with_suffix(".json"), as_json(about))
    write_whole(options.out.with_suffix(".md"), page)


if __name__ == "__main__":
    main()
