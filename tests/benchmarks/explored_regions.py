"""Which regions of a classifier are found without a goal: by curiosity, by samples of the prior, or by a latent grid?

    python -m tests.benchmarks.explored_regions

Every method gets the same number of queries. What it found is joined to regions of one answer, together with one pool of
further codes that is the same for all methods: sparse samples shall not count as isolated because nothing lies between them.
Queries for joining are no method's. Worlds: digits, MNIST, and a random forest on scikit-learn's wine data.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import cache, partial
from typing import Any

import numpy as np
import torch

import envs
from agents.explanation.explored import Explored, answers, explore, found_regions
from envs import World
from tests.benchmarks.harness.experiment import Experiment, Options, Record, one_of, render, whole_numbers
from tests.benchmarks.harness.runs import Run, timed
from tests.benchmarks.harness.statistics import interval
from tests.benchmarks.harness.tables import table

LEVELS = (1 / 6, 1 / 2, 5 / 6)  # quantiles of the reference codes: the levels of the grid in each dimension
POOL = 4096  # codes of the prior that help to join
BUDGETS = (256, 1024, 4096)


def wine() -> World:
    """A random forest on wine, seen through a VAE of the table."""
    from sklearn.datasets import load_wine
    from sklearn.ensemble import RandomForestClassifier

    data = load_wine()
    forest = RandomForestClassifier(50, random_state=0, n_jobs=1).fit(data.data, data.target_names[data.target])
    return envs.make_world(
        data=data.data, columns=data.feature_names, classifier=forest, manifold="vae", latent_dim=4, progress=False
    )


WORLDS: dict[str, Callable[[], World]] = {
    "digits": lambda: envs.make_world(data="digits"),
    "MNIST": lambda: envs.make_world(data="mnist_decoded"),
    "wine, random forest": wine,
}


def labelled(world: World, z: torch.Tensor) -> Explored:
    """Codes with the classifier's answers."""
    return Explored(z, answers(world, z))


def samples(world: World, queries: int, seed: int) -> Explored:
    """Samples of the prior, in its typical set."""
    z = world.manifold.prior.sample(queries, torch.Generator().manual_seed(seed))
    return labelled(world, world.manifold.prior.project(z))


def grid(world: World, queries: int, seed: int) -> Explored:
    """Points of a grid of three levels a dimension, in random order; again from the beginning when all were asked."""
    d = world.latent_dim
    levels = torch.quantile(world.reference.z[:10_000], torch.tensor(LEVELS), dim=0)
    draw = np.random.default_rng(seed)
    if 3**d <= 10**6:
        order = np.resize(draw.permutation(3**d), queries)
        which = torch.from_numpy(order[:, None] // 3 ** np.arange(d) % 3)
    else:
        which = torch.from_numpy(draw.integers(0, 3, (queries, d)))
    return labelled(world, world.manifold.prior.project(levels.gather(0, which)))


METHODS: dict[str, Callable[[World, int, int], Explored]] = {
    "vime": lambda world, queries, seed: explore(world, "vime", queries, seed),
    "rnd": lambda world, queries, seed: explore(world, "rnd", queries, seed),
    "PPO without a bonus": lambda world, queries, seed: explore(world, "none", queries, seed),
    "samples of the prior": samples,
    "latent grid": grid,
}


# ---- run --------------------------------------------------------------------------------------------------------------


@cache
def world_of(name: str) -> World:
    """A world of `WORLDS`, built once a process."""
    return WORLDS[name]()


def figures_of(name: str, method: str, seed: int) -> dict[str, Any]:
    """Classes and regions found in the first queries, for each budget."""
    world = world_of(name)
    found = METHODS[method](world, max(BUDGETS), seed)
    pool = samples(world, POOL, 10_000)
    result: dict[str, Any] = {"classes_of_world": world.classes}
    for budget in BUDGETS:
        whole = Explored(torch.cat([found.z[:budget], pool.z]), torch.cat([found.label[:budget], pool.label]))
        regions = found_regions(world, whole)
        seen = np.unique(regions.of[:budget])
        result[str(budget)] = {"classes": len(np.unique(regions.label[seen])), "regions": len(seen)}
    return result


def measure(options: Options) -> Iterator[Record]:
    """World -> method -> figures of each seed. Worlds and methods that were measured before are kept."""
    found: Record = dict(options.before.get("worlds", {}))
    sources = ("agents/explanation/explored.py", "vime/**/*.py", "envs/core/dynamics.py")
    for name in options.worlds:
        for method in options.methods:
            key = {"explored_regions": name, "method": method}
            runs = [
                timed(Run({**key, "seed": seed}, partial(figures_of, name, method, seed), sources)) for seed in options.seeds
            ]
            found.setdefault(name, {})[method] = list(options.runner(runs, f"{name}, {method}"))
            yield {"worlds": found}


# ---- analyse ----------------------------------------------------------------------------------------------------------


def page(record: Record) -> str:
    """One table a world."""
    sections = []
    for name, methods in record["worlds"].items():
        rows = []
        for method, runs in methods.items():
            row: list[Any] = [method, len(runs)]
            for budget in BUDGETS:
                classes = np.mean([run[str(budget)]["classes"] for run in runs])
                mean, low, high = interval([run[str(budget)]["regions"] for run in runs])
                row.append(f"{classes:.1f}, {mean:.1f} [{low:.1f}, {high:.1f}]")
            most = np.mean([run[str(BUDGETS[1])]["regions"] for run in runs]) / BUDGETS[1] * 1000
            rows.append([*row, f"{most:.1f}", f"{np.mean([run['cpu_seconds'] for run in runs]):.0f}"])
        of = next(iter(methods.values()))[0]["classes_of_world"]
        titles = [
            "method",
            "seeds",
            *(f"{budget:,} queries" for budget in BUDGETS),
            f"regions per 1,000 (of {BUDGETS[1]:,})",
            "CPU s",
        ]
        sections.append(f"## {name}, {of} classes\n\n" + table(titles, rows))
    return render("explored_regions", sections="\n\n".join(sections))


EXPERIMENT = Experiment(
    "explored_regions", __doc__, measure, page, stamped=False,
    flags={"--worlds": one_of(list(WORLDS)), "--methods": one_of(list(METHODS)), "--seeds": whole_numbers(0, 1, 2)},
)  # fmt: skip

if __name__ == "__main__":
    EXPERIMENT.main()
