"""Latent LIME beside plain LIME along paths on digits: how much does an explanation vary with the draws, and does it fit?

    python -m tests.benchmarks.lime                   # 3 splits, 20 paths each, 5 seeds of the neighbours

Paths of the line walker (`harness.splits.digits_split`); explained is p(target) at the first, middle and last frame. For
each method and frame: Spearman's rank correlation of the coefficients between seeds (mean over pairs of seeds), overlap of
the five largest, weighted R2 of the local fit, CPU time, rows queried, and how far these rows lie from the data (distance
to the 5 nearest training digits, over the same for held-out digits; plain LIME's neighbours drawn as it draws them). Latent
coefficients are compared as they are (8) and as slopes by pixel (64): fewer numbers are easier to rank.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from itertools import combinations
from statistics import fmean
from typing import Any

import numpy as np
import torch
from scipy.stats import spearmanr

from agents.explain import explain
from agents.explanation.local.latent_lime import in_data_space, latent_slopes
from agents.explanation.local.plain_lime import plain_lime
from agents.explanation.metrics.path import knn_distance
from agents.walkers.follow import latent_step
from tests.benchmarks.harness.experiment import Experiment, Options, Record, render, whole_numbers
from tests.benchmarks.harness.runs import Run, cpu_seconds
from tests.benchmarks.harness.splits import digits_split
from tests.benchmarks.harness.tables import plus_minus, reached, table
from tests.benchmarks.harness.walks import MOST_STEPS, SOURCES

LATENT = ((100, 0.5), (200, 0.25), (200, 0.5), (200, 1.0), (1000, 0.5))  # samples, neighbourhood
PLAIN = (200, 1000)
TOP = 5
COLUMNS = {
    "rank correlation": 3, "top 5 in common": 3, "R2": 3, "lowest tenth of R2": 3, "distance from data": 2, "rows queried": 0,
    "CPU-ms": 2,
}  # fmt: skip
AIMS = {"rank correlation": 0.95, "R2": 0.7}
DEFAULT = "latent, 200 rows, neighbourhood 0.5"


# ---- run --------------------------------------------------------------------------------------------------------------


def measured(split_seed: int, paths: int, seeds: int) -> dict[str, dict[str, float]]:
    """Method -> column -> figure of one split."""
    split = digits_split(split_seed)
    walked = explain(split.world, list(range(paths)), split.targets[:paths].tolist(), "line", max_steps=MOST_STEPS)
    points = [(path, t) for path in walked for t in sorted({0, path.steps // 2, path.steps})]
    bank = split.reference.bank
    usual = float(knn_distance(split.reference.real, bank).mean())
    found: dict[str, dict[str, float]] = {}
    for samples, width in LATENT:
        by_code, by_pixel, cost = _latent(split.world, points, samples, width, seeds)
        far = float(knn_distance(_latent_neighbours(split.world, points, width), bank).mean()) / usual
        name = f"latent, {samples} rows, neighbourhood {width:g}"
        found[name] = {**_agreement(*by_code), "distance from data": far, **cost}
        found[f"{name}, by pixel"] = {**_agreement(by_pixel, by_code[1]), "distance from data": far, **cost}
    for samples in PLAIN:
        weights, fits, cost = _plain(split.world, points, samples, seeds)
        far = float(knn_distance(_masked(split.world, points), bank).mean()) / usual
        found[f"plain, {samples} rows"] = {**_agreement(weights, fits), "distance from data": far, **cost}
    return found


def _latent(world: Any, points: list[Any], samples: int, width: float, seeds: int) -> tuple[Any, np.ndarray, dict[str, float]]:
    """Latent LIME of all points in one batch a seed: coefficients and R2, slopes by pixel, cost."""
    z = torch.from_numpy(np.stack([path.z[t] for path, t in points]))
    factual = torch.from_numpy(np.stack([path.source_input for path, _ in points]))
    columns = torch.tensor([path.target for path, _ in points])
    every, spent = cpu_seconds(lambda: [
        latent_slopes(world, z, factual, columns, samples=samples, neighbourhood=width, seed=seed) for seed in range(seeds)
    ])  # fmt: skip
    pixels = np.stack([in_data_space(world, z, local.latent).flatten(1).numpy() for local in every])
    codes, fits = np.stack([local.latent.numpy() for local in every]), np.stack([local.r2.numpy() for local in every])
    return (codes, fits), pixels, {"rows queried": samples, "CPU-ms": 1000 * spent / (seeds * len(points))}


def _plain(world: Any, points: list[Any], samples: int, seeds: int) -> tuple[np.ndarray, np.ndarray, dict[str, float]]:
    """Plain LIME of every point, one after the other."""
    shown = [path.frames(world)[t] for path, t in points]
    every, spent = cpu_seconds(lambda: [
        [plain_lime(world, x, path.target, samples=samples, seed=seed) for x, (path, _) in zip(shown, points, strict=True)]
        for seed in range(seeds)
    ])  # fmt: skip
    cost = {"rows queried": samples, "CPU-ms": 1000 * spent / (seeds * len(points))}
    weights = np.array([[local.weights.ravel() for local in row] for row in every])
    return weights, np.array([[local.r2 for local in row] for row in every]), cost


def _agreement(coefficients: np.ndarray, r2: np.ndarray) -> dict[str, float]:
    """Of coefficients (seeds, points, n) and fits (seeds, points)."""
    ranks, common = [], []
    for a, b in combinations(coefficients, 2):
        for one, other in zip(a, b, strict=True):
            ranks.append(spearmanr(one, other).statistic)
            largest = [set(np.argsort(-np.abs(part))[:TOP].tolist()) for part in (one, other)]
            common.append(len(largest[0] & largest[1]) / TOP)
    return {
        "rank correlation": float(np.nanmean(ranks)), "top 5 in common": fmean(common), "R2": float(np.nanmean(r2)),
        "lowest tenth of R2": float(np.nanquantile(r2, 0.1)),
    }  # fmt: skip


def _latent_neighbours(world: Any, points: list[Any], width: float, n: int = 20) -> np.ndarray:
    """The rows that latent LIME queries: n neighbours a point, decoded."""
    z = torch.from_numpy(np.stack([path.z[t] for path, t in points]))
    spread = width * latent_step(world) / z.shape[1] ** 0.5
    draws = torch.randn(n, *z.shape, generator=torch.Generator().manual_seed(0)) * spread
    with torch.inference_mode():
        return np.asarray(world.manifold.decode((z + draws).flatten(0, 1)).numpy())


def _masked(world: Any, points: list[Any], n: int = 20) -> np.ndarray:
    """The rows that plain LIME queries: pixels set to zero, each with probability one half."""
    shown = np.stack([path.frames(world)[t] for path, t in points])
    kept_pixels = np.random.default_rng(0).integers(0, 2, (n, *shown.shape))
    return np.asarray((kept_pixels * shown).reshape(-1, *shown.shape[1:]))


def measure(options: Options) -> Iterator[Record]:
    """Every method on every split."""
    sources = (*SOURCES, "agents/explanation/*lime*.py", "tests/benchmarks/lime.py")
    about = {"lime": [LATENT, PLAIN], "paths": options.paths, "seeds": options.seeds}
    runs = [Run({**about, "split": s}, partial(measured, s, options.paths, options.seeds), sources) for s in options.splits]
    yield {"splits": dict(zip(map(str, options.splits), options.runner(runs, "splits"), strict=True))}


# ---- analyse ----------------------------------------------------------------------------------------------------------


def page(record: Record) -> str:
    """One table, and the aims for the default."""
    splits = list(record["splits"].values())
    rows = [
        [name, *(_text([split[name][column] for split in splits], digits) for column, digits in COLUMNS.items())]
        for name in splits[0]
    ]
    found = {column: fmean(split[DEFAULT][column] for split in splits) for column in AIMS}
    aims = [f"- {name} >= {aim}: {found[name]:.3f}, {reached(found[name], '>=', aim)}." for name, aim in AIMS.items()]
    return render(
        "lime", command=record["command"], count=len(splits), default=DEFAULT, table=table(["method", *COLUMNS], rows),
        aims="\n".join(aims),
    )  # fmt: skip


def _text(values: list[float], digits: int) -> str:
    return plus_minus(values, digits) if digits else f"{fmean(values):.0f}"


EXPERIMENT = Experiment(
    "lime", __doc__, measure, page,
    flags={
        "--splits": whole_numbers(0, 1, 2),
        "--paths": {"type": int, "default": 20},
        "--seeds": {"type": int, "default": 5, "help": "of the neighbours"},
    },
)  # fmt: skip

if __name__ == "__main__":
    EXPERIMENT.main()
