"""MRnet: robustness of the trained classifier, and what it does to the paths that explain it.

    python -m tests.benchmarks.mrnet                     # digits, 5 seeds; about a quarter of an hour
    python -m tests.benchmarks.mrnet --parts accuracy    # without the walks
    python -m tests.benchmarks.mrnet --data mnist        # accuracy alone, on 10,000 of its digits

Accuracy: an MLP with three hidden layers of 64, trained plainly, adversarially (FGM, L2 step 0.5 and 1) and as MRnet (all
hidden layers, or the last alone), on all training data and on few; accuracy on the held-out data, clean and after an FGM
step of L2 length 0.5 and 1 against the true class. Few data get as many gradient steps as many.

Paths: for a plain classifier and an MRnet, a path agent is trained with the digits recipe on the same manifold, and all
held-out digits are explained towards the same rule's random other classes, to p >= 0.9, by it (with the ensemble check on the
end and without) and by two walkers without training. An end point is called adversarial if an independent classifier
(agents.explanation.metrics.oracle) does not see the target in it.
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterator
from functools import partial
from statistics import fmean
from typing import Any

import torch

from agents.evaluate import evaluate
from agents.explanation.metrics.evaluate import Reference
from agents.train import train
from agents.walkers.policy import RETRIES, PolicyWalker
from envs.building.world import make_world
from envs.classifiers.mrnet import fgm_accuracy, fit_adversarial, fit_mrnet
from envs.classifiers.networks import fit_classifier, mlp_classifier
from envs.datasets import DATASETS
from tests.benchmarks.harness.experiment import Experiment, Options, Record, one_of, render, whole_numbers
from tests.benchmarks.harness.runs import Run
from tests.benchmarks.harness.splits import TAU, digits_models
from tests.benchmarks.harness.tables import plus_minus, table
from tests.benchmarks.harness.walks import ALGO, MOST_STEPS, SOURCES, recipe_of

RADII = (0.0, 0.5, 1.0)
SIZES = {"digits": (0, 200), "mnist": (0, 1000)}  # 0: all
EPOCHS = {"digits": 60, "mnist": 15}
WIDTHS = {"digits": (64, 64, 64, 64, 10), "mnist": (784, 256, 256, 10)}
MNIST_ROWS = 10_000
CLASSIFIERS = ("envs/classifiers/*.py",)
WALKED = ("plain", "MRnet, all layers")
COLUMNS = {
    "validity": ("valid at p >= 0.9", 4), "oracle_missed": ("adversarial ends", 4), "im1": ("IM1", 3),
    "l2_input": ("L2", 3), "knn_ratio": ("kNN ratio", 3), "worst_knn_ratio": ("worst frame", 3),
    "rising_share": ("rising", 4), "class_switches": ("class switches", 2), "cout": ("COUT", 3),
    "completeness_gap": ("completeness gap", 3), "lime_r2": ("LIME R2", 3), "roughness": ("roughness", 2),
    "queries": ("queries", 2), "frames": ("frames", 1),
}  # fmt: skip


# ---- run --------------------------------------------------------------------------------------------------------------


def ways() -> dict[str, Callable[..., Any]]:
    """Name -> training function of (module, x, y, **training)."""
    return {
        "plain": fit_classifier,
        "adversarial 0.5": partial(fit_adversarial, step=0.5),
        "adversarial 1": partial(fit_adversarial, step=1.0),
        "MRnet, all layers": partial(fit_mrnet, layers="all"),
        "MRnet, last layer": partial(fit_mrnet, layers="last"),
    }


def split(name: str, seed: int) -> tuple[Any, Any, Any, Any]:
    """Training and held-out data and classes of a seed, as tensors."""
    data = DATASETS[name](seed=seed) if name == "digits" else DATASETS[name]()
    x, y, held_out, truth = (torch.as_tensor(p) for p in (data.x, data.truth, data.held_out, data.held_out_truth))
    if name == "mnist":
        rows = torch.randperm(len(x), generator=torch.Generator().manual_seed(seed))[:MNIST_ROWS]
        x, y = x[rows], y[rows]
    return x.float(), y.long(), held_out.float(), truth.long()


def trained(name: str, way: str, seed: int, size: int | None = None) -> Any:
    """A classifier of this way of training, on all training data or on `size` of them."""
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


def _accuracy(name: str, way: str, seed: int, size: int | None) -> dict[str, list[float]]:
    _, _, held_out, truth = split(name, seed)
    module = trained(name, way, seed, size)
    return {"accuracy": [fgm_accuracy(module, held_out, truth, radius) for radius in RADII]}


def _walked(way: str, seed: int) -> dict[str, dict[str, float]]:
    """Figures of the agent and of two walkers without training on one classifier."""
    data, recipe = DATASETS["digits"](seed=seed), recipe_of({})
    settings = {"task": "reach", **recipe["env_kwargs"], "tau": TAU, "max_step": 1 / 6}
    _, manifold = digits_models(seed)
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
        found["policy, no ensemble check"] = found.pop("policy 2")
        found |= evaluate(world, ["line", "pullback_gradient"], max_steps=MOST_STEPS, **shared)
    return {walker: _figures(measures) for walker, measures in found.items()}


def _figures(measures: dict[str, Any]) -> dict[str, float]:
    values = {name: measures[name].value for name in COLUMNS if name in measures}
    return {**values, "oracle_missed": 1 - measures["oracle"].value}


def measure(options: Options) -> Iterator[Record]:
    """Accuracies and walks; what is not measured now stays."""
    data = options.data
    record = {"data": data, "found": dict(options.before.get("found", {}))}
    if "accuracy" in options.parts:
        found = record["found"]["accuracy"] = dict(record["found"].get("accuracy", {}))
        for size in options.sizes or SIZES[data]:
            row = found[str(size or "all")] = {}
            for way in ways():
                key = {"mrnet": data, "size": size, "way": way, "epochs": EPOCHS[data], "widths": WIDTHS[data]}
                runs = [Run({**key, "seed": seed}, partial(_accuracy, data, way, seed, size or None), CLASSIFIERS)
                        for seed in options.seeds]  # fmt: skip
                row[way] = [cell["accuracy"] for cell in options.runner(runs, f"{size or 'all'}, {way}")]
            yield record
    if "paths" in options.parts and data == "digits":
        record["found"]["paths"] = {}
        for way in WALKED:
            key = {"mrnet paths": way, "recipe": recipe_of({}), "widths": WIDTHS["digits"]}
            runs = [Run({**key, "seed": seed}, partial(_walked, way, seed), SOURCES) for seed in options.seeds]
            cells = options.runner(runs, f"paths, {way}")
            record["found"]["paths"][way] = {walker: [cell[walker] for cell in cells] for walker in cells[0]}
            yield record


# ---- analyse ----------------------------------------------------------------------------------------------------------


def page(record: Record) -> str:
    """Accuracies with their aims, and walks."""
    found, parts = record["found"], []
    if "accuracy" in found:
        rows = [
            [size, way, *(plus_minus([cell[i] for cell in cells], 4) for i in range(len(RADII)))]
            for size, row in found["accuracy"].items() for way, cells in row.items()
        ]  # fmt: skip
        titles = ["training data", "trained", "clean", *(f"FGM, L2 {r:g}" for r in RADII[1:])]
        count = len(next(iter(next(iter(found["accuracy"].values())).values())))
        text = {
            "table": table(titles, rows, "llr"),
            "aims": "\n".join(against_aims(found["accuracy"])),
        }
        parts.append(render("mrnet_accuracy", count=count, **text))
    if "paths" in found:
        rows = [
            [way, walker.replace("_", " "),
             *(plus_minus([cell[c] for cell in cells if c in cell], digits) for c, (_, digits) in COLUMNS.items())]
            for way, walkers in found["paths"].items() for walker, cells in walkers.items()
        ]  # fmt: skip
        titles = ["trained", "walker", *(title for title, _ in COLUMNS.values())]
        count = len(next(iter(found["paths"]["plain"].values())))
        parts.append(render("mrnet_paths", count=count, table=table(titles, rows, "llr")))
    about = f"Last made by `{record['command']}`; means and standard deviations over seeds."
    return "\n".join([f"# MRnet on {record['data']}", "", about, "", *parts])


def against_aims(accuracy: dict[str, Any]) -> list[str]:
    """The aims, on all training data: clean error below plain; FGM accuracy at 0.5 within 0.03 of adversarial training."""
    if "all" not in accuracy:
        return []
    whole = {way: [fmean(column) for column in zip(*cells, strict=True)] for way, cells in accuracy["all"].items()}
    lines = []
    for way in (way for way in whole if way.startswith("MRnet")):
        clean, half = 1 - whole[way][0], whole[way][1]
        verdict = "below" if clean < 1 - whole["plain"][0] else "NOT below"
        text = f"{way}: clean error {clean:.4f}, {verdict} plain's {1 - whole['plain'][0]:.4f}; FGM accuracy at 0.5 {half:.4f}"
        for rival in ("adversarial 0.5", "adversarial 1"):
            gap = whole[rival][1] - half
            place = f"{gap:.4f} behind" if gap > 0 else f"{-gap:.4f} ahead of"
            text += f", {place} {rival}" + ("" if gap <= 0.03 else ", NOT within 0.03")
        lines += [f"- {text}."]
    return lines


EXPERIMENT = Experiment(
    "mrnet", __doc__, measure, page, files=("mrnet", "mrnet_mnist"),
    file_of=lambda options: "mrnet" if options.data == "digits" else f"mrnet_{options.data}",
    flags={
        "--data": {"default": "digits", "choices": ("digits", "mnist")},
        "--seeds": whole_numbers(0, 1, 2, 3, 4),
        "--sizes": {"type": int, "nargs": "+", "help": "of the training data; 0: all"},
        "--parts": one_of(["accuracy", "paths"]),
    },
)  # fmt: skip

if __name__ == "__main__":
    EXPERIMENT.main()
