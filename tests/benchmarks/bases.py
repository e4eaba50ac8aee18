"""Navigation bases: the line walker and a short training in a few directions of a latent space with 64 dimensions.

    python -m tests.benchmarks.bases                        # a GAN of digits, 3 splits, every basis
    python -m tests.benchmarks.bases --splits 0 --walkers line
    python -m tests.benchmarks.bases --manifold kl          # latents (4, 4, 4) of an autoencoder of the kind of diffusers

GAN or autoencoder are fitted to the split's 1,257 digits; the classifier, targets, stop rule and step bound are those of
digits_paths.py.
Every training has 40,000 steps and the settings that `agents.train` chooses by default.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

from agents.walkers import make_walker
from tests.benchmarks.digits_paths import COLUMNS, agent_run
from tests.benchmarks.harness.experiment import Experiment, Options, Record, one_of, render, whole_numbers
from tests.benchmarks.harness.runs import Run
from tests.benchmarks.harness.splits import digits_split
from tests.benchmarks.harness.tables import spread, table
from tests.benchmarks.harness.walks import MOST_STEPS, SOURCES, measured, shipped_recipe, value_of

STEPS = 40_000
MANIFOLDS = {"gan64": "a 64-dimensional GAN", "kl": "an autoencoder with latents (4, 4, 4)"}
#: name in the table -> settings of the world
BASES: dict[str, dict[str, Any]] = {
    "none (64)": {},
    **{f"principal, {k}": {"basis": "principal", "basis_dim": k} for k in (8, 16, 32)},
    **{f"{name}, 16": {"basis": name, "basis_dim": 16} for name in ("decoder", "first_layer", "classes", "metric")},
}
WALKERS = ("line", "agent")
SHOWN = ("validity", "l2_input", "knn_ratio", "queries", "frames", "training_cpu_seconds")


def line_run(settings: dict[str, Any], seed: int, cache: Path, manifold: str) -> Run:
    """The line walker in a basis, on a split."""
    key = {"rival": "line", "settings": settings, "split": seed, "steps": MOST_STEPS, "manifold": manifold}
    return Run(key, partial(_line, settings, seed, cache, manifold), SOURCES)


def _line(settings: dict[str, Any], seed: int, cache: Path, manifold: str) -> dict[str, Any]:
    split = digits_split(seed, manifold, **settings)
    found = measured(split, split.world, make_walker("line"), MOST_STEPS, cache=cache)
    return {**found, "reach": getattr(split.world.manifold, "reach", 1.0)}


def measure(options: Options) -> Iterator[Record]:
    """Both walkers in every basis of every split."""
    recipe = {**shipped_recipe(), "n_timesteps": STEPS}
    bases = {name: settings for name, settings in BASES.items() if options.manifold == "gan64" or "first_layer" not in name}
    cells: dict[str, dict[str, list[Any]]] = {name: {walker: [] for walker in options.walkers} for name in bases}
    for seed in options.splits:
        for walker in options.walkers:
            runs = [
                line_run(settings, seed, options.cache, options.manifold)
                if walker == "line"
                else agent_run({**recipe, "env_kwargs": settings}, seed, seed, options.cache, options.manifold)
                for settings in bases.values()
            ]
            for name, found in zip(bases, options.runner(runs, f"{walker}, split {seed}"), strict=True):
                cells[name][walker].append({**found, "split_seed": seed})
        yield {"steps": STEPS, "cells": cells, "manifold": options.manifold}


def page(record: Record) -> str:
    """A table a walker."""
    sections = []
    for walker in WALKERS:
        rows = []
        for name, cell in record["cells"].items():
            if found := cell.get(walker):
                reach = [line["reach"] for line in cell.get("line", [])]
                figures = [spread([value_of(one, column) for one in found], COLUMNS[column][1]) for column in SHOWN]
                rows.append([name, spread(reach, 2), *figures])
        if rows:
            sections += [f"## {walker}", "", table(["basis", "reach", *(COLUMNS[c][0] for c in SHOWN)], rows), ""]
    return render(
        "bases", command=record["command"], steps=f"{record['steps']:,}", sections="\n".join(sections).rstrip(),
        manifold=MANIFOLDS[record.get("manifold", "gan64")],
    )  # fmt: skip


EXPERIMENT = Experiment(
    "bases", __doc__, measure, page,
    flags={
        "--splits": whole_numbers(0, 1, 2), "--walkers": one_of(WALKERS, *WALKERS),
        "--manifold": {"choices": list(MANIFOLDS), "default": "gan64"},
    },
    files=("bases", "bases_kl"), file_of=lambda options: "bases" if options.manifold == "gan64" else "bases_kl",
)  # fmt: skip

if __name__ == "__main__":
    EXPERIMENT.main()
