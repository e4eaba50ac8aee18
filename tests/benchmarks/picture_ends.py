"""Ends on MNIST, Fashion-MNIST and digits: do they convince judges from outside, and how plausible, sharp and varied are they?

    python -m tests.benchmarks.picture_ends                        # both sets of 28x28 and the digits, 3 seeds
    python -m tests.benchmarks.picture_ends --data mnist --seeds 0

Held-out pictures walk towards a random other class until p >= 0.9; steps are bounded by 1/6 of the class distance. The agent
is trained as shipped. The judges (pictures/judges.py) learn the true classes of test pictures that are not explained. REVISE
and ECCCo (pictures/rivals.py) descend by the explained network's gradients. Badges are those of the default thresholds.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import lru_cache, partial
from pathlib import Path
from statistics import fmean
from typing import Any

import numpy as np
import torch
from torch import Tensor

from agents.explain import explain
from agents.explanation.badge import HOLDS, badge
from agents.explanation.metrics.oracle import oracles_of
from agents.training.algorithms import load_hyperparameters
from agents.walkers.planning.pictures.ensemble import HALVES
from envs.building.world import make_world
from envs.core.world import World
from envs.datasets import DATASETS
from tests.benchmarks.harness.experiment import Experiment, Options, Record, one_of, render, whole_numbers
from tests.benchmarks.harness.models import trained
from tests.benchmarks.harness.runs import Run, cpu_seconds, digest
from tests.benchmarks.harness.splits import TAU, random_targets
from tests.benchmarks.harness.statistics import interval
from tests.benchmarks.harness.tables import table
from tests.benchmarks.harness.walks import ALGO, SOURCES, agent_walker
from tests.benchmarks.pictures.judges import Judges
from tests.benchmarks.pictures.measures import implausibility, sharpness, variety
from tests.benchmarks.pictures.rivals import eccco, revise

#: data -> the id whose hyperparameters train the agent
DATA = {"mnist": "Manifold/MNIST-v0", "fashion_mnist": "Manifold/FashionMNIST-v0", "digits": "Manifold/Digits-v0"}
TITLES = {"mnist": "MNIST", "fashion_mnist": "Fashion-MNIST", "digits": "Digits"}
#: group -> way -> the plan of the agent's ends
WALKERS = {
    "line": {"line": "", "line, convincing": ""},
    "agent": {"agent": "near", "agent, typical ends": "typical", "agent, convincing": "near"},
}
GROUPS = ("line", "white box", "agent")
ITEMS, BANK, JUDGED_FROM = 300, 10_000, 2000  # judges learn from the test pictures after the first 2,000
CONVINCING = ("valid", "both", "support vectors", "network", "oracle", "holds", "wrong")
LOOKS = ("l2", "l1", "implausibility", "sharpness", "variety", "queries", "frames", "cpu_ms")
COLUMNS = {
    "valid": "valid", "both": "both judges", "support vectors": "support vectors", "network": "network", "oracle": "oracle",
    "holds": "badge: holds", "wrong": "wrong of these", "l2": "L2", "l1": "L1 on [-1, 1]", "implausibility": "implausibility",
    "sharpness": "sharpness", "variety": "variety", "queries": "queries", "frames": "frames", "cpu_ms": "CPU ms",
}  # fmt: skip
DIGITS = {"l2": 2, "l1": 1, "sharpness": 2, "variety": 2, "queries": 1, "frames": 1, "cpu_ms": 1}
TRAINING = ("envs/core/*.py", "envs/gym/*.py", "envs/manifolds/**/*.py", "agents/training/*.py")
OWN = (*SOURCES, "agents/walkers/planning/**/*.py", "agents/explanation/badge/*.py", "tests/benchmarks/pictures/*.py",
       "tests/benchmarks/picture_ends.py")  # fmt: skip


# ---- run --------------------------------------------------------------------------------------------------------------


@lru_cache(maxsize=1)
def judges_of(name: str) -> Judges:
    """Judges fitted to test pictures that are not explained; of the digits too few are left, so that half of the training
    pictures is added: those that the ensemble of convolutions does not learn from."""
    data = DATASETS[name]()
    assert data.held_out is not None
    assert data.held_out_truth is not None
    assert data.truth is not None
    if name != "digits":
        return Judges(data.held_out[JUDGED_FROM:], data.held_out_truth[JUDGED_FROM:], 10)
    rows = torch.randperm(len(data.x), generator=torch.Generator().manual_seed(HALVES))[: len(data.x) // 2].numpy()
    x, truth = ((data.held_out[ITEMS:], data.x[rows]), (data.held_out_truth[ITEMS:], data.truth[rows]))
    return Judges(np.concatenate(x), np.concatenate(truth), 10, epochs=60)


def agent_of(name: str, seed: int, cache: Path) -> Any:
    """An agent trained as shipped."""
    settings = load_hyperparameters(ALGO, DATA[name])
    how = {"env_kwargs": settings.pop("env_kwargs", {}), "n_timesteps": int(settings.pop("n_timesteps"))}
    folder = cache / f"run-ends-{digest([name, seed, settings, how], TRAINING)}"
    world = make_world(data=name, task="reach", progress=False)
    return trained(folder, world, algo=ALGO, seed=seed, hyperparams=settings, **how)


def walked(name: str, group: str, seed: int, cache: Path) -> dict[str, Any]:
    """The figures of a group of ways from the first held-out pictures."""
    run = agent_of(name, seed, cache) if group == "agent" else None
    world = make_world(data=name, task="reach", max_step=1 / 6, progress=False) if run is None else run.world
    x = world.held_out.x[:ITEMS].clone()
    with torch.inference_mode():
        seen = world.classifier.predict_proba(x).argmax(1)
    target = random_targets(seen.clone(), world.classes, seed)
    alike, classes = real_of(world, target)
    measures = partial(measured, name, world, cache, sharp=np.median(sharpness(alike)), varied=variety(alike, classes))
    if group == "white box":
        found = {way: descended(way, world, x, target, measures) for way in ("REVISE (white box)", "ECCCo (white box)")}
    else:
        found = {"real pictures": measures(alike, None, classes)} if run is None else {}
        walks = partial(explain, run or world, range(len(x)), target.tolist(), seed=seed, fallback=False)
        for way, walker in WALKERS[group].items():
            made = partial(
                walks, walker="line" if run is None else agent_walker(run, ends=walker), convincing="convincing" in way
            )
            found[way] = ended(made, world, x, target, measures)
            np.save(cache / f"ends-{name}-{seed}-{way}.npy", found[way].pop("ends"))  # for a look at them
    return {way: {key: summary(value) for key, value in figures.items()} for way, figures in found.items()}


def ended(made: Callable[[], Any], world: World, x: Tensor, target: Tensor, measures: Callable[..., Any]) -> dict[str, Any]:
    """The figures of walks."""
    made()  # fits what is fitted once
    paths, seconds = cpu_seconds(made)
    ends = torch.from_numpy(np.stack([path.frames(world)[-1] for path in paths]))
    found = measures(ends, x, target.numpy())
    holds = each(said.kind == HOLDS for said in badge(paths))
    return {
        "valid": each(path.success for path in paths), "queries": each(path.queries for path in paths),
        "frames": each(path.steps + 1 for path in paths), "cpu_ms": 1000 * seconds / len(paths), "ends": ends.numpy(),
        "holds": holds, "wrong": interval(1 - found["both"][holds > 0]) if holds.any() else None, **found,
    }  # fmt: skip


def descended(way: str, world: World, x: Tensor, target: Tensor, measures: Callable[..., Any]) -> dict[str, Any]:
    """The figures of REVISE or ECCCo."""
    network, known = world.classifier.torch_module, (world.reference.x[:BANK].clone(), world.reference.label[:BANK].clone())
    assert network is not None
    revised = way.startswith("REVISE")
    ends = revise(x, target, network, world.manifold, TAU) if revised else eccco(x, target, network, *known, TAU)
    with torch.inference_mode():
        p = world.classifier.predict_proba(ends)[torch.arange(len(x)), target].numpy()
    return {"valid": each(p >= TAU), **measures(ends, x, target.numpy())}


def real_of(world: World, target: Tensor) -> tuple[Tensor, np.ndarray]:
    """Held-out pictures that are neither explained nor known to the judges, as many of a class as targets; their classes."""
    x, truth = world.held_out.x[ITEMS:JUDGED_FROM], world.held_out.truth
    assert truth is not None
    rows = [torch.nonzero(truth[ITEMS:JUDGED_FROM] == k).flatten()[: int((target == k).sum())] for k in range(world.classes)]
    return x[torch.cat(rows)].clone(), np.repeat(np.arange(world.classes), [len(part) for part in rows])


def measured(
    name: str, world: World, cache: Path, ends: Tensor, x: Tensor | None, target: np.ndarray, *, sharp: float, varied: float
) -> dict[str, Any]:
    """What the judges see in ends (N, H, W) of walks from x, and the measures of the ends: of each, or one of all.

    `sharp` and `varied` are the sharpness and the variety of real pictures of these classes.
    """
    reference = world.reference
    every = max(1, len(reference.x) // 4000)
    oracle = oracles_of(reference.x[::every].numpy(), reference.label[::every].numpy(), world.classes, cache / "oracles")
    sees = {judge: each(seen == target) for judge, seen in judges_of(name).sees(ends.numpy()).items()}
    found = {
        **sees, "both": np.minimum(*sees.values()), "oracle": each(oracle.sees(ends.numpy()) == target),
        "implausibility": implausibility(ends, target, reference.x[:BANK], reference.label[:BANK].numpy()),
        "sharpness": float(np.median(sharpness(ends)) / sharp), "variety": variety(ends, target) / varied,
    }  # fmt: skip
    if x is None:
        return found
    gap = (ends - x).flatten(1)
    return {**found, "l2": gap.norm(dim=1).numpy(), "l1": 2 * gap.abs().sum(1).numpy()}


def each(values: Any) -> np.ndarray:
    """Numbers of all items."""
    return np.array(list(values), dtype=float)


def summary(value: Any) -> Any:
    """Mean and interval of an array over the items; anything else stays."""
    return interval(value) if isinstance(value, np.ndarray) else value


def measure(options: Options) -> Iterator[Record]:
    """Every data set and seed."""
    record: Record = {"items": ITEMS, "data": dict(options.before.get("data", {}))}
    for name in options.data:
        record["data"][name] = []
        for seed in options.seeds:
            ways: dict[str, Any] = {}
            record["data"][name].append({"seed": seed, "ways": ways})
            for group in options.parts:
                key = {"picture_ends": name, "group": group, "seed": seed, "items": ITEMS}
                ways |= options.runner.one(
                    Run(key, partial(walked, name, group, seed, options.cache), OWN), f"{name}, {group}, {seed}"
                )
                yield record


# ---- analyse ----------------------------------------------------------------------------------------------------------


def page(record: Record) -> str:
    """Two tables a data set: whether ends convince, and what they look like."""
    parts = []
    for name, cells in record["data"].items():
        ways = list(cells[0]["ways"])

        def text(way: str, key: str, cells: list[dict[str, Any]] = cells) -> str | None:
            values = [cell["ways"].get(way, {}).get(key) for cell in cells]
            values = [value for value in values if value is not None]
            return shown(values, DIGITS.get(key, 3)) if values else None

        tables = [
            table(["", *(COLUMNS[key] for key in keys)], [[way, *(text(way, key) for key in keys)] for way in ways])
            for keys in (CONVINCING, LOOKS)
        ]
        parts.append(f"## {TITLES[name]}\n\nSeeds {', '.join(str(cell['seed']) for cell in cells)}.\n\n" + "\n\n".join(tables))
    return render("picture_ends", command=record["command"], items=record["items"], sections="\n\n".join(parts))


def shown(values: list[Any], digits: int) -> str:
    """Mean over the seeds, and the interval: over the items for one seed, least to largest for several."""
    numbers = [value[0] if isinstance(value, list) else value for value in values]
    low, high = (
        (values[0][1], values[0][2]) if len(values) == 1 and isinstance(values[0], list) else (min(numbers), max(numbers))
    )
    mean = fmean(numbers)
    return f"{mean:,.{digits}f}" + (f" [{low:,.{digits}f}, {high:,.{digits}f}]" if low != high else "")


EXPERIMENT = Experiment(
    "picture_ends", __doc__, measure, page,
    flags={"--data": one_of(tuple(DATA)), "--seeds": whole_numbers(0, 1, 2), "--parts": one_of(GROUPS)},
)  # fmt: skip

if __name__ == "__main__":
    EXPERIMENT.main()
