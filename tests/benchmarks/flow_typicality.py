"""Does typicality tell codes off the manifold from real ones, and make ends typical? Ball, neighbours and a flow.

    python -m tests.benchmarks.flow_typicality                          # every set, 2 seeds
    python -m tests.benchmarks.flow_typicality --seeds 0 --sets digits

The real codes are those of held-out rows; flow, ball and neighbours know the reference rows alone. Settings of the flow are
its defaults, which were chosen before any figure here was known.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from agents.explain import explain
from agents.explanation.metrics.evaluate import evaluate_paths
from envs import World
from envs.manifolds.density import Flow
from envs.manifolds.neighbour_density import Neighbours
from tests.benchmarks.harness.experiment import Experiment, Options, Record, one_of, render, whole_numbers
from tests.benchmarks.harness.runs import Run, cpu_seconds
from tests.benchmarks.harness.splits import Split, oracles_of_split, split_of
from tests.benchmarks.harness.tables import spread, table
from tests.benchmarks.harness.walks import SOURCES

SETS = ("digits", "mnist", "adult")
BY = ("ball", "neighbours", "flow")
MOST, FITTED = 500, 10_000  # codes compared, and reference codes known to each
ENDS = 100  # walks
COLUMNS = ("validity", "oracle", "knn_ratio", "l2_input")


def off_manifold(world: World, known: Tensor, real: Tensor, seed: int) -> dict[str, Tensor]:
    """Codes that are not of real data, by kind."""
    draw, d = torch.Generator().manual_seed(seed), known.shape[1]
    far = torch.randn(MOST, d, generator=draw)
    far *= world.manifold.prior.radius / far.norm(dim=1, keepdim=True)
    shuffled = torch.stack([part[torch.randperm(len(known), generator=draw)[:MOST]] for part in known.T], 1)
    label = world.reference.label[: len(known)]
    first, second = (torch.randint(len(known), (4 * MOST,), generator=draw) for _ in range(2))
    other = label[first] != label[second]
    chords = ((known[first] + known[second]) / 2)[other][:MOST]
    noisy = real + known.std(0) * torch.randn(real.shape, generator=draw)
    return {
        "edge of the ball": far,
        "shuffled coordinates": shuffled,
        "half-way between classes": chords,
        "real plus noise": noisy,
    }


def auc(real: np.ndarray, other: np.ndarray) -> float:
    """Share of pairs in which the real code scores higher; ties count half."""
    order = np.sort(other)
    below, upto = np.searchsorted(order, real, "left"), np.searchsorted(order, real, "right")
    return float((below + upto).mean() / (2 * len(other)))


def measured(name: str, seed: int, cache: Path) -> dict[str, Any]:
    """AUCs by kind of code and score, and the ends of walks within each bound."""
    split = split_of(name, seed, cache)
    world = split.world
    known = world.reference.z[:FITTED]
    with torch.inference_mode():
        real = world.manifold.encode(world.held_out.x[:MOST])
    flow, seconds = cpu_seconds(lambda: Flow.fit(known, seed=seed))
    near, near_seconds = cpu_seconds(lambda: Neighbours.fit(known, seed=seed))
    scores: dict[str, Callable[[Tensor], Any]] = {
        "ball": lambda z: -((z - world.manifold.code_mean) / world.manifold.code_scale).square().sum(1).numpy(),
        "neighbours": lambda z: -near.distance(z).numpy(),
        "flow": lambda z: flow.log_prob(z).detach().numpy(),
    }
    codes = off_manifold(world, known, real, seed)
    own = {by: score(real) for by, score in scores.items()}
    found = {kind: {by: auc(own[by], score(z)) for by, score in scores.items()} for kind, z in codes.items()}
    ends: dict[str, dict[str, Any]] = {}
    for by, density in zip(BY, (None, near, flow), strict=True):
        manifold = world.manifold if density is None else world.manifold.with_density(density)
        within = world.replace(manifold=manifold, step_length=world.step_length)
        walked = {"line": (within, "line"), "gradient (white box)": (within, "gradient")}
        for walker, how in walked.items():
            ends.setdefault(walker, {})[by] = ends_of(split, *how, cache)
    return {"auc": found, "ends": ends, "fit_seconds": seconds, "neighbours_seconds": near_seconds}


def ends_of(split: Split, source: World, walker: str, cache: Path) -> dict[str, float]:
    """Measures of walks to the nearest other class, and CPU time an input."""
    paths, seconds = cpu_seconds(lambda: explain(source, list(range(ENDS)), walker=walker))
    real = split.reference._replace(real=split.reference.real[:MOST], real_classes=split.reference.real_classes[:MOST])
    found = evaluate_paths(split.world, paths, real, oracles=oracles_of_split(split, cache), resamples=10)
    return {**{name: float(found[name].value) for name in COLUMNS}, "cpu_ms": 1000 * seconds / ENDS}


def measure(options: Options) -> Iterator[Record]:
    """Every set with every seed; sets that are not asked for keep what was measured before."""
    found: dict[str, list[dict[str, Any]]] = dict(options.before.get("sets", {}))
    for name in options.sets:
        runs = [
            Run({"flow_typicality": name, "seed": seed}, partial(measured, name, seed, options.cache), SOURCES)
            for seed in options.seeds
        ]
        found[name] = options.runner(runs, name)
        yield {"seeds": options.seeds, "sets": {name: found[name] for name in SETS if name in found}}


def page(record: Record) -> str:
    """A table of AUCs and one of ends."""
    sets = record["sets"]
    aucs = [
        [name, kind, *(spread([run["auc"][kind][by] for run in runs], 3) for by in BY)]
        for name, runs in sets.items() for kind in runs[0]["auc"]
    ]  # fmt: skip
    ends = [
        [name, walker, by, *(spread([run["ends"][walker][by][column] for run in runs], 3) for column in COLUMNS),
         spread([run["ends"][walker][by]["cpu_ms"] for run in runs], 1)]
        for name, runs in sets.items() for walker in runs[0]["ends"] for by in BY
    ]  # fmt: skip
    return render(
        "flow_typicality", command=record["command"], seeds=", ".join(map(str, record["seeds"])),
        aucs=table(["data", "codes off the manifold", *BY], aucs),
        ends=table(["data", "walker", "bound", "validity", "oracle agrees", "kNN ratio", "L2", "CPU ms an input"], ends),
        missing=", ".join(name for name in SETS if name not in sets) or "none",
        seconds=spread([run["fit_seconds"] for runs in sets.values() for run in runs], 0),
        neighbours_seconds=spread([run["neighbours_seconds"] for runs in sets.values() for run in runs], 1),
    )  # fmt: skip


EXPERIMENT = Experiment(
    "flow_typicality", __doc__, measure, page, flags={"--seeds": whole_numbers(0, 1), "--sets": one_of(SETS, *SETS)}
)

if __name__ == "__main__":
    EXPERIMENT.main()
