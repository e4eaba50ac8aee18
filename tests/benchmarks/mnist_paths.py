"""Paths on MNIST: agents of several seeds explain the first 2,000 test images towards a random other class, p >= 0.9.

    python -m tests.benchmarks.mnist_paths                 # 3 seeds; the files of MNIST by MANIFOLD_DATA or --data-dir
    python -m tests.benchmarks.mnist_paths --seeds 0 --n-timesteps 200000
    python -m tests.benchmarks.mnist_paths --parts others  # manifolds trained with the network alone; the rest stays

World: all 60,000 training images as starts, the shipped VAE and CNN, the classifier as a black box. Training queries count the
starts (two rows each), the training and its evaluation. The environment's share of the raw forward (decode and classify 256
codes, nothing else) is process time, medians over interleaved repeats. Others: manifolds trained with the network, a joint VAE
and classifier (which learns the shipped CNN's labels) and the CNN's own embedding, fitted with seed 0: their reconstructions
beside the shipped VAE's, and an agent of one seed in each. Writes docs/results/mnist_paths.json and .md.
"""

from __future__ import annotations

import argparse
import json
import platform
import shlex
import sys
import tempfile
import time
from pathlib import Path
from statistics import fmean, median
from typing import Any

from agents.cli import prepare_process
from tests.benchmarks.digits_cells import ALGO, ROOT
from tests.benchmarks.results import as_json

ENV = "Manifold/MNIST-v0"
ITEMS, BATCH, STEPS, REPEATS = 2000, 256, 60, 5
OTHERS = ("joint", "embedding")
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


def mnist_world(data_dir: str | None = None) -> Any:
    """The full-size world: real training images as starts, real test images held out."""
    from envs import make_world

    return make_world(data="mnist", data_dir=data_dir)


def world_facts(world: Any) -> dict[str, float]:
    """Class kept by reconstructions of all test images, the classifier's accuracy, and the class distance."""
    import torch

    x, truth = world.held_out
    kept, right = [], []
    with torch.inference_mode():
        for part, classes in zip(x.split(2000), truth.split(2000), strict=True):
            seen = world.classifier.predict_proba(part).argmax(1)
            again = world.classifier.predict_proba(world.manifold.decode(world.manifold.encode(part))).argmax(1)
            kept.append((seen == again).float())
            right.append((seen == classes).float())
    return {
        "class kept by reconstructions": float(torch.cat(kept).mean()),
        "classifier accuracy": float(torch.cat(right).mean()),
        "class distance": world.class_distance,
    }


def agent(world: Any, seed: int, n_timesteps: int | None) -> tuple[Any, dict[str, Any]]:
    """A trained agent, and what its explanations measure."""
    import torch

    from agents.explain import explain
    from agents.explanation.metrics.evaluate import Reference, evaluate_paths
    from agents.train import train
    from agents.training.algorithms import load_hyperparameters
    from tests.benchmarks.digits_bed import random_targets

    settings = load_hyperparameters(ALGO, ENV)
    kwargs = settings.pop("env_kwargs", {})
    steps = n_timesteps or int(settings.pop("n_timesteps"))
    settings.pop("n_timesteps", None)
    with tempfile.TemporaryDirectory() as folder:
        run = train(
            world=world, algo=ALGO, seed=seed, n_timesteps=steps, hyperparams=settings, env_kwargs=kwargs, log_folder=folder,
            save_freq=0, eval_episodes=0,
        )  # fmt: skip
        x = world.held_out.x[:ITEMS]
        with torch.inference_mode():
            seen = world.classifier.predict_proba(x).argmax(1)
        started = time.process_time()
        paths = explain(run, range(ITEMS), random_targets(seen, 10, seed).tolist(), seed=seed, fallback=False)
        seconds = time.process_time() - started
        # Every 15th training image as bank: distances to 60,000 for each frame would take hours.
        bank = slice(0, None, 15)
        reference = Reference(
            world.reference.x[bank].numpy(), world.reference.label[bank].numpy(), x.numpy(), world.held_out.truth[:ITEMS].numpy()
        )
        found = {name: value.as_dict() for name, value in evaluate_paths(run.world, paths, reference).items()}
    figures = {name: found[name]["value"] for name in MEASURES}
    figures["training_queries"] = run.queries + 2 * len(world.reference.x)
    figures["training_cpu_seconds"] = run.progress["cpu_seconds"]
    figures["explaining_cpu_ms"] = 1000 * seconds / ITEMS
    return run, {"seed": seed, "n_timesteps": steps, "figures": figures, "measures": found}


def speed(world: Any, model: Any) -> float:
    """Rows a second of the vector environment of 256 as a share of the raw forward's (median of ratios within a repeat)."""
    from tests.benchmarks.throughput import forward, recorded, rows_per_second, walk_vector

    actions = recorded(world, model, BATCH, STEPS)
    ratios = []
    for repeat in range(REPEATS + 1):
        raw = rows_per_second(world, forward(world, BATCH, STEPS))
        walked = rows_per_second(world, walk_vector(world, actions))
        if repeat:  # the first warms up
            ratios.append(walked / raw)
    return median(ratios)


def judged(aims: dict[str, tuple[str, float]], name: str, value: float) -> str:
    """The aim of a figure and whether it is reached."""
    if name not in aims:
        return ""
    relation, aim = aims[name]
    return f"{relation} {aim:g}: {'reached' if (value >= aim if relation == '>=' else value <= aim) else 'NOT reached'}"


def markdown(page: dict[str, Any]) -> str:
    """The tables as a page."""
    lines = ["# Paths on MNIST", ""]
    if page["agents"]:
        lines += _agents(page)
    if page.get("others"):
        lines += _others(page)
    return "\n".join(lines) + "\n"


def _others(page: dict[str, Any]) -> list[str]:
    """The table of manifolds trained with the network."""
    lines = ["", "## Manifolds trained with the network", "", f"Made by `{page['others_command']}`.", ""]
    lines += ["Fitted with seed 0, an agent of seed 0 in each; the same CNN is explained. Beside them the shipped VAE and its"]
    lines += ["agent of seed 0.", ""]
    columns = {"the shipped VAE": (page["world"], page["agents"][0]["figures"])} if page["agents"] else {}
    columns |= {other["title"]: (other["world"], other["figures"]) for other in page["others"].values()}
    lines += ["| | " + " | ".join(columns) + " |", "|---|" + "---:|" * len(columns)]
    for name in ("class kept by reconstructions", "class distance"):
        lines.append(f"| {name} | " + " | ".join(f"{world[name]:.4f}" for world, _ in columns.values()) + " |")
    for name in next((figures for _, figures in columns.values() if figures), {}):
        cells = ["" if not figures else _figure(figures[name]) for _, figures in columns.values()]
        lines.append(f"| {MEASURES.get(name, name.replace('_', ' '))} | " + " | ".join(cells) + " |")
    return lines


def _figure(value: float) -> str:
    return f"{value:,.4g}" if value < 1e4 else f"{value:,.0f}"


def _agents(page: dict[str, Any]) -> list[str]:
    """The tables of the shipped world and its agents."""
    lines = [f"Made by `{page['command']}`.", ""]
    lines += [f"The first {ITEMS:,} test images, each towards a random other class until p >= 0.9; black box."]
    lines += ["kNN ratios are against every 15th training image; 1.0 is as typical as real test images.", ""]
    lines += ["| world | value | aim |", "|---|---:|---|"]
    lines += [f"| {name} | {value:.4f} | {judged(WORLD_AIMS, name, value)} |" for name, value in page["world"].items()]
    names = list(page["agents"][0]["figures"])
    lines += ["", "| figure | " + " | ".join(f"seed {a['seed']}" for a in page["agents"]) + " | mean | aim for the mean |"]
    lines += ["|---|" + "---:|" * (len(page["agents"]) + 1) + "---|"]
    for name in names:
        values = [a["figures"][name] for a in page["agents"]]
        cells = " | ".join(map(_figure, (*values, fmean(values))))
        lines.append(f"| {MEASURES.get(name, name.replace('_', ' '))} | {cells} | {judged(AIMS, name, fmean(values))} |")
    return lines


def main() -> None:
    """The script."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--parts", nargs="+", default=["agents", "others"], choices=["agents", "others"])
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--n-timesteps", type=int, help="of each training (default: the recipe's)")
    parser.add_argument("--data-dir", help="folder of the MNIST files (default: $MANIFOLD_DATA)")
    parser.add_argument("--others-without-agents", action="store_true", help="reconstructions alone")
    parser.add_argument("--cache", type=Path, default=ROOT / "runs" / "benchmark-cache")
    parser.add_argument("--out", type=Path, default=ROOT / "docs" / "results" / "mnist_paths", metavar="STEM")
    options = parser.parse_args()
    prepare_process()
    command = shlex.join(["python", "-m", "tests.benchmarks.mnist_paths", *sys.argv[1:]])
    options.out.parent.mkdir(parents=True, exist_ok=True)
    before = options.out.with_suffix(".json")
    page: dict[str, Any] = json.loads(before.read_text()) if before.is_file() else {"agents": []}
    if "agents" in options.parts:
        with_agents(page, command, options)
    if "others" in options.parts:
        with_others(page, command, options)
    print(markdown(page))


def write(page: dict[str, Any], options: argparse.Namespace) -> None:
    """The page as it stands: an interrupted benchmark has told what it found."""
    options.out.with_suffix(".json").write_text(as_json(page))
    options.out.with_suffix(".md").write_text(markdown(page))


def with_others(page: dict[str, Any], command: str, options: argparse.Namespace) -> None:
    """Put what manifolds trained with the network measure into the page."""
    from envs import make_world
    from tests.benchmarks.mnist_models import TITLES, fitted_model

    page["others_command"], page["others"] = command, {}
    for kind in OTHERS:
        manifold = fitted_model(kind, 0, options.cache)
        world = make_world(data="mnist", data_dir=options.data_dir, classifier="mnist", manifold=manifold)
        other: dict[str, Any] = {"title": TITLES[kind], "world": world_facts(world), "figures": {}}
        page["others"][kind] = other
        write(page, options)
        if not options.others_without_agents:
            other["figures"] = agent(world, 0, options.n_timesteps)[1]["figures"]
            write(page, options)


def with_agents(page: dict[str, Any], command: str, options: argparse.Namespace) -> None:
    """Put what the shipped world and its agents measure into the page."""
    from tqdm import tqdm

    world = mnist_world(options.data_dir)
    facts = world_facts(world)
    facts["environment / raw forward at 256"] = speed(world, TowardsMean(world))
    page |= {"command": command, "python": platform.python_version(), "world": facts, "agents": []}
    for seed in tqdm(options.seeds, desc="agents", dynamic_ncols=True):
        run, cell = agent(world, seed, options.n_timesteps)
        page["agents"].append(cell)
        if len(page["agents"]) == 1:
            facts["trained recipe's environment / raw forward at 256"] = speed(run.world, run.model)
        write(page, options)


class TowardsMean:
    """Actions straight towards the target class's mean code: walks end about as often as a trained agent's."""

    def __init__(self, world: Any) -> None:
        self.world = world

    def predict(self, observation: Any, deterministic: bool = True) -> tuple[Any, None]:
        """See stable-baselines3's `predict`."""
        import numpy as np

        d, classes = self.world.latent_dim, self.world.classes
        z = observation[:, :d] * self.world.manifold.prior.radius
        target = observation[:, 2 * d + classes : 2 * d + 2 * classes].argmax(1)
        gap = self.world.class_codes[0].numpy()[target] - z
        return (gap / np.linalg.norm(gap, axis=1, keepdims=True)).astype(np.float32), None


if __name__ == "__main__":
    main()
