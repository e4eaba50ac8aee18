"""Every way of explaining on every data set: trained agents, walkers, and alibi's CounterfactualRL in its own environment.

    python -m tests.benchmarks.explain_all --cfrl-environment DIR       # digits, MNIST and Adult, 3 splits
    python -m tests.benchmarks.explain_all --splits 0 --data digits     # a quick look, without CounterfactualRL

DIR holds (or gets, about 2 GB) a virtual environment with alibi 0.9.6; without the flag its rows are left out. MNIST and
Adult are read from $MANIFOLD_DATA or from shared/data beside the checkout. Runs are shared with digits_paths and
adult_paths. The sentences under each table are computed (explain/verdict.py).
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

from agents.training.algorithms import load_hyperparameters
from agents.walkers import WALKERS, make_walker
from envs.errors import ManifoldError
from tests.benchmarks import adult_paths, digits_paths
from tests.benchmarks.explain.cfrl import SETTINGS, cfrl_run, environment
from tests.benchmarks.explain.optimum import optima
from tests.benchmarks.explain.verdict import AGENT, TYPICAL, break_even, means, sentences
from tests.benchmarks.harness.experiment import Experiment, Options, Record, one_of, render, whole_numbers
from tests.benchmarks.harness.models import trained
from tests.benchmarks.harness.runs import Run, digest
from tests.benchmarks.harness.splits import mnist_split, mnist_world, split_of
from tests.benchmarks.harness.tables import DASH, spread, table
from tests.benchmarks.harness.walks import ALGO, MOST_STEPS, RIVALS, SOURCES, agent_walker, measured, recipe_of, training_cost
from tests.benchmarks.mnist_paths import ENV

DATA = ("digits", "mnist", "adult")
COLUMNS: dict[str, tuple[str, int]] = {
    "validity": ("valid", 3),
    "validity_90": ("p >= 0.9", 3),
    "validity_argmax": ("in the class", 3),
    "l2_input": ("L2", 3),
    "changed_columns": ("columns changed", 2),
    "immutables_violated": ("frames that break what is held", 0),
    "knn_ratio": ("kNN ratio", 3),
    "worst_knn_ratio": ("worst frame", 3),
    "im1": ("IM1", 3),
    "oracle": ("oracle agrees", 3),
    "rising_share": ("rising", 3),
    "straightness": ("straight", 3),
    "frames": ("frames", 0),
    "queries": ("queries", 1),
    "training_queries": ("training queries", 0),
    "training_cpu_seconds": ("training CPU-s", 0),
    "cpu_ms": ("CPU-ms each", 2),
    "alone_p50_ms": ("alone, median", 1),
    "alone_p95_ms": ("alone, 95 %", 1),
    "items": ("items", 0),
}
MNIST_ITEMS, MNIST_FEWER = 500, 100
#: searches that query hundreds of rows an item, and white-box descents: they get the first `MNIST_FEWER` images
MNIST_SLOW = ("spheres", "greedy", "geodesic", "gradient (white box)", "pullback gradient (white box)")
Ways = dict[str, Run]


# ---- run --------------------------------------------------------------------------------------------------------------


def digits_ways(seed: int, options: Options) -> Ways:
    """Name in the table -> run, on a digits split."""
    ways = {name: digits_paths.rival_run(name, seed, options.cache) for name in _named()}
    for name, walker in ((AGENT, {}), (TYPICAL, {"walker": {"ends": "typical"}})):
        ways[name] = digits_paths.agent_run(recipe_of(walker), seed, seed, options.cache)
    return ways


def mnist_ways(seed: int, options: Options) -> Ways:
    """The same on MNIST; world and data split are the shipped ones, the seed draws targets and trains the agent."""
    ways = {}
    for name in _named():
        kind, settings = RIVALS.get(name, (name, {}))
        items = MNIST_FEWER if name in MNIST_SLOW else MNIST_ITEMS
        key = {"mnist": name, "settings": settings, "split": seed, "items": items}
        ways[name] = Run(key, partial(_mnist_rival, kind, settings, seed, items, options.cache), SOURCES)
    for name, ends in ((AGENT, "near"), (TYPICAL, "typical")):
        key = {"mnist": "agent", "split": seed, "items": MNIST_ITEMS, "ends": ends}
        ways[name] = Run(key, partial(_mnist_agent, seed, ends, options.cache), SOURCES)
    return ways


def adult_ways(seed: int, options: Options) -> Ways:
    """The same on Adult."""
    titles = {name: f"{name.replace('_', ' ')} (white box)" if make_walker(name).needs_gradient else name
              for name in WALKERS if name != "policy"}  # fmt: skip
    ways = {title: adult_paths.rival_run(name, seed, options.cache) for name, title in titles.items()}
    return {**ways, AGENT: adult_paths.agent_run(seed, options.cache, options.adult_steps)}


def _mnist_rival(kind: str, settings: dict[str, Any], seed: int, items: int, cache: Path) -> dict[str, Any]:
    split = mnist_split(seed, items)
    return measured(split, split.world, make_walker(kind, **settings), MOST_STEPS, cache=cache)


def _mnist_agent(seed: int, ends: str, cache: Path) -> dict[str, Any]:
    settings = load_hyperparameters(ALGO, ENV)
    how = {"env_kwargs": settings.pop("env_kwargs", {}), "n_timesteps": int(settings.pop("n_timesteps"))}
    folder = cache / f"run-mnist-{digest([seed, settings, how], SOURCES)}"
    run = trained(folder, mnist_world(), algo=ALGO, seed=seed, hyperparams=settings, **how)
    split = mnist_split(seed, MNIST_ITEMS)
    return {**measured(split, run, agent_walker(run, ends=ends), None, seed, cache), **training_cost(run)}


WAYS = {"digits": digits_ways, "mnist": mnist_ways, "adult": adult_ways}


def white_box_front(name: str, seed: int, cache: Path) -> dict[str, Any]:
    """The white-box front of a split of pictures."""
    split = split_of(name, seed, cache, MNIST_FEWER)
    return {"front": optima(split.world, split.x, split.targets, split.reference)}


def _named() -> list[str]:
    """The rivals by their settings in the table, then every other walker by its name."""
    named = {kind for kind, _ in RIVALS.values()} | {"policy"}
    return [*RIVALS, *(name for name in WALKERS if name not in named)]


def found_on(name: str, seed: int, options: Options) -> Iterator[tuple[str, dict[str, Any]]]:
    """(way, figures) on a split; a walker that cannot walk in this world is left out, with its reason on stderr."""
    ways = WAYS[name](seed, options)
    found = options.runner.rows(_unless_refused, [(options, run, f"{name}, split {seed}, {way}") for way, run in ways.items()])
    for way, cell in zip(ways, found, strict=True):
        if cell is not None:
            yield way, {**{column: value["value"] for column, value in cell.get("measures", {}).items()}, **cell}
    if options.cfrl_environment is None:
        return
    python = environment(options.cfrl_environment)
    for sparsity in SETTINGS[name].sparsity:
        own = options.runner.one(cfrl_run(name, seed, sparsity, options.cfrl_steps, python, options.cache))
        yield f"CounterfactualRL, sparsity {sparsity:g}", own["end"]
        yield f"CounterfactualRL, sparsity {sparsity:g}, latent line", own["line"]


def _unless_refused(options: Options, run: Run, label: str) -> dict[str, Any] | None:
    try:
        return dict(options.runner.one(run, label))
    except ManifoldError as error:
        print(f"left out: {label}: {error}", file=sys.stderr)
        return None


def measure(options: Options) -> Iterator[Record]:
    """Every way on every split, and the white-box front of pictures."""
    splits: dict[str, dict[str, Any]] = {}
    sources = (*SOURCES, "tests/benchmarks/explain/optimum.py")
    for name in options.data:
        for seed in (options.mnist_splits or options.splits) if name == "mnist" else options.splits:
            found = splits.setdefault(name, {"rows": {}, "fronts": []})
            for way, cell in found_on(name, seed, options):
                found["rows"].setdefault(way, []).append(cell)
            if name != "adult":  # no gradient sees the valid rows of a table
                run = Run({"optimum": name, "split": seed}, partial(white_box_front, name, seed, options.cache), sources)
                found["fronts"].append(options.runner.one(run)["front"])
            yield {"seeds": options.splits, "data": splits}


# ---- analyse ----------------------------------------------------------------------------------------------------------


def page(record: Record) -> str:
    """One table a data set, and what its figures say."""
    parts: dict[str, str] = {}
    for name, found in record["data"].items():
        rows = found["rows"]
        columns = [c for c in COLUMNS if any(c in cell for cells in rows.values() for cell in cells)]
        titles = [COLUMNS[c][0] for c in columns]
        agent = means(rows[AGENT]) if AGENT in rows else None
        cells = []
        for way, own in rows.items():
            texts = [spread([cell.get(c) for cell in own], COLUMNS[c][1], False) for c in columns]
            fewer = DASH if agent is None or way in (AGENT, TYPICAL) else break_even(agent, means(own))
            cells.append([way, *texts[:-1], fewer, texts[-1]])
        lines = [table(["method", *titles[:-1], "agent queries fewer in all", titles[-1]], cells), ""]
        lines += [f"- {sentence}" for sentence in sentences(rows, found["fronts"])]
        parts[name] = render(f"explain_all_{name}", results="\n".join(lines))
    return render("explain_all", command=record["command"], sections="\n".join(parts.values()).rstrip("\n"))


EXPERIMENT = Experiment(
    "explain_all", __doc__, measure, page,
    flags={
        "--data": one_of(DATA),
        "--splits": whole_numbers(0, 1, 2),
        "--mnist-splits": {"type": int, "nargs": "+", "help": "splits of MNIST (default: as --splits)"},
        "--adult-steps": {"type": int, "default": 290_000, "help": "training steps of an agent on Adult"},
        "--cfrl-environment": {"type": Path, "metavar": "DIR", "help": "folder of alibi's virtual environment"},
        "--cfrl-steps": {"type": int, "default": 5000, "help": "training steps of CounterfactualRL, 100 rows each"},
    },
)  # fmt: skip

if __name__ == "__main__":
    EXPERIMENT.main()
