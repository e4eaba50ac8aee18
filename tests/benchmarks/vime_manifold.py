"""Does curiosity help where the digits' manifold hides its reward? Three tasks, five arms under one PPO.

    python -m tests.benchmarks.vime_manifold

* DigitsLabelOnlyLong: labels alone, small steps, 600,000 queries; validity on held-out digits.
* DigitsOnePair: one image, one far target; pairs by rank of difficulty; how many are solved.
* DigitsExplore: no reward at all; latent cells and class regions covered.

Everything is fixed in vime_protocol.yml. ``--merge`` writes the tables from the trainings that are kept.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

from agents.training.environments import curiosity_settings, make_world_of
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
from tests.benchmarks.curiosity.training import Training, manifold_figures
from tests.benchmarks.curiosity.variants import bonus_of
from tests.benchmarks.harness.experiment import Experiment, Options, Record, render
from tests.benchmarks.harness.statistics import iqm, median
from tests.benchmarks.harness.tables import table, within

PLAN = PROTOCOL["manifold"]
LONG, PAIR, EXPLORE = PLAN["tasks"]
COLUMNS = {
    LONG: ("validity, IQM", "of each seed", "success in training, IQM", "steps to first reward, median"),
    PAIR: ("solved", "reward found", "success in training, IQM", "steps to first reward, median"),
    EXPLORE: ("cells, IQM", "cells half-way, IQM", "cells per 1,000 steps", "regions, IQM"),
}


# ---- run --------------------------------------------------------------------------------------------------------------


def schedule_of(env: str) -> dict[str, float | None]:
    """How a bonus's eta goes over the training of a task."""
    return dict(PLAN["tasks"][env].get("schedule", PLAN["schedule"]))


@cache
def options_of(arm: str, env: str = PAIR) -> dict[str, Any]:
    """A bonus's settings: those that ship, and the protocol's schedule (the task's own, if it has one)."""
    if arm == "none":
        return {}
    bonus, variant = bonus_of(arm)
    shipped = curiosity_settings(bonus, None, dict(schedule_of(env)), make_world_of(EXPLORE, {}), env)
    return {**shipped.options, **variant}


def training_of(env: str, arm: str, eta: float | None, seed: int, **env_kwargs: Any) -> Training:
    """One training of the protocol."""
    steps = PLAN["tasks"][env]["steps"]
    return Training(env, "ppo", arm, steps, seed, PLAN["ppo"], eta, dict(options_of(arm, env)), env_kwargs)


def coverage(figures: dict[str, Any]) -> tuple[float, ...]:
    """Eta is chosen by this where there is no reward: latent cells covered."""
    return (figures["covered"][-1][0],)


def eta_of(trainings: Trainings, env: str, arm: str) -> tuple[float | None, dict[str, Any]]:
    """The arm's eta: for DigitsExplore chosen on its own tuning seeds, else on the tuning pairs. Bonuses that have not changed
    since an earlier edition keep the eta that was chosen there, in the same way (`tuned_before`)."""
    if arm == "none":
        return None, {}
    if arm in PLAN["tuned_before"]["arms"][env] and not trainings.options.untuned:
        row = json.loads((Path(__file__).parent / PLAN["tuned_before"]["file"]).read_text())[env][arm]
        return row["eta"], row["tuning"]
    if env == EXPLORE:
        return trainings.best_eta(PLAN, lambda eta, seed: training_of(env, arm, eta, seed), coverage, f"tuning {arm}")
    tuning = PLAN["tuning"]
    pairs = {tuning["first_seed"] + i: tuning["first"] + i * tuning["every"] for i in range(tuning["pairs"])}
    return trainings.best_eta(
        PLAN,
        lambda eta, seed: training_of(PAIR, arm, eta, seed, pair=pairs[seed]),
        score_by("success"),
        f"tuning {arm}",
        pairs,
    )


def trainings_of(env: str, arm: str, eta: float | None) -> list[Training]:
    """The final trainings of an arm."""
    task = PLAN["tasks"][env]
    if env == PAIR:
        ranks = [task["first"] + i * task["every"] for i in range(task["pairs"])]
        return [training_of(env, arm, eta, task["first_seed"] + i, pair=rank) for i, rank in enumerate(ranks)]
    return [training_of(env, arm, eta, seed) for seed in task["final_seeds"]]


def row_of(env: str, found: list[dict[str, Any]]) -> dict[str, Any]:
    """One arm's figures."""
    steps = PLAN["tasks"][env]["steps"]
    first = [steps if figures["first_reward"] is None else figures["first_reward"] for figures in found]
    row: dict[str, Any] = {"runs": len(found), "cpu_seconds": median([figures["cpu_seconds"] for figures in found])}
    row["torch"] = sorted({figures["torch"] for figures in found})
    if env == EXPLORE:
        row["cells"] = iqm([[figures["covered"][-1][0] for figures in found]])
        row["half_way"] = iqm([[figures["covered"][len(figures["covered"]) // 2 - 1][0] for figures in found]])
        row["regions"] = iqm([[figures["covered"][-1][1] for figures in found]])
        return row
    row["training_success"] = iqm([[figures["training_success"]["success"] for figures in found]])
    row["first_reward"] = median(first)
    if env == LONG:
        row["validity"] = iqm([[figures["validity"] for figures in found]])
        row["each"] = [figures["validity"] for figures in found]
    else:
        row["found"] = sum(figures["first_reward"] is not None for figures in found)
        row["solved"] = sum(figures["training_success"]["success"] >= PLAN["solved"] for figures in found)
    return row


def row_measured(trainings: Trainings, env: str, arm: str) -> dict[str, Any] | None:
    """One row of a task; None where none of its trainings is there."""
    eta, tuning = eta_of(trainings, env, arm)
    if arm != "none" and eta is None:
        return None
    own = trainings_of(env, arm, eta)
    found = trainings(own, f"{env.split('/')[1]} {arm}")
    return {"eta": eta, "options": own[0].options, "tuning": tuning, **row_of(env, found)} if found else None


def measure(options: Options) -> Iterator[Record]:
    """Task -> arm -> row."""
    trainings = Trainings(options, manifold_figures)
    wanted = [(trainings, env, arm) for env in options.tasks for arm in options.arms]
    found: Record = dict(options.before) if options.keep else {}
    for (_, env, arm), row in zip(wanted, options.runner.rows(row_measured, wanted), strict=True):
        if row is not None:
            found.setdefault(env, {})[arm] = row
    yield found


# ---- analyse ----------------------------------------------------------------------------------------------------------


def entries(env: str, row: dict[str, Any]) -> list[str]:
    """A row's entries under the task's columns."""
    steps = PLAN["tasks"][env]["steps"]
    if env == EXPLORE:
        rate = 1000 * row["cells"]["value"] / steps
        return [within(row["cells"], 0), within(row["half_way"], 0), f"{rate:.1f}", within(row["regions"], 1)]
    shared = [within(row["training_success"]), first_reward_text(row, steps)]
    if env == LONG:
        return [within(row["validity"]), ", ".join(f"{value:.2f}" for value in row["each"]), *shared]
    return [f"{row['solved']} of {row['runs']}", str(row["found"]), *shared]


def page(record: Record) -> str:
    """A table a task."""
    sections = []
    for env, arms in record.items():
        rows = [
            [arm, eta_text(row), row["runs"], *entries(env, row), f"{row['cpu_seconds']:.0f}"] for arm, row in arms.items()
        ]
        titles = ["bonus", "eta", "runs", *COLUMNS[env], "CPU s"]
        sections += [f"## {env}, PPO, {PLAN['tasks'][env]['steps']:,} steps", table(titles, rows)]
    named = {f"{env}, {arm}": row for env, arms in record.items() for arm, row in arms.items()}
    return render(
        "vime_manifold", solved=PLAN["solved"], schedule=schedule_text(PLAN["schedule"]),
        long_schedule=schedule_text(schedule_of(LONG)), versions=versions_text(named), sections="\n\n".join(sections),
    )  # fmt: skip


EXPERIMENT = Experiment("vime_manifold", __doc__, measure, page, flags=flags(PLAN["tasks"]), stamped=False)

if __name__ == "__main__":
    EXPERIMENT.main()
