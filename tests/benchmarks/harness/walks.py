"""One run of a comparison of walkers: a rival or a trained agent walks all items of a split, and its paths are measured."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import torch
import yaml
from torch import Tensor

from agents.explain import explain
from agents.explanation.figures.table_cells import NOTICEABLE
from agents.explanation.metrics.cost import time_alone
from agents.explanation.metrics.evaluate import evaluate_paths
from agents.explanation.metrics.path import knn_distance_to_class
from agents.training.algorithms import HYPERPARAMETER_FOLDER, load_hyperparameters
from agents.walkers.planning.last_step import PLANS
from agents.walkers.policy import PolicyWalker
from envs.datasets import TableUnits
from tests.benchmarks.harness.models import trained
from tests.benchmarks.harness.runs import cpu_seconds, digest
from tests.benchmarks.harness.splits import Split, oracles_of_split

ALGO, ENV = "ppo", "Manifold/Digits-v0"
MOST_STEPS = 100  # of the rivals: none is cut off by the agent's own limit
ALONE = 20  # items that are explained one at a time, for the latency
#: name in the table -> (walker, its settings). All stop at the same p and have the same finer last step as the agent.
RIVALS: dict[str, tuple[str, dict[str, Any]]] = {
    "line": ("line", {}),
    "line, plain neighbour": ("line", {"arriving": False}),
    "spheres": ("spheres", {}),
    "greedy": ("greedy", {}),
    "random": ("random", {}),
    "gradient (white box)": ("gradient", {"closeness": 0.0}),
    "pullback gradient (white box)": ("pullback_gradient", {}),
}
#: code that the figures of walks depend on: worlds, walkers, training, measures, splits
SOURCES = (
    "envs/**/*.py", "agents/walkers/*.py", "agents/train*.py", "agents/explanation/metrics*.py", "agents/training/vec_env.py",
    "agents/explanation/explain.py", "tests/benchmarks/harness/splits.py", "tests/benchmarks/harness/walks.py",
)  # fmt: skip


# ---- recipes of agents ------------------------------------------------------------------------------------------------


def recipe_of(variant: dict[str, Any]) -> dict[str, Any]:
    """The whole recipe of a variant of digits_variants.yml: settings of algorithm and world, steps, and how to walk."""
    unknown = set(variant) - {"hyperparams", "env_kwargs", "walker", "share_of_steps"}
    if unknown:
        raise SystemExit(f"error: digits_variants.yml: unknown keys {sorted(unknown)}")
    settings = load_hyperparameters(ALGO, ENV, variant.get("hyperparams"))
    env_kwargs = {**settings.pop("env_kwargs", {}), **variant.get("env_kwargs", {})}
    env_kwargs.setdefault("gamma", settings.get("gamma", 0.98))
    steps = int(settings.pop("n_timesteps", 200_000) * variant.get("share_of_steps", 1))
    return {
        "hyperparams": settings,
        "env_kwargs": env_kwargs,
        "walks": yaml.safe_load((HYPERPARAMETER_FOLDER / "walks.yml").read_text())["probabilities"],
        "n_timesteps": steps,
        "walker": {"plan": True, "refine": 2, "retries": 2, **variant.get("walker", {})},
    }


def shipped_recipe() -> dict[str, Any]:
    """The recipe of a user who chooses nothing: training chooses its settings by the kind of world.

    The files that it chooses from are part of the recipe.
    """
    files = {file.stem: yaml.safe_load(file.read_text()) for file in sorted(HYPERPARAMETER_FOLDER.glob("walks*.yml"))}
    plain = recipe_of({})
    return {**plain, "env_kwargs": {}, "hyperparams": {}, "chosen_from": {**files, ALGO: plain["hyperparams"]}}


def agent_walker(
    run: Any, plan: bool = True, refine: int = 2, retries: int = 2, ensemble: bool = True, ends: str = "near"
) -> Any:
    """The run's policy as a walker. Its last step is planned on the run's surrogate (and checked by its ensemble), or
    refined by the secant; `ends` is one of `agents.walkers.planning.last_step.PLANS`."""
    second = run.ensemble if plan and ensemble else None
    surrogate = run.surrogate if plan else None
    return PolicyWalker(run.model, surrogate, refine=refine, retries=retries, ensemble=second, plan=PLANS[ends])


def trained_by(recipe: dict[str, Any], split: Split, seed: int, cache: Path, which: dict[str, Any]) -> Any:
    """The run of a recipe; variants that differ in how they walk share a training. `which` says on what split."""
    named = ("hyperparams", "env_kwargs", "walks", "n_timesteps", "chosen_from")
    parts = {name: recipe[name] for name in named if name in recipe}
    folder = cache / f"run-{digest({**parts, **which, 'seed': seed}, SOURCES)}"
    settings = {"n_timesteps": recipe["n_timesteps"], "hyperparams": recipe["hyperparams"]}
    return trained(folder, split.world, algo=ALGO, seed=seed, **settings)


def training_cost(run: Any) -> dict[str, float]:
    """Rows that the classifier answered before the first explanation (two for each start), and CPU seconds."""
    queries = run.queries + 2 * len(run.world.reference.x)
    return {"training_queries": queries, "training_cpu_seconds": run.progress["cpu_seconds"]}


# ---- measures ---------------------------------------------------------------------------------------------------------


def measured(
    split: Split, source: Any, walker: Any, max_steps: int | None, seed: int = 0, cache: Path | None = None
) -> dict[str, Any]:
    """Walk all items of a split of pictures and measure, by independent oracles too; then some alone, for the latency."""
    rows, targets = list(range(len(split.x))), split.targets.tolist()
    paths, seconds = cpu_seconds(lambda: explain(source, rows, targets, walker, max_steps=max_steps, seed=seed))
    found = evaluate_paths(split.world, paths, split.reference, oracles=oracles_of_split(split, cache))
    found |= time_alone(lambda row: explain(source, row, targets[row], walker, max_steps=max_steps, seed=seed), rows[:ALONE])
    return {
        "measures": {name: value.as_dict() for name, value in found.items()},
        "failed": [path.index for path in paths if not path.success],
        "items": len(paths),
        "cpu_ms": 1000 * seconds / len(paths),
        "training_queries": paths[0].training_queries,
        "training_cpu_seconds": 0.0,
        "split": split.facts,
        "frame_0_of_another_class": sum(int(path.predicted[0] != path.source) for path in paths),
    }


def value_of(cell: dict[str, Any], column: str) -> float | None:
    """A figure of a run; None where it is unknown."""
    found = cell["measures"][column]["value"] if column in cell["measures"] else cell[column]
    return None if found is None else float(found)


def measured_rows(
    split: Split, source: Any, walker: Any, max_steps: int | None, seed: int = 0, cache: Path | None = None
) -> dict[str, Any]:
    """The same of a table, in the user's own values: name -> figure (a mean over items unless said)."""
    rows, targets = list(range(len(split.x))), split.targets.tolist()
    paths, seconds = cpu_seconds(lambda: explain(source, rows, targets, walker, max_steps=max_steps, seed=seed))
    frames = [path.frames(split.world) for path in paths]
    found = judged_rows(split, frames, np.array([path.success for path in paths]), oracles_of_split(split, cache))
    alone = time_alone(
        lambda row: explain(source, row, targets[row], walker, max_steps=max_steps, seed=seed), range(ALONE), seed
    )
    usual = evaluate_paths(split.world, paths, split.reference, resamples=10)
    shared = ("validity_90", "validity_argmax", "worst_knn_ratio", "queries", "rising_share", "straightness", "frames",
              "path_length", "p_end")  # fmt: skip
    return {
        **found, **{name: value.value for name, value in alone.items()}, **{name: usual[name].value for name in shared},
        "items": len(paths), "cpu_ms": 1000 * seconds / len(paths), "training_queries": float(paths[0].training_queries),
        "split": split.facts,
    }  # fmt: skip


def judged_rows(split: Split, frames: list[np.ndarray], valid: np.ndarray, oracles: Any = None) -> dict[str, float]:
    """What the frames (T+1, D) of each item are worth as rows in the user's own values; distances over valid items.

    Frames are rounded to the nearest valid row first: those are what is shown and what the classifier was queried for.
    """
    units, wanted = split.world.units, split.targets.numpy()
    assert isinstance(units, TableUnits)
    ends = units.outward(torch.from_numpy(np.stack([shown[-1] for shown in frames])))
    first = units.outward(torch.from_numpy(np.stack([shown[0] for shown in frames])))
    rows = units.rows(torch.from_numpy(np.concatenate(frames)))
    inputs = np.repeat(units.rows(split.x), [len(shown) for shown in frames], axis=0)
    names = [column.name for column in units.table.columns]
    fixed = [j for j, column in enumerate(units.table.columns) if column.immutable]
    age = names.index("age")
    broken = (rows[:, fixed] != inputs[:, fixed]).any(1) | (rows[:, age] < inputs[:, age])
    outside = np.zeros(len(rows), dtype=bool)
    for j, column in enumerate(units.table.columns):
        if column.kind == "number":
            values = rows[:, j].astype(float)
            outside |= (values < column.low) | (values > column.high)
    near = knn_distance_to_class(ends.numpy(), wanted, split.reference.bank, split.reference.bank_classes)

    def mean(values: np.ndarray) -> float:
        return float(values[valid].mean()) if valid.any() else float("nan")

    independent = {}
    if oracles is not None:
        independent["im1"] = mean(oracles.im1(ends.numpy(), 1 - wanted, wanted))
        independent["oracle"] = mean((oracles.sees(ends.numpy()) == wanted).astype(float))
    return {
        **independent,
        "validity": float(valid.mean()),
        "changed_columns": mean(_changed(units, ends, split.x)),
        "changed_since_frame_0": mean(_changed(units, ends, first)),
        "immutables_violated": float(broken.sum()),
        "outside_range": float(outside.sum()),
        "l2_input": mean((ends - split.x).norm(dim=1).numpy()),
        "knn_ratio": mean(near) / split.reference.typical_distance(),
    }


def _changed(units: Any, rows: Tensor, other: Tensor) -> np.ndarray:
    """Number of columns (B,) that differ: a category at all, a number by more than a tenth of its standard deviation."""
    differ = (rows - other).abs() > NOTICEABLE
    count = torch.zeros(len(rows))
    for column, first in zip(units.table.columns, units.places, strict=True):
        count += differ[:, first : first + column.width].any(1)
    return count.numpy()
