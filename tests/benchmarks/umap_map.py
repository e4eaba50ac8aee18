"""The UMAP map's ways onto it and back, beside umap-learn's own: how true, and how quick.

    python -m tests.benchmarks.umap_map                # 3 splits of the digits; about a minute
    python -m tests.benchmarks.umap_map --seeds 0

Writes docs/results/umap_map.json and .md. Needs umap-learn. Times are CPU seconds of one thread.
"""

from __future__ import annotations

import argparse
import shlex
import sys
import time
from collections.abc import Callable
from pathlib import Path
from statistics import fmean
from typing import Any

from agents.cli import prepare_process
from tests.benchmarks.results import as_json

ROOT = Path(__file__).resolve().parents[2]
INVERTED = 60  # held-out digits that umap-learn's slow inverse is tried on
ROWS = {
    "trustworthiness_starts": "trustworthiness of the map, starts",
    "trustworthiness_held_out": "trustworthiness of the map, held out",
    "class_kept": "class kept",
    "reconstruction_mse": "reconstruction MSE",
    "encode_one_ms": "onto the map, one datum, CPU-ms",
    "decode_one_ms": "back, one point, CPU-ms",
    "decode_256_ms": "back, 256 points, CPU-ms",
}
WAYS = {"mlp": "network decoder", "knn": "kNN decoder", "umap_learn": "umap-learn's own"}


def milliseconds(function: Callable[[], Any], repeats: int) -> float:
    """CPU milliseconds of a call, after one that warms up."""
    function()
    started = time.process_time()
    for _ in range(repeats):
        function()
    return 1000 * (time.process_time() - started) / repeats


def of_seed(seed: int) -> dict[str, dict[str, float]]:
    """The figures of one split: way -> row -> value."""
    import torch
    from sklearn.manifold import trustworthiness
    from umap import UMAP

    from envs.assets.make import digits_bed
    from envs.datasets import DATASETS
    from envs.manifolds import UMAPMap

    data = DATASETS["digits"](seed=seed)
    x, held_out = torch.from_numpy(data.x), torch.from_numpy(data.held_out)
    classifier = digits_bed(seed)[0]

    def measured(encode: Any, decode: Any, n: int, repeats: int) -> dict[str, float]:
        rows = held_out[:n]
        with torch.inference_mode():
            places, z = encode(x), encode(rows)
            frames = decode(z)
            kept = classifier(frames).argmax(1) == classifier(rows).argmax(1)
            everything = encode(held_out)
            many = z[torch.arange(256) % n]
            return {
                "trustworthiness_starts": trustworthiness(x.flatten(1), places, n_neighbors=12),
                "trustworthiness_held_out": trustworthiness(held_out.flatten(1), everything, n_neighbors=12),
                "class_kept": float(kept.float().mean()),
                "reconstruction_mse": float((frames - rows).square().mean()),
                "encode_one_ms": milliseconds(lambda: encode(rows[:1]), repeats),
                "decode_one_ms": milliseconds(lambda: decode(z[:1]), repeats),
                "decode_256_ms": milliseconds(lambda: decode(many), repeats),
            }

    found = {}
    for decoder in ("mlp", "knn"):
        own = UMAPMap.fit(x, decoder=decoder, seed=seed)
        found[decoder] = measured(own.encode, own.decode, len(held_out), 50)
    library = UMAP(n_neighbors=15, min_dist=0.5, random_state=seed, n_jobs=1).fit(x.flatten(1).numpy())
    found["umap_learn"] = measured(
        lambda rows: torch.from_numpy(library.transform(rows.flatten(1).numpy())),
        lambda z: torch.from_numpy(library.inverse_transform(z.numpy())).float().view(-1, 8, 8), INVERTED, 1,
    )  # fmt: skip
    return found


def markdown(found: list[dict[str, dict[str, float]]], seeds: list[int], command: str) -> str:
    """The page."""
    lines = ["# The UMAP map and umap-learn's own ways", "", f"Made by `{command}`.", ""]
    lines += [f"Digits, splits {', '.join(map(str, seeds))}: mean and range. umap-learn's own on {INVERTED} held-out digits."]
    lines += ["", "| | " + " | ".join(WAYS.values()) + " |", "|---|" + "---:|" * len(WAYS)]
    for row, title in ROWS.items():
        cells = []
        for way in WAYS:
            values = [one[way][row] for one in found]
            digits = 1 if fmean(values) >= 100 else 4
            cells.append(f"{fmean(values):,.{digits}f} ({min(values):,.{digits}f} to {max(values):,.{digits}f})")
        lines.append(f"| {title} | " + " | ".join(cells) + " |")
    return "\n".join(lines) + "\n"


def main() -> None:
    """The script."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--out", type=Path, default=ROOT / "docs" / "results" / "umap_map", metavar="STEM")
    options = parser.parse_args()
    prepare_process()
    found = [of_seed(seed) for seed in options.seeds]
    command = shlex.join(["python", "-m", "tests.benchmarks.umap_map", *sys.argv[1:]])
    page = markdown(found, options.seeds, command)
    options.out.parent.mkdir(parents=True, exist_ok=True)
    whole = {"command": command, "seeds": options.seeds, "found": found}
    options.out.with_suffix(".json").write_text(as_json(whole))
    options.out.with_suffix(".md").write_text(page)
    print(page)


if __name__ == "__main__":
    main()
