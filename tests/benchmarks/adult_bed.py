"""The frozen bed of UCI Adult: who earns more than 50,000 dollars a year? Numbers and categories together.

From a seed: 30 % of the 32,561 rows of adult.data are held out, stratified; a network 64-64 and a table VAE are fitted to the
rest as `envs.make_world` does for any CSV. The first 500 held-out rows are explained, each towards the other class, until the
classifier's decision changes (p >= 0.5): in a table with two classes the decision is what is asked about.

Race, sex and native country cannot change, age can only rise. `fnlwgt` (a sampling weight) and `education-num` (education once
more) are left out.
"""

from __future__ import annotations

import csv
import os
import time
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from agents.explanation.figures.table_cells import NOTICEABLE
from agents.explanation.metrics.cost import time_alone
from agents.explanation.metrics.evaluate import Reference, evaluate_paths
from agents.explanation.metrics.path import knn_distance_to_class
from envs.building.world import make_world
from envs.core.world import World
from envs.datasets import TableUnits

ROOT = Path(__file__).resolve().parents[2]
NAMES = ["age", "workclass", "fnlwgt", "education", "education-num", "marital-status", "occupation", "relationship", "race",
         "sex", "capital-gain", "capital-loss", "hours-per-week", "native-country", "income"]  # fmt: skip
DESCRIPTION = {
    "target": "income",
    "columns": {
        "fnlwgt": {"kind": "ignore"},
        "education-num": {"kind": "ignore"},
        "age": {"kind": "number", "only": "up"},
        **{name: {"kind": "category", "immutable": True} for name in ("race", "sex", "native-country")},
    },
}
ITEMS = 500
TAU = 0.5


@dataclass(frozen=True)
class AdultBed:
    """A fitted bed.

    Attributes:
        world: of this seed, at the defaults or with the recipe's arguments.
        x: (500, D) encoded rows to be explained.
        targets: (500,) the other class.
        reference: encoded real rows: the starts with the classifier's classes, and all held-out rows.
        facts: for the record.
    """

    world: World
    x: Tensor
    targets: Tensor
    reference: Reference
    facts: dict[str, float]


def data_folder() -> Path:
    """$MANIFOLD_DATA, else shared/data beside the checkout."""
    folder = Path(os.environ.get("MANIFOLD_DATA") or ROOT.parent / "shared" / "data")
    if not (folder / "adult" / "adult.data").is_file():
        raise SystemExit("error: no adult/adult.data: set MANIFOLD_DATA to the folder that holds adult/")
    return folder


def adult_csv(cache: Path) -> Path:
    """adult.data with a first line of names."""
    file = cache / "adult.csv"
    if not file.is_file():
        cache.mkdir(parents=True, exist_ok=True)
        rows = csv.reader((data_folder() / "adult" / "adult.data").open(), skipinitialspace=True)
        with file.open("w", newline="") as stream:
            csv.writer(stream).writerows([NAMES, *(row for row in rows if len(row) == len(NAMES))])
    return file


@lru_cache(maxsize=2)
def _fitted(seed: int, cache: Path) -> World:
    return make_world(data=str(adult_csv(cache)), columns=DESCRIPTION, seed=seed, task="reach")


def make_bed(seed: int, cache: Path, **world_kwargs: Any) -> AdultBed:
    """The bed of a seed; `world_kwargs` (move, reward ...) are the agent's affair. No step is longer than 1/6 of the class
    distance, whatever they are."""

    whole = _fitted(seed, cache)
    world = whole.replace(**{**world_kwargs, "tau": TAU, "max_step": 1 / 6})
    held_out = world.held_out
    assert held_out.truth is not None
    x = held_out.x[:ITEMS]
    asked = world.classifier.queries
    with torch.inference_mode():
        seen = torch.cat([world.classifier.predict_proba(part).argmax(1) for part in held_out.x.split(4096)])
        reconstructed = world.classifier.predict_proba(world.decode(world.manifold.encode(x), x)).argmax(1)
    world.classifier.queries = asked  # what the bed asks for its record is nobody's query
    facts = {
        "accuracy": float((seen == held_out.truth).float().mean()),
        "reconstructions_of_the_same_class": float((reconstructed == seen[:ITEMS]).float().mean()),
        "class_distance": world.class_distance,
        "step_bound": world.class_distance / 6,
    }
    reference = Reference(
        world.reference.x.numpy(), world.reference.label.numpy(), held_out.x.numpy(), seen.numpy()
    )
    return AdultBed(world, x, 1 - seen[:ITEMS], reference, facts)


def measure(
    bed: AdultBed, source: Any, walker: Any, max_steps: int | None = None, seed: int = 0, oracles: Any = None, alone: int = 20
) -> dict[str, Any]:
    """Walk the bed's rows and measure: name -> figure (a mean over items unless said)."""
    from agents.explain import explain

    started = time.process_time()
    paths = explain(source, list(range(len(bed.x))), bed.targets.tolist(), walker, max_steps=max_steps, seed=seed)
    seconds = time.process_time() - started
    frames = [path.frames(bed.world) for path in paths]
    found = judge(bed, frames, np.array([path.success for path in paths]), oracles)

    def one(row: int) -> None:
        explain(source, row, int(bed.targets[row]), walker, max_steps=max_steps, seed=seed)

    found |= {name: value.value for name, value in time_alone(one, range(alone), seed).items()}
    usual = evaluate_paths(bed.world, paths, bed.reference, resamples=10)
    usually = ("validity_90", "validity_argmax", "worst_knn_ratio", "queries", "rising_share", "straightness", "frames",
               "path_length", "p_end")  # fmt: skip
    for name in usually:
        found[name] = usual[name].value
    return {
        **found,
        "items": len(paths),
        "cpu_ms": 1000 * seconds / len(paths),
        "training_queries": float(paths[0].training_queries),
    }


def judge(bed: AdultBed, frames: list[np.ndarray], valid: np.ndarray, oracles: Any = None) -> dict[str, float]:
    """What the frames (T+1, D) of each item are worth as rows in the user's own values; distances over valid items.

    Frames are rounded to the nearest valid row first: those are what is shown and what the classifier was asked.
    """
    units = bed.world.units
    assert isinstance(units, TableUnits)
    ends = units.outward(torch.from_numpy(np.stack([shown[-1] for shown in frames])))
    first = units.outward(torch.from_numpy(np.stack([shown[0] for shown in frames])))
    rows = units.rows(torch.from_numpy(np.concatenate(frames)))
    inputs = np.repeat(units.rows(bed.x), [len(shown) for shown in frames], axis=0)
    names = [column.name for column in units.table.columns]
    fixed = [j for j, column in enumerate(units.table.columns) if column.immutable]
    age = names.index("age")
    broken = (rows[:, fixed] != inputs[:, fixed]).any(1) | (rows[:, age] < inputs[:, age])
    outside = np.zeros(len(rows), dtype=bool)
    for j, column in enumerate(units.table.columns):
        if column.kind == "number":
            values = rows[:, j].astype(float)
            outside |= (values < column.low) | (values > column.high)
    near = knn_distance_to_class(ends.numpy(), bed.targets.numpy(), bed.reference.bank, bed.reference.bank_classes)
    changed, moved = _changed(units, ends, bed.x), _changed(units, ends, first)
    gap = (ends - bed.x).norm(dim=1).numpy()

    def mean(values: np.ndarray) -> float:
        return float(values[valid].mean()) if valid.any() else float("nan")

    said = {}
    if oracles is not None:
        wanted = bed.targets.numpy()
        said["im1"] = mean(oracles.im1(ends.numpy(), 1 - wanted, wanted))
        said["oracle"] = mean((oracles.sees(ends.numpy()) == wanted).astype(float))
    return {
        **said,
        "validity": float(valid.mean()),
        "changed_columns": mean(changed),
        "changed_since_frame_0": mean(moved),
        "immutables_violated": float(broken.sum()),
        "outside_range": float(outside.sum()),
        "l2_input": mean(gap),
        "knn_ratio": mean(near) / bed.reference.typical_distance(),
    }


def _changed(units: TableUnits, rows: Tensor, other: Tensor) -> np.ndarray:
    """Number of columns (B,) that differ: a category at all, a number by more than a tenth of its standard deviation."""
    differ = (rows - other).abs() > NOTICEABLE
    count = torch.zeros(len(rows))
    for column, first in zip(units.table.columns, units.places, strict=True):
        count += differ[:, first : first + column.width].any(1)
    return count.numpy()
