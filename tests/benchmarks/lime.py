"""Latent LIME against plain LIME along paths on digits: does the explanation hang on the dice, and does it fit?

    python -m tests.benchmarks.lime                   # 3 beds, 20 paths each, 5 seeds of the neighbours

Paths of the line walker on the frozen bed (digits_bed.py); explained is p(target) at the first, middle and last frame. For
each method and frame: Spearman's rank correlation of the coefficients between seeds (mean over pairs of seeds), overlap of
the five largest, weighted R2 of the local fit, CPU time, rows asked, and how far what was asked about lies from the data
(distance to the 5 nearest training digits, over the same for held-out digits; plain LIME's neighbours drawn as it draws
them). Latent coefficients are compared as they are (8) and as slopes by pixel (64): fewer numbers are easier to rank.

Writes docs/results/lime.json and .md.
"""

from __future__ import annotations

import argparse
import platform
import shlex
import sys
import time
from functools import partial
from itertools import combinations
from pathlib import Path
from statistics import fmean, stdev
from typing import Any

import numpy as np

from agents.cli import prepare_process
from agents.files import write_whole
from tests.benchmarks.digits_cells import ROOT, kept
from tests.benchmarks.results import as_json

LATENT = ((100, 0.5), (200, 0.25), (200, 0.5), (200, 1.0), (1000, 0.5))  # samples, neighbourhood
PLAIN = (200, 1000)
TOP = 5
COLUMNS = {
    "rank correlation": 3, "top 5 in common": 3, "R2": 3, "lowest tenth of R2": 3, "distance from data": 2, "rows asked": 0,
    "CPU-ms": 2,
}  # fmt: skip
AIMS = {"rank correlation": 0.95, "R2": 0.7}


def measured(bed_seed: int, paths: int, seeds: int) -> dict[str, dict[str, float]]:
    """method -> column -> figure of one bed."""
    from agents.explain import explain
    from agents.explanation.metrics.path import knn_distance
    from tests.benchmarks.digits_bed import make_bed

    bed = make_bed(bed_seed)
    walked = explain(bed.world, list(range(paths)), bed.targets[:paths].tolist(), "line", max_steps=100)
    points = [(path, t) for path in walked for t in sorted({0, path.steps // 2, path.steps})]
    bank = bed.reference.bank
    usual = float(knn_distance(bed.reference.real, bank).mean())
    found: dict[str, dict[str, float]] = {}
    for samples, width in LATENT:
        by_code, by_pixel, cost = _latent(bed.world, points, samples, width, seeds)
        far = float(knn_distance(_latent_neighbours(bed.world, points, width), bank).mean()) / usual
        name = f"latent, {samples} rows, neighbourhood {width:g}"
        found[name] = {**_agreement(*by_code), "distance from data": far, **cost}
        found[f"{name}, by pixel"] = {**_agreement(by_pixel, by_code[1]), "distance from data": far, **cost}
    for samples in PLAIN:
        weights, fits, cost = _plain(bed.world, points, samples, seeds)
        far = float(knn_distance(_masked(bed.world, points), bank).mean()) / usual
        found[f"plain, {samples} rows"] = {**_agreement(weights, fits), "distance from data": far, **cost}
    return found


def _latent(world: Any, points: list[Any], samples: int, width: float, seeds: int) -> tuple[Any, np.ndarray, dict[str, float]]:
    """Latent LIME of all points in one batch a seed: coefficients and R2, slopes by pixel, cost."""
    import torch

    from agents.explanation.local.latent_lime import in_data_space, latent_slopes

    z = torch.from_numpy(np.stack([path.z[t] for path, t in points]))
    factual = torch.from_numpy(np.stack([path.source_input for path, _ in points]))
    columns = torch.tensor([path.target for path, _ in points])
    started = time.process_time()
    every = [
        latent_slopes(world, z, factual, columns, samples=samples, neighbourhood=width, seed=seed) for seed in range(seeds)
    ]
    spent = 1000 * (time.process_time() - started) / (seeds * len(points))
    pixels = np.stack([in_data_space(world, z, local.latent).flatten(1).numpy() for local in every])
    codes, fits = np.stack([local.latent.numpy() for local in every]), np.stack([local.r2.numpy() for local in every])
    return (codes, fits), pixels, {"rows asked": samples, "CPU-ms": spent}


def _plain(world: Any, points: list[Any], samples: int, seeds: int) -> tuple[np.ndarray, np.ndarray, dict[str, float]]:
    """Plain LIME of every point, one after the other."""
    from agents.explanation.local.plain_lime import plain_lime

    shown = [path.frames(world)[t] for path, t in points]
    started = time.process_time()
    every = [
        [plain_lime(world, x, path.target, samples=samples, seed=seed) for x, (path, _) in zip(shown, points, strict=True)]
        for seed in range(seeds)
    ]
    spent = 1000 * (time.process_time() - started) / (seeds * len(points))
    weights = np.array([[local.weights.ravel() for local in row] for row in every])
    return weights, np.array([[local.r2 for local in row] for row in every]), {"rows asked": samples, "CPU-ms": spent}


def _agreement(coefficients: np.ndarray, r2: np.ndarray) -> dict[str, float]:
    """Of coefficients (seeds, points, n) and fits (seeds, points)."""
    from scipy.stats import spearmanr

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
    """What latent LIME asks about: n neighbours a point, decoded."""
    import torch

    from agents.walkers.follow import latent_step

    z = torch.from_numpy(np.stack([path.z[t] for path, t in points]))
    spread = width * latent_step(world) / z.shape[1] ** 0.5
    draws = torch.randn(n, *z.shape, generator=torch.Generator().manual_seed(0)) * spread
    with torch.inference_mode():
        return np.asarray(world.manifold.decode((z + draws).flatten(0, 1)).numpy())


def _masked(world: Any, points: list[Any], n: int = 20) -> np.ndarray:
    """What plain LIME asks about: pixels set to zero, each with probability one half."""
    shown = np.stack([path.frames(world)[t] for path, t in points])
    kept_pixels = np.random.default_rng(0).integers(0, 2, (n, *shown.shape))
    return np.asarray((kept_pixels * shown).reshape(-1, *shown.shape[1:]))


def markdown(beds: dict[str, Any], command: str) -> str:
    """The table as a page."""
    lines = ["# LIME along paths: on the manifold and off it", "", f"Made by `{command}`: mean and standard deviation over"]
    lines += [f"{len(beds)} bed(s).", "", "| method | " + " | ".join(COLUMNS) + " |", "|---|" + "---:|" * len(COLUMNS)]
    for name in next(iter(beds.values())):
        cells = []
        for column, digits in COLUMNS.items():
            values = [bed[name][column] for bed in beds.values()]
            spread = f" ± {stdev(values):.{digits}f}" if len(values) > 1 and digits else ""
            cells.append(f"{fmean(values):.{digits}f}{spread}")
        lines.append(f"| {name} | " + " | ".join(cells) + " |")
    own = "latent, 200 rows, neighbourhood 0.5"
    lines += ["", f"Aims for the default ({own}):"]
    for column, aim in AIMS.items():
        value = fmean(bed[own][column] for bed in beds.values())
        lines.append(f"- {column} >= {aim}: {value:.3f}, {'reached' if value >= aim else 'NOT reached'}.")
    return "\n".join([*lines, ""])


def main() -> None:
    """The script."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--beds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--paths", type=int, default=20)
    parser.add_argument("--seeds", type=int, default=5, help="of the neighbours")
    parser.add_argument("--cache", type=Path, default=ROOT / "runs" / "benchmark-cache", help="where finished beds are kept")
    parser.add_argument("--fresh", action="store_true", help="measure every bed again")
    parser.add_argument("--out", type=Path, default=ROOT / "docs" / "results" / "lime", help="without ending")
    options = parser.parse_args()
    prepare_process()
    about = {"lime": [LATENT, PLAIN], "paths": options.paths, "seeds": options.seeds}
    beds = {}
    for bed in options.beds:
        measure = partial(measured, bed, options.paths, options.seeds)
        beds[str(bed)] = kept(options.cache, {**about, "bed": bed}, measure, options.fresh)
    command = shlex.join(["python", "-m", "tests.benchmarks.lime", *sys.argv[1:]])
    page = markdown(beds, command)
    print(page)
    record = {"command": command, "python": platform.python_version(), "beds": beds}
    write_whole(options.out.with_suffix(".json"), as_json(record))
    write_whole(options.out.with_suffix(".md"), page)


if __name__ == "__main__":
    main()
