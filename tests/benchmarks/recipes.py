"""Leaner recipes: a smaller policy, fewer epochs and fewer steps against the defaults, kind by kind.

    python -m tests.benchmarks.recipes --kinds digits --seeds 20 21

The same seeds for both recipes; the policy alone explains held-out inputs towards drawn targets. A recipe is leaner without
loss if validity, kNN ratio and the oracle's agreement are not worse and L2 is at most 1 % larger.
"""

from __future__ import annotations

import tempfile
from collections.abc import Iterator, Mapping
from statistics import mean
from typing import Any

from agents.engine.trainings import train_seeds
from agents.evaluate import evaluate
from agents.runs.run import load_run
from tests.benchmarks.harness.experiment import Experiment, Options, Record, one_of, render, whole_numbers
from tests.benchmarks.harness.tables import table

KINDS: dict[str, dict[str, Any]] = {
    "digits": {"env": "Manifold/Digits-v0"},
    "label only": {"env": "Manifold/DigitsLabelOnly-v0"},
    "MNIST": {"env": "Manifold/MNIST-v0"},
    "iris": {"env": "Manifold/Custom-v0", "data": "iris"},
}
SMALL = {"policy_kwargs": {"net_arch": [64, 64], "activation_fn": "SiLU", "log_std_init": -0.7}, "n_epochs": 4}
LEAN: dict[str, dict[str, Any]] = {
    "digits": {"n_timesteps": 150_000, "hyperparams": SMALL},
    "label only": {"n_timesteps": 230_000, "hyperparams": SMALL},
    "MNIST": {"n_timesteps": 250_000, "hyperparams": SMALL},
    "iris": {"n_timesteps": 60_000, "hyperparams": SMALL},
}
MEASURES = ("validity", "l2_input", "knn_ratio", "oracle", "queries")


def measured(run: str, inputs: int) -> dict[str, float]:
    """Measures of the policy of a run on held-out inputs."""
    loaded = load_run(run)
    rows = range(min(inputs, len(loaded.world.held_out.x)))
    found = evaluate(loaded, ("policy",), inputs=rows, closely=0, alone=0)["policy"]
    return {name: float(found[name].value) for name in MEASURES if name in found}


def measure(options: Options) -> Iterator[Record]:
    """Train and measure; kinds that are not chosen stay as they were measured."""
    record: Record = {"kinds": dict(options.before.get("kinds", {})), "commands": dict(options.before.get("commands", {}))}
    for kind in options.kinds:
        cells: dict[str, list[dict[str, Any]]] = {}
        for name, settings in (("default", {}), ("lean", LEAN[kind])):
            with tempfile.TemporaryDirectory() as folder:
                rows = train_seeds(
                    seeds=options.seeds, jobs=options.jobs, log_folder=folder, progress=False, eval_episodes=0,
                    **{**KINDS[kind], **settings},
                )  # fmt: skip
                if errors := [row["error"] for row in rows if row["error"] is not None]:
                    raise RuntimeError(errors[0])
                kept = ("seed", "cpu_seconds", "training_queries")
                cells[name] = [{key: row[key] for key in kept} | measured(row["run"], options.inputs) for row in rows]
        record["kinds"][kind] = cells
        record["commands"][kind] = options.command
        yield record


def page(record: Mapping[str, Any]) -> str:
    """One row a recipe."""
    rows = []
    for kind, cells in record["kinds"].items():
        usual = mean(cell["cpu_seconds"] for cell in cells["default"])
        for name, found in cells.items():
            rows.append(
                [
                    f"{kind}, {name}", f"{mean(cell['cpu_seconds'] for cell in found) / usual:.2f}",
                    f"{mean(cell['training_queries'] for cell in found):,.0f}",
                    *(f"{mean(cell[key] for cell in found):.3f}" if key in found[0] else "-" for key in MEASURES[:4]),
                    str(len(found)),
                ]
            )  # fmt: skip
    commands = "\n".join(f"    {command}" for command in dict.fromkeys(record["commands"].values()))
    titles = ["recipe", "CPU time, default = 1", "training queries", "valid", "L2", "kNN ratio", "oracle", "seeds"]
    return render("recipes", commands=commands, table=table(titles, rows))


EXPERIMENT = Experiment(
    "recipes", __doc__, measure, page,
    flags={
        "--kinds": one_of(tuple(KINDS)),
        "--seeds": whole_numbers(20, 21),
        "--inputs": {"type": int, "default": 540},
    },
)  # fmt: skip

if __name__ == "__main__":
    EXPERIMENT.main()
