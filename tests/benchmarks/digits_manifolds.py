"""Which latent space explains digits best: the same agent and the same line walker on each manifold, side by side.

    python -m tests.benchmarks.digits_manifolds                            # 3 splits, every manifold
    python -m tests.benchmarks.digits_manifolds --splits 0 --manifolds pca # a quick look, into another --out
    python -m tests.benchmarks.digits_manifolds --manifolds umap umap_knn --keep   # these anew, the others as they stand

Every manifold is fitted to the split's 1,257 digits. The agent has the same number of training steps on each, and the
settings that `agents.train` chooses there by default: the same on all but the maps, whose walks are long (see
`envs.core.horizon`).
Splits, targets, stop rule, step bound and measures are those of digits_paths.py. The classifier is the split's own on every
manifold but `joint_own`, whose own head is explained: its targets and class distance differ too.
"""

from __future__ import annotations

from collections.abc import Iterator

from tests.benchmarks.digits_paths import COLUMNS, agent_run, rival_run
from tests.benchmarks.harness.experiment import Experiment, Options, Record, one_of, render, whole_numbers
from tests.benchmarks.harness.runs import Run
from tests.benchmarks.harness.tables import spread, table
from tests.benchmarks.harness.walks import shipped_recipe, value_of

#: name -> what it is, in the table's words
MANIFOLDS = {
    "vae": "VAE, 8-d",
    "joint": "joint VAE + classifier, 8-d",
    "joint_own": "joint, its own head explained",
    "embedding": "classifier's embedding, 8-d (white box)",
    "pca": "PCA, 8-d",
    "gan": "GAN, 32-d, entered by inversion",
    "umap": "UMAP, 2-d, network decoder",
    "umap_knn": "UMAP, 2-d, kNN decoder",
}
WALKERS = ("agent", "line")
SHOWN = (
    "validity", "l2_input", "knn_ratio", "worst_knn_ratio", "queries", "rising_share", "frames", "training_queries",
    "training_cpu_seconds",
)  # fmt: skip
FACTS = {"class_kept": "class kept", "reconstruction_mse": "reconstruction MSE", "accuracy": "classifier accuracy"}


def measure(options: Options) -> Iterator[Record]:
    """Both walkers on every manifold of every split."""
    recipe = shipped_recipe()
    before = options.before if options.keep else {}
    cells = {**before.get("cells", {}), **{name: {walker: [] for walker in WALKERS} for name in options.manifolds}}
    made = before.get("made") or dict.fromkeys(before.get("cells", {}), before.get("command", ""))
    made = {**made, **dict.fromkeys(options.manifolds, options.command)}
    for walker in options.walkers:
        for seed in options.splits:

            def run(name: str, walker: str = walker, seed: int = seed) -> Run:
                if walker == "line":
                    return rival_run("line", seed, options.cache, name)
                return agent_run(recipe, seed, seed, options.cache, name)

            found = options.runner([run(name) for name in options.manifolds], f"{walker}, split {seed}")
            for name, cell in zip(options.manifolds, found, strict=True):
                cells[name][walker].append({**cell, "bed_seed": seed})
            yield {"made": made, "recipe": recipe, "cells": cells}


def page(record: Record) -> str:
    """A table of walks, and one of what each manifold keeps of held-out digits before any walk."""
    walks, facts = [], []
    for walker in WALKERS:
        for name, title in MANIFOLDS.items():
            if found := record["cells"].get(name, {}).get(walker, []):
                figures = [spread([value_of(cell, c) for cell in found], COLUMNS[c][1]) for c in SHOWN]
                walks.append([title, walker, len(found), *figures])
    for name, title in MANIFOLDS.items():
        if found := [cell["split"] for cell in max(record["cells"].get(name, {"": []}).values(), key=len)]:
            facts.append([title, *(spread([split[fact] for split in found], 4) for fact in FACTS)])
    return render(
        "digits_manifolds",
        made=made_by(record["made"]),
        walks=table(["manifold", "walker", "splits", *(COLUMNS[c][0] for c in SHOWN)], walks, "llr"),
        facts=table(["manifold", *FACTS.values()], facts),
    )


def made_by(made: dict[str, str]) -> str:
    """A line for each command, with the rows that it made where there are several."""
    commands = list(dict.fromkeys(made.values()))
    if len(commands) == 1:
        return f"Made by `{commands[0]}`."
    rows = {command: "; ".join(MANIFOLDS[name] for name in made if made[name] == command) for command in commands}
    return "\n".join(f"Rows of {rows[command]}: made by `{command}`.\n" for command in commands)


EXPERIMENT = Experiment(
    "digits_manifolds", __doc__, measure, page,
    flags={
        "--splits": whole_numbers(0, 1, 2),
        "--manifolds": one_of(list(MANIFOLDS)),
        "--walkers": one_of(WALKERS, "line", "agent"),
        "--keep": {"action": "store_true", "help": "leave the rows of other manifolds in --out as they stand"},
    },
)  # fmt: skip

if __name__ == "__main__":
    EXPERIMENT.main()
