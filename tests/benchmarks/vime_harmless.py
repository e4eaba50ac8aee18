"""What does curiosity cost where it is not needed? Labels alone, which plain PPO learns; three seeds an eta.

    python -m tests.benchmarks.vime_harmless

PPO as shipped on Manifold/DigitsLabelOnly-v0 with 128 environments, cut to 150,000 steps, without curiosity and with
`--curiosity vime` at the default weight (--etas: others). Reported: the share of 200 held-out inputs that the agent
explains at the end, and after how many steps nine of ten training walks arrived. This shows which weight does no harm; it
cannot show that curiosity helps, because here there is nothing to find.
"""

from __future__ import annotations

import json
import tempfile
from collections.abc import Iterator
from functools import partial
from statistics import mean
from typing import Any

from agents.train import train
from tests.benchmarks.harness.experiment import Experiment, Options, Record, render, whole_numbers
from tests.benchmarks.harness.runs import Run
from tests.benchmarks.harness.tables import table

ENV, N_ENVS, HELD_OUT, ENOUGH = "Manifold/DigitsLabelOnly-v0", 128, 200, 0.9
WEIGHTS = (0.0, 0.003)  # no curiosity at all, and the default of curiosity.yml
SOURCES = ("agents/training/hyperparameters/ppo.yml", "agents/training/hyperparameters/walks.yml")


def training(eta: float, seed: int, n_timesteps: int) -> dict[str, Any]:
    """One training's figures."""
    curious = eta > 0
    with tempfile.TemporaryDirectory() as folder:
        run = train(
            env=ENV, n_envs=N_ENVS, n_timesteps=n_timesteps, seed=seed, curiosity="vime" if curious else "none",
            eta=eta if curious else None, log_folder=folder, save_freq=0, eval_episodes=HELD_OUT, pictures=False,
        )  # fmt: skip
        lines = [json.loads(line) for line in (run.folder.root / "metrics.jsonl").read_text().splitlines()]
    shares = [line["curiosity/bonus_fraction"] for line in lines if "curiosity/bonus_fraction" in line]
    walks = [(line["time/total_timesteps"], line["rollout/success_rate"]) for line in lines if "rollout/success_rate" in line]
    return {
        "eta": eta,
        "seed": seed,
        "success": run.evaluation["success_rate"],
        "steps to nine of ten": next((steps for steps, share in walks if share >= ENOUGH), None),
        "curve": walks,
        "bonus_fraction": mean(shares or [0.0]),
    }


def measure(options: Options) -> Iterator[Record]:
    """Every weight from every seed."""
    runs = [
        Run({"vime_harmless": eta, "seed": seed, "n_timesteps": options.n_timesteps},
            partial(training, eta, seed, options.n_timesteps),
            (*SOURCES, "agents/training/hyperparameters/curiosity.yml", "vime/**/*.py") if eta else SOURCES)
        for seed in options.seeds for eta in options.etas
    ]  # fmt: skip
    about = {"etas": options.etas, "seeds": options.seeds, "n_timesteps": options.n_timesteps}
    yield {**about, "cells": options.runner(runs, "trainings")}


def page(record: Record) -> str:
    """A line an eta."""
    rows = []
    for eta in sorted({cell["eta"] for cell in record["cells"]}):
        own = [cell for cell in record["cells"] if cell["eta"] == eta]
        success = ", ".join(f"{cell['success']:.2f}" for cell in own)
        first = [cell["steps to nine of ten"] for cell in own]
        steps = ", ".join("never" if step is None else f"{step:,}" for step in first)
        share = mean(cell["bonus_fraction"] for cell in own)
        rows.append([f"{eta:g}" if eta else "none", success, f"{mean(c['success'] for c in own):.3f}", steps, f"{share:.3f}"])
    titles = ["eta", "success, by seed", "mean", "steps to nine of ten, by seed", "bonus's share of all that is paid"]
    return render(
        "vime_harmless", env=ENV, n_envs=N_ENVS, n_timesteps=record["n_timesteps"], held_out=HELD_OUT,
        table=table(titles, rows, "rlrlr"),
    )  # fmt: skip


EXPERIMENT = Experiment(
    "vime_harmless", __doc__, measure, page,
    flags={
        "--etas": {"type": float, "nargs": "+", "default": list(WEIGHTS), "help": "weights of the bonus; 0: none"},
        "--seeds": whole_numbers(0, 1, 2),
        "--n-timesteps": {"type": int, "default": 150_000},
    },
)  # fmt: skip

if __name__ == "__main__":
    EXPERIMENT.main()
