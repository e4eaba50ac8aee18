"""Paths on MNIST: agents of several seeds explain the first 2,000 test images towards a random other class, p >= 0.9.

    python -m tests.benchmarks.mnist_paths                 # 3 seeds; the files of MNIST by MANIFOLD_DATA or --data-dir
    python -m tests.benchmarks.mnist_paths --seeds 0 --n-timesteps 200000
    python -m tests.benchmarks.mnist_paths --parts others  # manifolds trained with the network alone; the rest stays

World: all 60,000 training images as starts, the shipped VAE and CNN, the classifier as a black box. Training queries count
the starts (two rows each), the training and its evaluation. The environment's share of the raw forward (decode and classify
256 codes, nothing else) is process time, medians over interleaved repeats. Others: manifolds trained with the network (see
harness/models.py), fitted with seed 0: their reconstructions beside the shipped VAE's, and an agent of one seed in each.
"""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from statistics import fmean, median
from typing import Any

import numpy as np
import torch

from agents.explain import explain
from agents.explanation.metrics.evaluate import evaluate_paths
from agents.train import train
from agents.training.algorithms import load_hyperparameters
from envs import make_world
from tests.benchmarks.harness.experiment import Experiment, Options, Record, one_of, render, whole_numbers
from tests.benchmarks.harness.models import MNIST_TITLES, fitted_with_network
from tests.benchmarks.harness.runs import Run, cpu_seconds
from tests.benchmarks.harness.splits import mnist_real, mnist_world, random_targets
from tests.benchmarks.harness.tables import judged, table
from tests.benchmarks.harness.walks import ALGO, SOURCES, training_cost
from tests.benchmarks.throughput import forward, recorded, rows_per_second, walk_vector

ENV = "Manifold/MNIST-v0"
ITEMS, BATCH, STEPS, REPEATS = 2000, 256, 60, 5
MEASURES = {
    "validity": "valid at p >= 0.9",
    "validity_argmax": "valid by argmax",
    "queries": "queries",
    "rising_share": "rising",
    "frames": "frames",
    "l2_input": "L2 to the input",
    "knn_ratio": "kNN ratio",
    "worst_knn_ratio": "worst frame",
    "step_bound_share": "steps within the bound",
}
AIMS = {"validity": (">=", 0.995), "queries": ("<=", 12.0), "rising_share": (">=", 0.99), "training_queries": ("<=", 2e6)}
WORLD_AIMS = {"class kept by reconstructions": (">=", 0.97), "environment / raw forward at 256": (">=", 0.60)}


# ---- run --------------------------------------------------------------------------------------------------------------


def world_of(kind: str | None, data_dir: str | None, cache: Path) -> Any:
    """The shipped world, or that of another manifold: a kind of `harness.models.MNIST_OWN`."""
    if kind is None:
        return mnist_world(data_dir)
    manifold = fitted_with_network(kind, 0, cache)
    return make_world(data="mnist", data_dir=data_dir, classifier="mnist", manifold=manifold, task="reach")


def world_facts(kind: str | None, data_dir: str | None, cache: Path) -> dict[str, float]:
    """Class kept by reconstructions of all test images, the classifier's accuracy, and the class distance."""
    world = world_of(kind, data_dir, cache)
    same, right = [], []
    with torch.inference_mode():
        for part, classes in zip(*(values.split(2000) for values in world.held_out), strict=True):
            seen = world.classifier.predict_proba(part).argmax(1)
            again = world.classifier.predict_proba(world.manifold.decode(world.manifold.encode(part))).argmax(1)
            same.append((seen == again).float())
            right.append((seen == classes).float())
    facts = {"class kept by reconstructions": float(torch.cat(same).mean())}
    facts |= {"classifier accuracy": float(torch.cat(right).mean()), "class distance": world.class_distance}
    return facts if kind else {**facts, "environment / raw forward at 256": speed(world, TowardsMean(world))}


def agent(kind: str | None, seed: int, n_timesteps: int | None, data_dir: str | None, cache: Path) -> dict[str, Any]:
    """A trained agent: what its explanations measure, and how fast its environment is."""
    world, settings = world_of(kind, data_dir, cache), load_hyperparameters(ALGO, ENV)
    kwargs, shipped = settings.pop("env_kwargs", {}), int(settings.pop("n_timesteps"))
    steps = n_timesteps or shipped
    with tempfile.TemporaryDirectory() as folder:
        run = train(
            world=world, algo=ALGO, seed=seed, n_timesteps=steps, hyperparams=settings, env_kwargs=kwargs, log_folder=folder,
            save_freq=0, eval_episodes=0,
        )  # fmt: skip
        with torch.inference_mode():
            seen = world.classifier.predict_proba(world.held_out.x[:ITEMS]).argmax(1)
        targets = random_targets(seen, 10, seed).tolist()
        paths, seconds = cpu_seconds(lambda: explain(run, range(ITEMS), targets, seed=seed, fallback=False))
        measures = evaluate_paths(run.world, paths, mnist_real(world, ITEMS))
    found = {name: value.as_dict() for name, value in measures.items()}
    figures = {name: found[name]["value"] for name in MEASURES} | training_cost(run)
    figures["explaining_cpu_ms"] = 1000 * seconds / ITEMS
    cell = {"seed": seed, "n_timesteps": steps, "figures": figures, "measures": found}
    return {"cell": cell, "speed": None if kind else speed(run.world, run.model)}


def speed(world: Any, model: Any) -> float:
    """Rows a second of the vector environment of 256 as a share of the raw forward's (median of ratios within a repeat)."""
    actions = recorded(world, model, BATCH, STEPS)
    ratios = []
    for _ in range(REPEATS + 1):
        raw = rows_per_second(world, forward(world, BATCH, STEPS))
        ratios.append(rows_per_second(world, walk_vector(world, actions)) / raw)
    return median(ratios[1:])  # the first warms up


class TowardsMean:
    """Actions straight towards the target class's mean code: walks end about as often as a trained agent's."""

    def __init__(self, world: Any) -> None:
        self.world = world

    def predict(self, observation: Any, deterministic: bool = True) -> tuple[Any, None]:
        """See stable-baselines3's `predict`."""
        d, classes = self.world.latent_dim, self.world.classes
        z = observation[:, :d] * self.world.manifold.prior.radius
        target = observation[:, 2 * d + classes : 2 * d + 2 * classes].argmax(1)
        gap = self.world.reference.class_codes[0][target] - z
        return (gap / np.linalg.norm(gap, axis=1, keepdims=True)).astype(np.float32), None


def measure(options: Options) -> Iterator[Record]:
    """The shipped world and its agents, then the other manifolds; what is not measured now stays."""
    record = {"agents": [], **options.before}
    where = (options.data_dir, options.cache)

    def one(function: Any, *arguments: Any) -> dict[str, Any]:
        key = {"mnist": function.__name__, "arguments": list(arguments)}
        return dict(options.runner.one(Run(key, partial(function, *arguments, *where), SOURCES), f"{key}"))

    if "agents" in options.parts:
        facts = one(world_facts, None)
        record |= {"command": options.command, "world": facts, "agents": []}
        for seed in options.seeds:
            found = one(agent, None, seed, options.n_timesteps)
            record["agents"].append(found["cell"])
            facts.setdefault("trained recipe's environment / raw forward at 256", found["speed"])
            yield record
    if "others" in options.parts:
        record |= {"others_command": options.command, "others": {}}
        for kind, title in MNIST_TITLES.items():
            other = {"title": title, "world": one(world_facts, kind), "figures": {}}
            record["others"][kind] = other
            if not options.others_without_agents:
                other["figures"] = one(agent, kind, 0, options.n_timesteps)["cell"]["figures"]
            yield record


# ---- analyse ----------------------------------------------------------------------------------------------------------


def page(record: Record) -> str:
    """The shipped world and its agents, and the manifolds trained with the network."""
    agents, others = "", ""
    if record["agents"]:
        facts = [[name, f"{value:.4f}", judged(WORLD_AIMS, name, value)] for name, value in record["world"].items()]
        rows = []
        for name in record["agents"][0]["figures"]:
            values = [cell["figures"][name] for cell in record["agents"]]
            mean = fmean(values)
            rows.append([_title(name), *map(_figure, (*values, mean)), judged(AIMS, name, mean)])
        seeds = [f"seed {cell['seed']}" for cell in record["agents"]]
        agents = render(
            "mnist_paths_agents", command=record["command"], items=ITEMS, world=table(["world", "value", "aim"], facts, "lrl"),
            agents=table(["figure", *seeds, "mean", "aim for the mean"], rows, "l" + "r" * (len(seeds) + 1) + "l"),
        )  # fmt: skip
    if record.get("others"):
        columns = {"the shipped VAE": (record["world"], record["agents"][0]["figures"])} if record["agents"] else {}
        columns |= {other["title"]: (other["world"], other["figures"]) for other in record["others"].values()}
        rows = [
            [name, *(f"{world[name]:.4f}" for world, _ in columns.values())]
            for name in ("class kept by reconstructions", "class distance")
        ]
        for name in next((figures for _, figures in columns.values() if figures), {}):
            rows.append([_title(name), *(_figure(figures[name]) if figures else "" for _, figures in columns.values())])
        others = render("mnist_paths_others", command=record["others_command"], table=table(["", *columns], rows))
    return f"# Paths on MNIST\n\n{agents}" + (f"\n{others}" if others else "")


def _title(name: str) -> str:
    return MEASURES.get(name, name.replace("_", " "))


def _figure(value: float) -> str:
    return f"{value:,.4g}" if value < 1e4 else f"{value:,.0f}"


EXPERIMENT = Experiment(
    "mnist_paths", __doc__, measure, page,
    flags={
        "--parts": one_of(["agents", "others"]),
        "--seeds": whole_numbers(0, 1, 2),
        "--n-timesteps": {"type": int, "help": "of each training (default: the recipe's)"},
        "--data-dir": {"help": "folder of the MNIST files (default: $MANIFOLD_DATA)"},
        "--others-without-agents": {"action": "store_true", "help": "reconstructions alone"},
    },
)  # fmt: skip

if __name__ == "__main__":
    EXPERIMENT.main()
