"""Ends on MNIST, Fashion-MNIST and digits: do they convince judges from outside, and how plausible, sharp and varied are they?

    python -m tests.benchmarks.picture_ends                        # both sets of 28x28 and the digits, 3 seeds
    python -m tests.benchmarks.picture_ends --data mnist --seeds 0

Held-out pictures walk towards a random other class until p >= 0.9; steps are bounded by 1/6 of the class distance. The agent
is trained as shipped. The judges (pictures/judges.py) learn the true classes of test pictures that are not explained. REVISE
and ECCCo (pictures/rivals.py) descend by the explained network's gradients. Badges are those of the default thresholds.
"""

from __future__ import annotations

from collections.abc import Iterator
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


def walked(name: str, seed: int, cache: Path) -> dict[str, Any]:
    """The figures of every way from the first held-out pictures."""
    run = agent_of(name, seed, cache)
    world = run.world
    x = world.held_out.x[:ITEMS]
    with torch.inference_mode():
        seen = world.classifier.predict_proba(x).argmax(1)
    target = random_targets(seen, world.classes, seed)
    walks = partial(explain, run, range(len(x)), target.tolist(), seed=seed, fallback=False)
    alike, classes = real_of(world, target)
    measures = partial(measured, name, world, cache, sharp=np.median(sharpness(alike)), varied=variety(alike, classes))
    found = {"real pictures": measures(alike, None, classes)}
    for way, made in {
        "line": partial(walks, walker="line"),
        "line, convincing": partial(walks, walker="line", convincing=True),
        "agent": partial(walks, walker=agent_walker(run)),
        "agent, typical ends": partial(walks, walker=agent_walker(run, ends="typical")),
        "agent, convincing": partial(walks, walker=agent_walker(run), convincing=True),
    }.items():
        made()  # fits what is fitted once
        paths, seconds = cpu_seconds(made)
        ends = torch.from_numpy(np.stack([path.frames(world)[-1] for path in paths]))
        found[way] = {
            "valid": each(path.success for path in paths), "queries": each(path.queries for path in paths),
            "frames": each(path.steps + 1 for path in paths), "holds": each(said.kind == HOLDS for said in badge(paths)),
            "cpu_ms": 1000 * seconds / len(paths), **measures(ends, x, target.numpy()),
        }  # fmt: skip
        found[way]["wrong"] = wrong_of(found[way]["holds"], found[way]["both"])
        np.save(cache / f"ends-{name}-{seed}-{way}.npy", ends.numpy())  # for a look at them
    network, known = world.classifier.torch_module, (world.reference.x[:BANK].clone(), world.reference.label[:BANK].clone())
    assert network is not None
    for way, ends in {
        "REVISE (white box)": revise(x.clone(), target, network, world.manifold, TAU),
        "ECCCo (white box)": eccco(x.clone(), target, network, *known, TAU),
    }.items():
        with torch.inference_mode():
            p = world.classifier.predict_proba(ends)[torch.arange(len(x)), target].numpy()
        found[way] = {"valid": each(p >= TAU), **measures(ends, x, target.numpy())}
    return {way: {key: summary(value) for key, value in figures.items()} for way, figures in found.items()}


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


def wrong_of(holds: np.ndarray, both: np.ndarray) -> Any:
    """Share of the ends that hold which not both judges see; None where none holds."""
    return interval(1 - both[holds > 0]) if holds.any() else None


def measure(options: Options) -> Iterator[Record]:
    """Every data set and seed."""
    record: Record = {"items": ITEMS, "data": dict(options.before.get("data", {}))}
    for name in options.data:
        record["data"][name] = []
        for seed in options.seeds:
            run = Run({"picture_ends": name, "seed": seed, "items": ITEMS}, partial(walked, name, seed, options.cache), OWN)
            record["data"][name].append({"seed": seed, "ways": options.runner.one(run, f"{name}, seed {seed}")})
            yield record


# ---- analyse ----------------------------------------------------------------------------------------------------------


def page(record: Record) -> str:
    """Two tables a data set: whether ends convince, and what they look like."""
    parts = []
    for name, cells in record["data"].items():
        ways = list(cells[0]["ways"])

        def text(way: str, key: str, cells: list[dict[str, Any]] = cells) -> str | None:
            values = [cell["ways"][way].get(key) for cell in cells]
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
    flags={"--data": one_of(tuple(DATA)), "--seeds": whole_numbers(0, 1, 2)},
)  # fmt: skip

if __name__ == "__main__":
    EXPERIMENT.main()
