"""MRnet: robustness of the trained classifier, and what it does to the paths that explain it.

    python -m tests.benchmarks.mrnet                     # digits, 5 seeds; about a quarter of an hour
    python -m tests.benchmarks.mrnet --parts accuracy    # without the walks
    python -m tests.benchmarks.mrnet --data mnist        # accuracy alone, on 10,000 of its digits

Accuracy: an MLP with three hidden layers of 64, trained plainly, adversarially (FGM, L2 step 0.5 and 1) and as MRnet (all
hidden layers, or the last alone), on all training data and on few; accuracy on the held-out data, clean and after an FGM
step of L2 length 0.5 and 1 against the true class. Few data get as many gradient steps as many.

Paths: for a plain classifier and an MRnet, a path agent is trained with the digits recipe on the same manifold, and all
held-out digits are explained towards the same rule's random other classes, to p >= 0.9, by it (with second opinions on the
end and without) and by two walkers without training. An end point is called adversarial if an independent classifier
(agents.explanation.metrics.oracle) does not see the target in it.

Finished cells are kept in --cache, so that an interrupted run goes on where it was. Writes docs/results/mrnet.json and .md
(mrnet_mnist for MNIST); what a run was not asked for stays there as it was.
"""

from __future__ import annotations

import argparse
import json
import platform
import shlex
import sys
import tempfile
from collections.abc import Callable
from functools import partial
from pathlib import Path
from statistics import fmean, stdev
from typing import Any

from agents.cli import prepare_process
from agents.files import write_whole
from tests.benchmarks.digits_cells import ALGO, MOST_STEPS, ROOT, kept, recipe_of
from tests.benchmarks.results import as_json

RADII = (0.0, 0.5, 1.0)
SIZES = {"digits": (0, 200), "mnist": (0, 1000)}  # 0: all
EPOCHS = {"digits": 60, "mnist": 15}
WIDTHS = {"digits": (64, 64, 64, 64, 10), "mnist": (784, 256, 256, 10)}
MNIST_ROWS = 10_000
WALKED = ("plain", "MRnet, all layers")
COLUMNS = {
    "validity": ("valid at p >= 0.9", 4), "oracle_missed": ("adversarial ends", 4), "im1": ("IM1", 3),
    "l2_input": ("L2", 3), "knn_ratio": ("kNN ratio", 3), "worst_knn_ratio": ("worst frame", 3),
    "rising_share": ("rising", 4), "class_switches": ("class switches", 2), "cout": ("COUT", 3),
    "completeness_gap": ("completeness gap", 3), "lime_r2": ("LIME R2", 3), "roughness": ("roughness", 2),
    "queries": ("queries", 2), "frames": ("frames", 1),
}  # fmt: skip


def ways() -> dict[str, Callable[..., Any]]:
    """name -> training function of (module, x, y, **training)."""
    from envs.classifiers.mrnet import fit_adversarial, fit_mrnet
    from envs.classifiers.networks import fit_classifier

    return {
        "plain": fit_classifier,
        "adversarial 0.5": partial(fit_adversarial, step=0.5),
        "adversarial 1": partial(fit_adversarial, step=1.0),
        "MRnet, all layers": partial(fit_mrnet, layers="all"),
        "MRnet, last layer": partial(fit_mrnet, layers="last"),
    }


def split(name: str, seed: int) -> tuple[Any, Any, Any, Any]:
    """Training and held-out data and classes of a seed, as tensors."""
    import torch

    from envs.datasets import DATASETS

    data = DATASETS[name](seed=seed) if name == "digits" else DATASETS[name]()
    x, y, held_out, truth = (torch.as_tensor(p) for p in (data.x, data.truth, data.held_out, data.held_out_truth))
    if name == "mnist":
        rows = torch.randperm(len(x), generator=torch.Generator().manual_seed(seed))[:MNIST_ROWS]
        x, y = x[rows], y[rows]
    return x.float(), y.long(), held_out.float(), truth.long()


def trained(name: str, way: str, seed: int, size: int | None = None) -> Any:
    """A classifier of this way of training, on all training data or on `size` of them."""
    import torch

    from envs.classifiers.networks import mlp_classifier

    x, y, _, _ = split(name, seed)
    epochs = EPOCHS[name]
    if size is not None:
        rows = torch.randperm(len(x), generator=torch.Generator().manual_seed(seed))[:size]
        epochs = round(epochs * len(x) / size)
        x, y = x[rows], y[rows]
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        module = mlp_classifier(WIDTHS[name])
    return ways()[way](module, x, y, epochs=epochs, learning_rate=2e-3, seed=seed)


def accuracies(name: str, sizes: list[int], seeds: list[int], cache: Path, fresh: bool) -> dict[str, Any]:
    """size -> way -> accuracy at each radius, a list over seeds."""
    from tqdm import tqdm

    cells = [(size or None, way, seed) for size in sizes for way in ways() for seed in seeds]
    out: dict[str, Any] = {}
    for size, way, seed in tqdm(cells, desc="classifiers", unit="cell", dynamic_ncols=True):
        key = {"mrnet": name, "size": size, "way": way, "seed": seed, "epochs": EPOCHS[name], "widths": WIDTHS[name]}
        cell = kept(cache, key, partial(_accuracy, name, way, seed, size), fresh)
        out.setdefault("all" if size is None else str(size), {}).setdefault(way, []).append(cell["accuracy"])
    return out


def _accuracy(name: str, way: str, seed: int, size: int | None) -> dict[str, list[float]]:
    from envs.classifiers.mrnet import fgm_accuracy

    _, _, held_out, truth = split(name, seed)
    module = trained(name, way, seed, size)
    return {"accuracy": [fgm_accuracy(module, held_out, truth, radius) for radius in RADII]}


def walks(seeds: list[int], cache: Path, fresh: bool) -> dict[str, Any]:
    """way -> walker -> one dict of figures a seed: bed, classifier and agent are of that seed."""
    from tqdm import tqdm

    recipe = recipe_of({})
    out: dict[str, Any] = {}
    for seed, way in tqdm([(s, w) for s in seeds for w in WALKED], desc="paths", unit="cell", dynamic_ncols=True):
        key = {"mrnet paths": way, "seed": seed, "recipe": recipe, "widths": WIDTHS["digits"]}
        for walker, figures in kept(cache, key, partial(_walked, way, seed), fresh).items():
            out.setdefault(way, {}).setdefault(walker, []).append(figures)
    return out


def _walked(way: str, seed: int) -> dict[str, dict[str, float]]:
    """Figures of the agent and of two walkers without training on one classifier."""
    from agents.evaluate import evaluate
    from agents.explain import RETRIES
    from agents.explanation.metrics.evaluate import Reference
    from agents.train import train
    from agents.walkers.policy import PolicyWalker
    from envs.building.world import make_world
    from envs.datasets import DATASETS
    from tests.benchmarks.digits_bed import TAU, fitted

    data, recipe = DATASETS["digits"](seed=seed), recipe_of({})
    settings = {**recipe["env_kwargs"], "tau": TAU, "max_step": 1 / 6}
    _, manifold = fitted(seed)
    world = make_world(data=data, classifier=trained("digits", way, seed), manifold=manifold, **settings)
    with tempfile.TemporaryDirectory() as folder:
        run = train(
            world=world, algo=ALGO, seed=seed, n_timesteps=recipe["n_timesteps"], hyperparams=recipe["hyperparams"],
            log_folder=folder, save_freq=0, eval_episodes=0,
        )  # fmt: skip
        reference = Reference(data.x, data.truth, data.held_out, data.held_out_truth)
        shared = {"seed": seed, "reference": reference, "alone": 0, "closely": 200}
        plain = PolicyWalker(run.model, run.surrogate, retries=RETRIES)
        found = evaluate(run, ["policy", plain], **shared)
        found["policy, no second opinions"] = found.pop("policy 2")
        found |= evaluate(world, ["line", "pullback_gradient"], max_steps=MOST_STEPS, **shared)
    return {walker: _figures(measures) for walker, measures in found.items()}


def _figures(measures: dict[str, Any]) -> dict[str, float]:
    values = {name: measures[name].value for name in COLUMNS if name in measures}
    return {**values, "oracle_missed": 1 - measures["oracle"].value}


def markdown(found: dict[str, Any], name: str, command: str) -> str:
    """The tables as a page."""
    lines = [f"# MRnet on {name}", "", f"Last made by `{command}`; means and standard deviations over seeds.", ""]
    if "accuracy" in found:
        count = len(next(iter(found["accuracy"]["all"].values())))
        lines += ["## Accuracy, clean and under attack", "", f"{count} seeds.", ""]
        lines += ["| training data | trained | clean | " + " | ".join(f"FGM, L2 {r:g}" for r in RADII[1:]) + " |"]
        lines += ["|---|---|" + "---:|" * len(RADII)]
        for size, rows in found["accuracy"].items():
            for way, cells in rows.items():
                told = [_spread([cell[i] for cell in cells], 4) for i in range(len(RADII))]
                lines.append(f"| {size} | {way} | " + " | ".join(told) + " |")
        lines += ["", *judged(found["accuracy"]), ""]
    if "paths" in found:
        count = len(next(iter(found["paths"]["plain"].values())))
        lines += ["## Paths that explain them", "", f"{count} bed(s), each with its classifiers and agents.", ""]
        lines += ["*Adversarial ends*: valid end points in which an independent classifier does not see the target."]
        lines += ["A dash: not measured.", ""]
        lines += ["| trained | walker | " + " | ".join(title for title, _ in COLUMNS.values()) + " |"]
        lines += ["|---|---|" + "---:|" * len(COLUMNS)]
        for way, walkers in found["paths"].items():
            for walker, cells in walkers.items():
                told = [_spread([cell[c] for cell in cells if c in cell], digits) for c, (_, digits) in COLUMNS.items()]
                lines.append(f"| {way} | {walker.replace('_', ' ')} | " + " | ".join(told) + " |")
        lines.append("")
    return "\n".join(lines)


def judged(accuracy: dict[str, Any]) -> list[str]:
    """The aims, on all training data: clean error below plain; FGM accuracy at 0.5 within 0.03 of adversarial training."""
    whole = {way: [fmean(column) for column in zip(*cells, strict=True)] for way, cells in accuracy["all"].items()}
    lines = []
    for way in (way for way in whole if way.startswith("MRnet")):
        clean, half = 1 - whole[way][0], whole[way][1]
        verdict = "below" if clean < 1 - whole["plain"][0] else "NOT below"
        told = f"{way}: clean error {clean:.4f}, {verdict} plain's {1 - whole['plain'][0]:.4f}; FGM accuracy at 0.5 {half:.4f}"
        for rival in ("adversarial 0.5", "adversarial 1"):
            gap = whole[rival][1] - half
            place = f"{gap:.4f} behind" if gap > 0 else f"{-gap:.4f} ahead of"
            told += f", {place} {rival}" + ("" if gap <= 0.03 else ", NOT within 0.03")
        lines += [f"- {told}."]
    return lines


def _spread(values: list[float], digits: int) -> str:
    if not values:
        return "-"
    return f"{fmean(values):.{digits}f}" + (f" ± {stdev(values):.{digits}f}" if len(values) > 1 else "")


def main() -> None:
    """The script."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", default="digits", choices=("digits", "mnist"))
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2, 3, 4])
    parser.add_argument("--sizes", type=int, nargs="+", default=None, help="of the training data; 0: all")
    parser.add_argument("--parts", nargs="+", default=["accuracy", "paths"], choices=("accuracy", "paths"))
    parser.add_argument("--cache", type=Path, default=ROOT / "runs" / "benchmark-cache", help="where finished cells are kept")
    parser.add_argument("--fresh", action="store_true", help="measure every cell again")
    parser.add_argument("--out", type=Path, default=None, help="without ending (default: docs/results/mrnet)")
    options = parser.parse_args()
    prepare_process()
    out = options.out or ROOT / "docs" / "results" / ("mrnet" if options.data == "digits" else f"mrnet_{options.data}")
    command = shlex.join(["python", "-m", "tests.benchmarks.mrnet", *sys.argv[1:]])
    found: dict[str, Any] = {}
    if out.with_suffix(".json").is_file():
        found = dict(json.loads(out.with_suffix(".json").read_text())["found"])
    if "accuracy" in options.parts:
        sizes = options.sizes or SIZES[options.data]
        measured = accuracies(options.data, sizes, options.seeds, options.cache, options.fresh)
        found["accuracy"] = {**found.get("accuracy", {}), **measured}
    if "paths" in options.parts and options.data == "digits":
        found["paths"] = walks(options.seeds, options.cache, options.fresh)
    page = markdown(found, options.data, command)
    print(page)
    out.parent.mkdir(parents=True, exist_ok=True)
    about = {"command": command, "python": platform.python_version(), "found": found}
    write_whole(out.with_suffix(".json"), as_json(about))
    write_whole(out.with_suffix(".md"), page)


if __name__ == "__main__":
    main()
