"""Which parts of the curiosity matter? One changed at a time, on pairs and seeds that no final figure uses.

    python -m tests.benchmarks.vime_ablation

Each row changes one thing of VIME as shipped for latent spaces (agents/training/hyperparameters/curiosity.yml): what the
network predicts, its noise, how it learns and from what, how the gain is scaled, realised or expected gain, how eta goes
over the training, a value head of its own; two rivals at the same eta stand beside it. Two tasks under the protocol's PPO
(vime_protocol.yml, `ablation`): DigitsOnePair, how many pairs are found and solved; DigitsExplore, latent cells covered.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

from tests.benchmarks.curiosity.protocol import PROTOCOL, Trainings, flags
from tests.benchmarks.curiosity.training import Training, manifold_figures
from tests.benchmarks.harness.experiment import Experiment, Options, Record, render
from tests.benchmarks.harness.statistics import iqm
from tests.benchmarks.harness.tables import table, within
from tests.benchmarks.vime_manifold import EXPLORE, PAIR, options_of, training_of

PLAN, TASKS = PROTOCOL["ablation"], PROTOCOL["manifold"]["tasks"]
#: what each row changes: ``arm`` and ``algo``, or options of the curiosity
ROWS: dict[str, dict[str, Any]] = {
    "no curiosity": {"arm": "none"},
    "VIME as shipped": {},
    "predicts the frame alone": {"prediction_target": "frame"},
    "predicts the label alone": {"prediction_target": "prediction"},
    "predicts the next code alone": {"prediction_target": "code"},
    "noise learned per input": {"noise": "heteroscedastic"},
    "expected gain (BALD)": {"arm": "bald"},
    "each number on a scale of its own": {"common_scale": False},
    "50 updates a fit": {"updates": 50},
    "100 updates a fit, steps of 0.001 (as rivals)": {"updates": 100, "learning_rate": 1e-3},
    "noise of 1": {"noise": 1.0},
    "noise of 0.1": {"noise": 0.1},
    "scaled by the last rollout's median alone": {"window": 1},
    "remembers the last 10,000 transitions": {"pool_size": 10_000},
    "eta falls to zero over the first half": {"decay": 0.5},
    "eta falls with success, to zero at a tenth": {"success_decay": 0.1},
    "value head of its own": {"algo": "ppo2v"},
    "value head of its own, eta falls over the first half": {"algo": "ppo2v", "decay": 0.5},
    "not centred": {"centre": False},
    "not VIME: L2": {"arm": "l2"},
    "not VIME: RND": {"arm": "rnd"},
}
SHIPPED = {"decay": None, "success_decay": None}  # in the shipped form eta stays as it is, whatever the protocol's schedule


def trainings_of(env: str, change: dict[str, Any]) -> list[Training]:
    """The trainings of one row."""
    change = dict(change)
    arm, algo = change.pop("arm", "vime"), change.pop("algo", "ppo")
    eta = None if arm == "none" else PLAN["eta"]
    first, every, count = PLAN["pairs"]
    if env == PAIR:
        made = [training_of(env, arm, eta, PLAN["first_seed"] + i, pair=first + every * i) for i in range(count)]
    else:
        made = [training_of(env, arm, eta, PLAN["first_seed"] + i) for i in range(PLAN["explore_seeds"])]
    options = dict(options_of(arm, EXPLORE))  # those of latent spaces, whatever the task's own group says
    return [replace(one, algo=algo, options={**options, **SHIPPED, **change}) for one in made]


def row_measured(trainings: Trainings, name: str, change: dict[str, Any]) -> dict[str, Any]:
    """Figures of one row; a task that is not there yet is left out."""
    row: dict[str, Any] = {}
    if found := trainings(trainings_of(PAIR, change), f"pairs, {name}"):
        success = [figures["training_success"]["success"] for figures in found]
        row["pairs"] = len(found)
        row["found"] = sum(figures["first_reward"] is not None for figures in found)
        row["solved"] = sum(share >= PROTOCOL["manifold"]["solved"] for share in success)
        row["success"] = iqm([success])
    if found := trainings(trainings_of(EXPLORE, change), f"explore, {name}"):
        row["cells"] = [figures["covered"][-1][0] for figures in found]
    return row


def measure(options: Options) -> Iterator[Record]:
    """Name -> row."""
    trainings = Trainings(options, manifold_figures)
    found = options.runner.rows(row_measured, [(trainings, name, change) for name, change in ROWS.items()])
    yield {name: row for name, row in zip(ROWS, found, strict=True) if row}


def page(record: Record) -> str:
    """One table."""
    first, every, count = PLAN["pairs"]
    rows = []
    for name, row in record.items():
        pairs = ["-", "-", "-"]
        if "pairs" in row:
            pairs = [f"{row['found']} of {row['pairs']}", str(row["solved"]), within(row["success"])]
        each = row.get("cells")
        covered = f"{sum(each) / len(each):.0f} ({', '.join(map(str, each))})" if each else "-"
        rows.append([name, *pairs, covered])
    titles = ["form", "pairs found", "pairs solved", "success in training, IQM", "cells covered, mean (each)"]
    return render(
        "vime_ablation", **{**PLAN, "first": first, "every": every, "count": count}, pair_steps=TASKS[PAIR]["steps"],
        explore_steps=TASKS[EXPLORE]["steps"], table=table(titles, rows),
    )  # fmt: skip


EXPERIMENT = Experiment("vime_ablation", __doc__, measure, page, flags=flags([PAIR, EXPLORE]), stamped=False)

if __name__ == "__main__":
    EXPERIMENT.main()
