"""Other answers than a class: how often are scores, ranges, labels, groups and abstentions reached?

python -m tests.benchmarks.goals                              # every goal, 2 seeds
python -m tests.benchmarks.goals --cases "a score: +10 %"     # one, beside those that were measured before
"""

from __future__ import annotations

import tempfile
import warnings
from collections.abc import Iterator
from functools import partial
from typing import Any

import numpy as np
import torch

from agents.explain import explain
from agents.explanation.metrics.evaluate import evaluate_paths
from agents.train import train
from agents.trajectories.display import rows_in_user_units
from envs.building.world import make_world
from tests.benchmarks.harness.experiment import Experiment, Options, Record, one_of, render, whole_numbers
from tests.benchmarks.harness.runs import Run, cpu_seconds
from tests.benchmarks.harness.tables import spread, table
from tests.benchmarks.own.goals import CASES, Asked

STEPS, ITEMS = 30_000, 60
SOURCES = ("envs/**/*.py", "agents/**/*.py", "tests/benchmarks/own/goals.py")
WAYS: dict[str, dict[str, Any]] = {
    "with fall-back": {},
    "agent": {"walker": "policy", "fallback": False},
    "line": {"walker": "line"},
}
TITLES = ("goal", "rows asked", "way", "reached", "own call agrees", "steps", "queries", "kNN ratio")


def figures(name: str, seed: int, steps: int = STEPS, items: int = ITEMS) -> dict[str, Any]:
    """The figures of a goal: the share of the held-out rows asked that reach it, by every way."""
    case = CASES[name](seed)
    world = make_world(**{"seed": seed, **case.settings}, progress=False)
    rows = list(range(min(items, len(world.held_out.x))))
    with tempfile.TemporaryDirectory() as folder, warnings.catch_warnings():
        warnings.simplefilter("ignore")  # rows whose goal no reference row reaches are left out, with a warning
        settings = {"n_timesteps": steps, "seed": seed, "progress": False, "pictures": False, "eval_episodes": 0}
        run, training = cpu_seconds(lambda: train(world=world, log_folder=folder, **settings))
        found = {}
        for way, how in WAYS.items():
            paths = explain(run, rows, case.target, skip_present=True, seed=seed, **how)
            found[way] = measures(case, run.world, paths)
    return {"ways": found, "asked": len(paths), "rows": len(rows), "train_seconds": training}


def measures(case: Asked, world: Any, paths: list[Any]) -> dict[str, float]:
    """Of the paths: the share that arrived, the share whose end the model's own call puts at the goal, and their cost."""
    arrived = np.array([path.success for path in paths])
    first, last = (own_rows(world, paths, place) for place in (0, -1))
    own = case.holds(case.outputs(last), case.outputs(first))
    ratio = evaluate_paths(world, paths, resamples=10)["knn_ratio"].value
    return {
        "reached": float(arrived.mean()), "own": float(own[arrived].mean()) if arrived.any() else float("nan"),
        "steps": float(np.mean([len(path.z) - 1 for path in paths])),
        "queries": float(np.mean([path.queries for path in paths])), "knn_ratio": float(ratio),
    }  # fmt: skip


def own_rows(world: Any, paths: list[Any], place: int) -> Any:
    """A frame of each path, or the input itself (place 0), in the user's own values."""
    if world.modality != "table":
        frames = [path.frames(world)[place] if place else path.source_input for path in paths]
        return world.units.outward(torch.from_numpy(np.stack(frames)))
    frame = rows_in_user_units(world, paths, [path.frames(world)[place, None] for path in paths])
    return frame if hasattr(world.config.data, "columns") else frame.to_numpy(dtype=float)


def measure(options: Options) -> Iterator[Record]:
    """Every goal with every seed; goals that are not asked for keep what was measured before."""
    found: dict[str, list[dict[str, Any]]] = dict(options.before.get("cases", {}))
    for name in options.cases:
        key = {"goals": name, "steps": STEPS, "items": ITEMS}
        found[name] = options.runner(
            [Run({**key, "seed": seed}, partial(figures, name, seed), SOURCES, "goals") for seed in options.seeds], name
        )
        yield {"seeds": options.seeds, "cases": {name: found[name] for name in CASES if name in found}}


def page(record: Record) -> str:
    """One table."""
    rows = [
        [name, spread([run["asked"] for run in runs], 0), way,
         *(spread([run["ways"][way][column] for run in runs], digits)
           for column, digits in (("reached", 3), ("own", 3), ("steps", 1), ("queries", 1), ("knn_ratio", 2)))]
        for name, runs in record["cases"].items() for way in WAYS
    ]  # fmt: skip
    alone = sum(len(runs) == 1 for runs in record["cases"].values())
    return render(
        "goals", alone=f"{alone} of {len(record['cases'])} goals, those without brackets, have one seed so far",
        command=record["command"], seeds=", ".join(map(str, record["seeds"])), steps=f"{STEPS:,}", items=ITEMS,
        table=table(TITLES, rows), missing=", ".join(name for name in CASES if name not in record["cases"]) or "none",
        seconds=spread([run["train_seconds"] for runs in record["cases"].values() for run in runs], 0),
    )  # fmt: skip


EXPERIMENT = Experiment(
    "goals", __doc__, measure, page, flags={"--seeds": whole_numbers(0, 1), "--cases": one_of(list(CASES))}
)

if __name__ == "__main__":
    EXPERIMENT.main()
