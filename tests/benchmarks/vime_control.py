"""Does curiosity help on VIME's sparse control tasks? Five arms under one PPO, ten seeds each; TRPO and SAC for two arms.

    python -m tests.benchmarks.vime_control

Everything is fixed in vime_protocol.yml. ``--merge`` writes the tables from the trainings that are kept.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from tests.benchmarks.curiosity.protocol import (
    PROTOCOL,
    Trainings,
    eta_text,
    first_reward_text,
    flags,
    schedule_text,
    score_by,
    versions_text,
)
from tests.benchmarks.curiosity.training import Training, control_figures
from tests.benchmarks.harness.experiment import Experiment, Options, Record, render
from tests.benchmarks.harness.statistics import iqm, median
from tests.benchmarks.harness.tables import table, within

PLAN = PROTOCOL["control"]
TITLES = ("bonus", "eta", "seeds", "solved", "reward found", "success, IQM", "return, IQM", "return in training, IQM",
          "steps to first reward, median", "cells covered, IQM", "CPU s")  # fmt: skip


# ---- run --------------------------------------------------------------------------------------------------------------


def training_of(env: str, algo: str, arm: str, eta: float | None, seed: int, steps: int) -> Training:
    """One training of the protocol."""
    return Training(env, algo, arm, steps, seed, PLAN[algo], eta, {} if arm == "none" else dict(PLAN["schedule"]))


def row_of(found: list[dict[str, Any]], steps: int) -> dict[str, Any]:
    """One arm's figures over seeds."""
    first = [figures["first_reward"] for figures in found]
    return {
        "seeds": len(found),
        "solved": sum(figures["sampled"]["success"] >= PLAN["solved"] for figures in found),
        "found": sum(step is not None for step in first),
        "success": iqm([[figures["sampled"]["success"] for figures in found]]),
        "return": iqm([[figures["sampled"]["return"] for figures in found]]),
        "training_return": iqm([[figures["training_success"]["return"] for figures in found]]),
        "first_reward": median([steps if step is None else step for step in first]),
        "coverage": iqm([[figures["coverage"] for figures in found]]),
        "cpu_seconds": median([figures["cpu_seconds"] for figures in found]),
        "torch": sorted({figures["torch"] for figures in found}),
    }


def row_measured(trainings: Trainings, env: str, algo: str, arm: str) -> dict[str, Any] | None:
    """One row of a task and algorithm; None where none of its trainings is there."""
    task, label = PLAN["tasks"][env], f"{env.split('/')[1]} {algo} {arm}"
    eta: float | None = None
    tuning: dict[str, Any] = {}
    if arm != "none":
        eta, tuning = trainings.best_eta(
            PLAN, lambda eta, seed: training_of(env, "ppo", arm, eta, seed, task["tuning_steps"]), score_by("return"), label
        )
        if eta is None:
            return None
    own = [training_of(env, algo, arm, eta, seed, task["steps"]) for seed in PLAN["final_seeds"]]
    found = trainings(own, label)
    return {"eta": eta, "options": own[0].options, "tuning": tuning, **row_of(found, task["steps"])} if found else None


def measure(options: Options) -> Iterator[Record]:
    """Task -> algorithm -> arm -> row."""
    trainings = Trainings(options, control_figures)
    wanted = [
        (trainings, env, algo, arm)
        for env in options.tasks for algo in options.algorithms for arm in options.arms
        if algo == "ppo" or arm in ("none", "vime")
    ]  # fmt: skip
    found: Record = dict(options.before) if options.keep else {}
    for (_, env, algo, arm), row in zip(wanted, options.runner.rows(row_measured, wanted), strict=True):
        if row is not None:
            found.setdefault(env, {}).setdefault(algo, {})[arm] = row
    yield found


# ---- analyse ----------------------------------------------------------------------------------------------------------


def page(record: Record) -> str:
    """A table a task and algorithm."""
    named: dict[str, Any] = {}
    sections = []
    for env, algorithms in record.items():
        steps = PLAN["tasks"][env]["steps"]
        for algo, arms in algorithms.items():
            rows = [
                [arm, eta_text(row), row["seeds"], row["solved"], row["found"], within(row["success"]),
                 within(row["return"], 1), within(row["training_return"], 1), first_reward_text(row, steps),
                 within(row["coverage"], 0), f"{row['cpu_seconds']:.0f}"]
                for arm, row in arms.items()
            ]  # fmt: skip
            sections += [f"## {env}, {algo.upper()}, {steps:,} steps", table(TITLES, rows)]
            named |= {f"{env}, {algo.upper()}, {arm}": row for arm, row in arms.items()}
    return render(
        "vime_control", solved=PLAN["solved"], schedule=schedule_text(PLAN["schedule"]), versions=versions_text(named),
        sections="\n\n".join(sections),
    )  # fmt: skip


EXPERIMENT = Experiment(
    "vime_control", __doc__, measure, page, flags=flags(PLAN["tasks"], ("ppo", "trpo", "sac")), stamped=False
)

if __name__ == "__main__":
    EXPERIMENT.main()
