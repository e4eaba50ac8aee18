"""Paths through a mixed table (UCI Adult): the trained agent, the latent line and growing spheres, side by side.

    python -m tests.benchmarks.adult_paths                   # 3 splits, one agent each
    python -m tests.benchmarks.adult_paths --splits 0        # a quick look

The data are read from $MANIFOLD_DATA/adult, else from shared/data/adult beside the checkout; see
`harness.splits.adult_split`.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

from agents.explanation.explain import choose_walker
from agents.train import train
from agents.walkers import make_walker
from tests.benchmarks.harness.experiment import Experiment, Options, Record, render, whole_numbers
from tests.benchmarks.harness.runs import Run
from tests.benchmarks.harness.splits import adult_split
from tests.benchmarks.harness.tables import spread, table
from tests.benchmarks.harness.walks import ALGO, MOST_STEPS, SOURCES, measured_rows, training_cost

RIVALS = ("line", "spheres")
COLUMNS: dict[str, tuple[str, int]] = {
    "validity": ("decision changed", 3),
    "changed_columns": ("columns changed, of 12", 2),
    "changed_since_frame_0": ("of them by the walk", 2),
    "immutables_violated": ("frames that break what is held", 0),
    "outside_range": ("frames outside a range", 0),
    "l2_input": ("L2", 3),
    "knn_ratio": ("kNN ratio", 3),
    "queries": ("queries", 1),
    "rising_share": ("rising", 3),
    "frames": ("frames", 0),
    "training_queries": ("training queries", 0),
    "cpu_ms": ("CPU-ms each", 2),
}


def rival_run(name: str, seed: int, cache: Path) -> Run:
    """A rival on a split."""
    return Run({"adult": name, "split": seed}, partial(_rival, name, seed, cache), SOURCES)


def agent_run(seed: int, cache: Path, steps: int) -> Run:
    """An agent trained by the default recipe on a split; the split's seed is its own, too."""
    return Run({"adult": "agent", "split": seed, "steps": steps}, partial(_agent, seed, cache, steps), SOURCES)


def _rival(name: str, seed: int, cache: Path) -> dict[str, Any]:
    split = adult_split(seed, cache)
    return measured_rows(split, split.world, make_walker(name), MOST_STEPS, cache=cache)


def _agent(seed: int, cache: Path, steps: int) -> dict[str, Any]:
    split = adult_split(seed, cache)
    run = train(world=split.world, algo=ALGO, seed=seed, n_timesteps=steps, log_folder=str(cache / "adult-runs"), save_freq=0,
                eval_episodes=0, pictures=False)  # fmt: skip
    return {**measured_rows(split, run, choose_walker(None, run), None, seed, cache), **training_cost(run)}


def measure(options: Options) -> Iterator[Record]:
    """Every walker on every split."""
    rows: dict[str, list[dict[str, Any]]] = {}
    for seed in options.splits:
        runs = {name: rival_run(name, seed, options.cache) for name in RIVALS}
        runs["agent"] = agent_run(seed, options.cache, options.steps)
        for name, cell in zip(runs, options.runner(list(runs.values()), f"split {seed}"), strict=True):
            rows.setdefault(name, []).append(cell)
        yield {"splits": options.splits, "rows": rows}


def page(record: Record) -> str:
    """One table."""
    rows = record["rows"]
    cells = next(iter(rows.values()))
    facts = {name: spread([cell["split"][name] for cell in cells], 4, False) for name in cells[0]["split"]}
    return render(
        "adult_paths",
        command=record["command"],
        facts=", ".join(f"{name.replace('_', ' ')} {text}" for name, text in facts.items()),
        table=table(
            ["walker", *(title for title, _ in COLUMNS.values())],
            [[name, *(spread([cell[column] for cell in cells], digits, False) for column, (_, digits) in COLUMNS.items())]
             for name, cells in rows.items()],
        ),
    )  # fmt: skip


EXPERIMENT = Experiment(
    "adult_paths", __doc__, measure, page,
    flags={
        "--splits": whole_numbers(0, 1, 2),
        "--steps": {"type": int, "default": 290_000, "help": "training steps of an agent"},
    },
)  # fmt: skip

if __name__ == "__main__":
    EXPERIMENT.main()
