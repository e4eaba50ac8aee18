"""The UMAP map's encoder and decoders, beside umap-learn's own: how faithful, and how fast.

    python -m tests.benchmarks.umap_map                # 3 splits of the digits; about a minute
    python -m tests.benchmarks.umap_map --seeds 0

Needs umap-learn. Times are CPU seconds of one thread.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial
from statistics import fmean
from typing import Any

import torch
from sklearn.manifold import trustworthiness

from envs.assets.make import models_of_digits
from envs.datasets import DATASETS
from envs.manifolds import UMAPMap
from tests.benchmarks.harness.experiment import Experiment, Options, Record, render, whole_numbers
from tests.benchmarks.harness.runs import Run, cpu_seconds
from tests.benchmarks.harness.tables import listed, spread, table

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
    return 1000 * cpu_seconds(lambda: [function() for _ in range(repeats)])[1] / repeats


def measured(seed: int) -> dict[str, dict[str, float]]:
    """The figures of one split: way -> row -> value."""
    from umap import UMAP

    data = DATASETS["digits"](seed=seed)
    x, held_out = torch.from_numpy(data.x), torch.from_numpy(data.held_out)
    classifier = models_of_digits(seed)[0]

    def figures(encode: Any, decode: Any, n: int, repeats: int) -> dict[str, float]:
        rows = held_out[:n]
        with torch.inference_mode():
            codes, z = encode(x), encode(rows)
            frames = decode(z)
            kept = classifier(frames).argmax(1) == classifier(rows).argmax(1)
            everything = encode(held_out)
            many = z[torch.arange(256) % n]
            return {
                "trustworthiness_starts": trustworthiness(x.flatten(1), codes, n_neighbors=12),
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
        found[decoder] = figures(own.encode, own.decode, len(held_out), 50)
    library = UMAP(n_neighbors=15, min_dist=0.5, random_state=seed, n_jobs=1).fit(x.flatten(1).numpy())
    found["umap_learn"] = figures(
        lambda rows: torch.from_numpy(library.transform(rows.flatten(1).numpy())),
        lambda z: torch.from_numpy(library.inverse_transform(z.numpy())).float().view(-1, 8, 8), INVERTED, 1,
    )  # fmt: skip
    return found


def measure(options: Options) -> Iterator[Record]:
    """Every way on every split."""
    runs = [Run({"umap": seed}, partial(measured, seed), ("envs/manifolds/umap*.py",)) for seed in options.seeds]
    yield {"seeds": options.seeds, "found": options.runner(runs, "splits")}


def page(record: Record) -> str:
    """One table."""
    rows = []
    for row, title in ROWS.items():
        values = {way: [one[way][row] for one in record["found"]] for way in WAYS}
        rows.append([title, *(spread(each, 1 if fmean(each) >= 100 else 4) for each in values.values())])
    seeds = listed(record["seeds"])
    return render(
        "umap_map", command=record["command"], seeds=seeds, inverted=INVERTED, table=table(["", *WAYS.values()], rows)
    )


EXPERIMENT = Experiment("umap_map", __doc__, measure, page, flags={"--seeds": whole_numbers(0, 1, 2)})

if __name__ == "__main__":
    EXPERIMENT.main()
