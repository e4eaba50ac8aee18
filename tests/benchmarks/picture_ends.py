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
import pytest
import torch
from torch import Tensor

from agents.explain import explain
from agents.explanation.badge import HOLDS, badge
from agents.explanation.metrics.oracle import oracles_of
from agents.training.algorithms import load_hyperparameters
from agents.walkers.planning.pictures.ensemble import HALVES
from envs.assets import ASSETS
from envs.building.world import make_world
from envs.datasets import DATASETS
from tests.benchmarks.contributions import world_of
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
GROUPS = ("line", "white box", "agent", "badge")
COSTS: dict[str, Callable[[], Any]] = {
    "MNIST": lambda: make_world(data="mnist", task="reach", max_step=1 / 6, progress=False),
    "digits": lambda: make_world(data="digits", progress=False),
    "breast cancer": lambda: world_of("breast cancer"),
}
REVISE, ECCCO = "REVISE (white box)", "ECCCo (white box)"
ITEMS, KNOWN, BANK, JUDGED_FROM = 240, 2000, 10_000, 2000  # judges learn from the test pictures after the first 2,000
CONVINCING = ("valid", "both", "support vectors", "network", "oracle", "holds", "wrong")
LOOKS = ("l2", "l1", "implausibility", "nearest", "sharpness", "variety", "queries", "frames", "cpu_ms")
COLUMNS = {
    "valid": "valid", "both": "both judges", "support vectors": "support vectors", "network": "network", "oracle": "oracle",
    "holds": "badge: holds", "wrong": "wrong of these", "l2": "L2", "l1": "L1 on [-1, 1]", "implausibility": "implausibility",
    "nearest": "to the nearest",
    "sharpness": "sharpness", "variety": "variety", "queries": "queries", "frames": "frames", "cpu_ms": "CPU ms",
}  # fmt: skip
DIGITS = {"l2": 2, "l1": 1, "sharpness": 2, "variety": 2, "queries": 1, "frames": 1, "cpu_ms": 1}
TRAINING = ("envs/core/*.py", "envs/gym/*.py", "envs/manifolds/**/*.py", "agents/training/*.py")
SEARCH = (*SOURCES, "agents/walkers/planning/**/*.py", "agents/explanation/badge/*.py", "tests/benchmarks/pictures/rivals.py")
OWN = (*SEARCH, "tests/benchmarks/pictures/*.py", "tests/benchmarks/picture_ends.py")


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
    """Walks of a group of ways from the first held-out pictures: what they cost, and their ends in a file of the cache."""
    run = agent_of(name, seed, cache) if group == "agent" else None
    world = make_world(data=name, task="reach", max_step=1 / 6, progress=False) if run is None else run.world
    x = world.held_out.x[:ITEMS]
    with torch.inference_mode():
        target = random_targets(world.classifier.predict_proba(x).argmax(1), world.classes, seed)
    found = {}
    for way, ends in WALKERS[group].items():
        walker, sure = "line" if run is None else agent_walker(run, ends=ends), "convincing" in way
        walks = partial(explain, run or world, walker=walker, seed=seed, fallback=False, convincing=sure)
        badge(walks(0, int(target[0])))  # fits what is fitted once
        paths, seconds = cpu_seconds(partial(walks, range(len(x)), target.tolist()))
        holds = each(said.kind == HOLDS for said in badge(paths))
        found[way] = {
            "valid": each(path.success for path in paths), "queries": each(path.queries for path in paths),
            "frames": each(path.steps + 1 for path in paths), "holds": holds, "cpu_ms": 1000 * seconds / len(paths),
        }  # fmt: skip
        keep(cache, name, way, seed, np.stack([path.frames(world)[-1] for path in paths]), target.numpy(), holds)
    return summaries(found)


def descended(name: str, way: str, seed: int, cache: Path) -> dict[str, Any]:
    """REVISE or ECCCo from the same pictures; as `walked`."""
    data = DATASETS[name]()
    network, manifold = ASSETS[name].classifier(data, 0), ASSETS[name].manifold()[0]
    x, known = torch.from_numpy(data.held_out[:ITEMS]), torch.from_numpy(data.x[:KNOWN])
    with torch.no_grad():
        target, label = random_targets(network(x).argmax(1), 10, seed), network(known).argmax(1)
    ends = revise(x, target, network, manifold, TAU) if way == REVISE else eccco(x, target, network, known, label, TAU)
    with torch.no_grad():
        valid = network(ends).softmax(1)[torch.arange(len(x)), target] >= TAU
    keep(cache, name, way, seed, ends.numpy(), target.numpy(), np.zeros(len(x)))
    return summaries({way: {"valid": each(valid.tolist())}})


def looked_at(name: str, ways: list[str], seed: int, cache: Path) -> dict[str, Any]:
    """What the judges see in the ends of ways, and the measures of the ends."""
    data = DATASETS[name]()
    x, bank, bank_class = torch.from_numpy(data.held_out), torch.from_numpy(data.x[:BANK]), np.asarray(data.truth[:BANK])
    every = max(1, len(data.x) // 4000)
    oracle, judges = oracles_of(data.x[::every], data.truth[::every], 10, cache / "oracles"), judges_of(name)
    manifold = ASSETS[name].manifold()[0]
    alike: Tensor | None = None
    found: dict[str, Any] = {}
    for way in ways:
        ends, target, holds = (kept(cache, name, way, seed)[key] for key in ("ends", "target", "holds"))
        if alike is None:
            alike, classes = real_of(x, np.asarray(data.held_out_truth), target)
            sharp, varied = np.median(sharpness(alike)), variety(alike, classes)
        rows = [(way, torch.from_numpy(ends), target)]
        if not found:
            with torch.inference_mode():
                again = manifold.decode(manifold.encode(alike))
            rows += [("real pictures", alike, classes), ("their reconstructions", again, classes)]
        for row, pictures, wanted in rows:
            sees = {judge: each(seen == wanted) for judge, seen in judges.sees(pictures.numpy()).items()}
            found[row] = {
                **sees, "both": np.minimum(*sees.values()), "oracle": each(oracle.sees(pictures.numpy()) == wanted),
                "implausibility": implausibility(pictures, wanted, bank, bank_class),
                "nearest": implausibility(pictures, wanted, bank, bank_class, nearest=True),
                "sharpness": float(np.median(sharpness(pictures)) / sharp), "variety": variety(pictures, wanted) / varied,
            }  # fmt: skip
        gap = (torch.from_numpy(ends) - x[:ITEMS]).flatten(1)
        found[way] |= {"l2": gap.norm(dim=1).numpy(), "l1": 2 * gap.abs().sum(1).numpy()}
        if holds.any():
            found[way]["wrong"] = 1 - found[way]["both"][holds > 0]
    return summaries(found)


def cost_of_badges(kind: str) -> dict[str, Any]:
    """CPU seconds of the first badge of a world with an empty cache of fits, and milliseconds of one of the next."""
    world = COSTS[kind]()
    paths = explain(world, range(30), walker="line", fallback=False)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("MANIFOLD_CACHE", "")
        _, cold = cpu_seconds(lambda: badge(paths[0]))
    _, rest = cpu_seconds(lambda: badge(paths[1:]))
    return {"cold": cold, "each": 1000 * rest / (len(paths) - 1)}


def real_of(x: Tensor, truth: np.ndarray, target: np.ndarray) -> tuple[Tensor, np.ndarray]:
    """Held-out pictures that are neither explained nor known to the judges, as many of a class as targets; their classes."""
    own = truth[ITEMS:JUDGED_FROM]
    rows = [np.flatnonzero(own == k)[: int((target == k).sum())] for k in range(10)]
    return x[ITEMS:JUDGED_FROM][np.concatenate(rows)], np.repeat(np.arange(10), [len(part) for part in rows])


def keep(cache: Path, name: str, way: str, seed: int, ends: np.ndarray, target: np.ndarray, holds: np.ndarray) -> None:
    """Write the ends of a way into the cache."""
    cache.mkdir(parents=True, exist_ok=True)
    np.savez(cache / f"ends-{name}-{seed}-{way.split(' (')[0]}.npz", ends=ends, target=target, holds=holds)


def kept(cache: Path, name: str, way: str, seed: int) -> dict[str, np.ndarray]:
    """What `keep` wrote."""
    with np.load(cache / f"ends-{name}-{seed}-{way.split(' (')[0]}.npz") as file:
        return dict(file)


def summaries(found: dict[str, dict[str, Any]]) -> dict[str, Any]:
    """Mean and interval of every array over the items; single figures stay."""
    return {
        way: {key: interval(value) if isinstance(value, np.ndarray) else value for key, value in figures.items()}
        for way, figures in found.items()
    }


def each(values: Any) -> np.ndarray:
    """Numbers of all items."""
    return np.array(list(values), dtype=float)


def measure(options: Options) -> Iterator[Record]:
    """Every data set and seed; what is not measured now stays."""
    before = {part: dict(options.before.get(part, {})) for part in ("data", "badges")}
    record: Record = {"items": ITEMS, **before}
    for kind in COSTS if "badge" in options.parts else ():
        run = Run({"picture_ends": kind, "what": "cost of badges"}, partial(cost_of_badges, kind), OWN)
        record["badges"][kind] = options.runner.one(run, f"badges of {kind}")
        yield record
    for name in options.data if set(options.parts) - {"badge"} else ():
        cells = {cell["seed"]: cell for cell in record["data"].get(name, [])}
        for seed in options.seeds:
            known, cell = cells.get(seed, {"ways": {}}), {"seed": seed, "ways": {}}
            cells[seed] = cell
            where = (seed, options.cache)
            searches = {part: partial(walked, name, part, *where) for part in WALKERS if part in options.parts}
            if "white box" in options.parts:
                searches |= {way: partial(descended, name, way, *where) for way in (REVISE, ECCCO)}
            for part, search in searches.items():
                key = {"picture_ends": name, "part": part, "what": "search", "seed": seed, "items": ITEMS}
                cell["ways"] |= options.runner.one(Run(key, search, SEARCH), f"{name}, {part}, {seed}")
            key = {"picture_ends": name, "ways": list(cell["ways"]), "seed": seed, "items": ITEMS}
            judged = Run(key, partial(looked_at, name, list(cell["ways"]), *where), OWN)
            for way, figures in options.runner.one(judged, f"{name}, judges, {seed}").items():
                cell["ways"].setdefault(way, {}).update(figures)
            cell["ways"] = known["ways"] | cell["ways"]
            record["data"][name] = list(cells.values())
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
    costs = table(
        ["data", "first badge, CPU s", "each further one, CPU ms"],
        [[kind, f"{at['cold']:.1f}", f"{at['each']:.1f}"] for kind, at in record["badges"].items()],
    )
    return render(
        "picture_ends", command=record["command"], items=record["items"], costs=costs, sections="\n\n".join(parts)
    )  # fmt: skip


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
