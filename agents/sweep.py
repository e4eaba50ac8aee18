"""Search settings of a training with Optuna: ``python -m agents.sweep sweep.yml --out runs/sweep --jobs 2``.

The file names the trainings and what is searched::

    train: {env: Manifold/Digits-v0, n_timesteps: 50000}
    search:
      hyperparams.learning_rate: {low: 1.0e-4, high: 3.0e-3, log: true}
      hyperparams.n_epochs: [4, 8]
    seeds: 0-2
    trials: 20
    measure: success_rate

From Python: `agents.engine.sweeping.run_sweep`.
"""

from __future__ import annotations

import json
import shlex
import sys
from collections.abc import Sequence
from dataclasses import dataclass

from agents.console.cli import ScriptConfig, option, parse_config, prepare_process, program, run_main
from agents.training.config import ENGINES


@dataclass(kw_only=True)
class SweepConfig(ScriptConfig):
    """Search settings of a training with Optuna; the same call goes on where an interrupted one stopped."""

    config: str = option("sweep.yml", "what is trained and searched, see docs/how-to/many-trainings.md", positional=True)
    out: str = option("runs/sweep", "folder of the trials and of their table", metavar="DIR")
    engine: str = option("local", "processes of this machine, or Ray", choices=ENGINES)
    jobs: int = option(1, "trials at once, each with one thread", metavar="N", low=1)
    address: str | None = option(None, "address of a Ray cluster (default: a local one)")
    json: bool = option(False, "print the table as JSON")
    progress: bool = option(True, "show a progress bar, on a terminal", "-P")


def main(argv: Sequence[str] | None = None) -> int:
    """The command, see `SweepConfig`. Exit code 1 if every trial failed."""
    config = parse_config(SweepConfig, argv, program("sweep"))
    prepare_process(config.num_threads)
    from agents.engine.sweeping import Sweep, as_text, run_sweep

    sweep = Sweep.read(config.config)
    rows = run_sweep(
        sweep, config.out, engine=config.engine, jobs=config.jobs, address=config.address, progress=config.progress
    )
    if config.json:
        print(json.dumps(rows))
    else:
        print(as_text(rows, sweep))
        print(f"table        {config.out}/trials.csv")
        print(f"TensorBoard  tensorboard --logdir {shlex.quote(config.out)} --load_fast=false")
    return int(all(row["value"] is None for row in rows))


if __name__ == "__main__":
    sys.exit(run_main(main))
