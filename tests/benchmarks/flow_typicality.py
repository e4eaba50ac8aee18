"""Does typicality tell codes off the manifold from real ones? The Gaussian ball, the distance to real codes, and a flow.

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
from agents.explanation.metrics.path import knn_distance, knn_distance_to_class
from envs import World
from envs.manifolds.density import Flow
from tests.benchmarks.harness.experiment import Experiment, Options, Record, one_of, render, whole_numbers
from tests.benchmarks.harness.runs import Run, cpu_seconds
from tests.benchmarks.harness.splits import adult_split, digits_split, mnist_world
from tests.benchmarks.harness.tables import spread, table
from tests.benchmarks.harness.walks import SOURCES

SETS = ("digits", "mnist", "adult")
BY = ("ball", "kNN", "flow")
MOST, FITTED = 500, 10_000  # codes compared, and reference codes known to each
ENDS = 100  # walks by the line


def world_of(name: str, seed: int, cache: Path) -> World:
    """The world of a set: a VAE of its own for each seed, but for MNIST's shipped one."""
    if name == "mnist":
        return mnist_world()
    return digits_split(seed).world if name == "digits" else adult_split(seed, cache).world


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
    """AUCs by kind of code and score, and the ends of walks by the line with and without the flow."""
    world = world_of(name, seed, cache)
    known = world.reference.z[:FITTED]
    with torch.inference_mode():
        real = world.manifold.encode(world.held_out.x[:MOST])
    flow, seconds = cpu_seconds(lambda: Flow.fit(known, seed=seed))
    scale = known.std(0)
    scores: dict[str, Callable[[Tensor], Any]] = {
        "ball": lambda z: -((z - world.manifold.code_mean) / world.manifold.code_scale).square().sum(1).numpy(),
        "kNN": lambda z: -knn_distance((z / scale).numpy(), (known / scale).numpy()),
        "flow": lambda z: flow.log_prob(z).detach().numpy(),
    }
    codes = off_manifold(world, known, real, seed)
    own = {by: score(real) for by, score in scores.items()}
    found = {kind: {by: auc(own[by], score(z)) for by, score in scores.items()} for kind, z in codes.items()}
    with_flow = world.replace(manifold=world.manifold.with_density(flow), step_length=world.step_length)
    ends = {by: ends_of(each) for by, each in (("ball", world), ("flow", with_flow))}
    return {"auc": found, "ends": ends, "fit_seconds": seconds}


def ends_of(world: World) -> dict[str, float]:
    """Validity of the line's ends, and their kNN ratio in data space against real held-out rows."""
    rows = list(range(min(ENDS, len(world.held_out.x))))
    paths = explain(world, rows, walker="line")
    good = [path for path in paths if path.success]
    last = np.stack([np.asarray(path.frames(world)[-1], dtype=np.float64).ravel() for path in good])
    classes = np.array([int(path.predicted[-1]) for path in good])
    bank, label = world.reference.x[:FITTED].flatten(1).numpy(), world.reference.label[:FITTED].numpy()
    real = world.held_out.x[:MOST]
    seen = world.answers_held_out(list(range(len(real)))).argmax(1).numpy()
    usual = knn_distance_to_class(real.flatten(1).numpy(), seen, bank, label).mean()
    return {
        "validity": len(good) / len(paths),
        "knn_ratio": float(np.nanmean(knn_distance_to_class(last, classes, bank, label)) / usual),
    }


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
        [name, by, *(spread([run["ends"][by][column] for run in runs], 3) for column in ("validity", "knn_ratio"))]
        for name, runs in sets.items() for by in ("ball", "flow")
    ]  # fmt: skip
    return render(
        "flow_typicality", command=record["command"], seeds=", ".join(map(str, record["seeds"])),
        aucs=table(["data", "codes off the manifold", *BY], aucs),
        ends=table(["data", "bound", "validity", "kNN ratio"], ends),
        seconds=spread([run["fit_seconds"] for runs in sets.values() for run in runs], 0),
    )  # fmt: skip


EXPERIMENT = Experiment(
    "flow_typicality", __doc__, measure, page, flags={"--seeds": whole_numbers(0, 1), "--sets": one_of(SETS, *SETS)}
)

if __name__ == "__main__":
    EXPERIMENT.main()
