"""Faces of 64x64, shapes of 32x32 in colour, tinted clothes: does the convolutional VAE hold, and what does a pixel cost?

    python -m tests.benchmarks.pictures_large                          # all data, two folds, and the cost
    python -m tests.benchmarks.pictures_large --data faces --seeds 0 1 2 3 4

A seed is a fold of the faces (images k, k + 5 of every person are held out), and the draw of the other data. The explained
classifier is a small network, the oracle a support vector machine on the true classes of the same pictures. Held-out pictures
walk to a random other class until p >= 0.9. The nearest unlike neighbour is the nearest training picture that the classifier
predicts as the target with p >= 0.9. Hues are drawn independently of the class.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor, nn

from agents.explain import explain
from envs.building.world import make_world
from envs.classifiers.networks import fit_classifier
from envs.datasets import DATASETS
from envs.manifolds import ConvVAE
from envs.manifolds.fitting import untrained
from tests.benchmarks.harness.experiment import Experiment, Options, Record, one_of, render, whole_numbers
from tests.benchmarks.harness.models import trained
from tests.benchmarks.harness.runs import Run, cpu_seconds, digest
from tests.benchmarks.harness.splits import TAU, random_targets
from tests.benchmarks.harness.tables import spread, table
from tests.benchmarks.pictures.colours import SHAPES, coloured_shapes, hue_change, tinted

ITEMS, AGENT_STEPS, STEP = 80, 8_000, 1 / 6
WAYS = ("line", "line, convincing", "agent", "agent, convincing", "nearest unlike neighbour")
SIZES = ((8, 8), (16, 16), (32, 32), (64, 64), (3, 64, 64))
COST_ROWS, COST_ITEMS = 256, 10
SOURCES = ("envs/**/*.py", "agents/walkers/**/*.py", "agents/train*.py", "tests/benchmarks/pictures_large.py",
           "tests/benchmarks/pictures/colours.py")  # fmt: skip


class Pictures(NamedTuple):
    """Pictures in [0, 1] with their classes, and the settings of their manifold.

    Attributes:
        x, truth: those that everything is fitted to.
        held_out, held_out_truth: those that are explained.
        classes: K.
        fit: settings of the manifold's fit.
        epochs: of the classifier.

    Example:
        >>> shapes(0).x.shape
        (2400, 3, 32, 32)
    """

    x: np.ndarray
    truth: np.ndarray
    held_out: np.ndarray
    held_out_truth: np.ndarray
    classes: int
    fit: dict[str, Any]
    epochs: int


def faces(seed: int) -> Pictures:
    """The Olivetti faces, 64x64 grey; the class is the person, and two images of each are held out."""
    with np.load(Path(os.environ["MANIFOLD_DATA"]) / "olivetti" / "olivetti_faces_64.npz") as file:
        x, person = (file["images"] / 242).astype(np.float32), file["person"].astype(int)
    out = np.arange(len(x)) % 5 == seed % 5
    return Pictures(x[~out], person[~out], x[out], person[out], 40, FACES, 25)


def shapes(seed: int) -> Pictures:
    """Discs, squares, triangles and rings, 32x32 in colour."""
    x, kind = coloured_shapes(2800, seed)
    return Pictures(x[:2400], kind[:2400], x[2400:], kind[2400:], len(SHAPES), COLOUR, 10)


def clothes(seed: int) -> Pictures:
    """Fashion-MNIST, 28x28, each picture in a hue of its own."""
    data = DATASETS["fashion_mnist"]()
    assert data.truth is not None
    x, truth = tinted(data.x[:6000], seed), data.truth[:6000]
    return Pictures(x[:5600], truth[:5600], x[5600:], truth[5600:], 10, COLOUR, 10)


FACES = {
    "latent_dim": 64, "decoder": "mlp", "hidden": [256], "beta": 0.05, "epochs": 200, "learning_rate": 1e-3, "detail": 10.0,
    "shift": 1,
}  # fmt: skip
COLOUR = {"latent_dim": 16, "decoder": "mlp", "hidden": [256], "epochs": 40, "learning_rate": 1e-3}
DATA: dict[str, tuple[str, Callable[[int], Pictures]]] = {
    "faces": ("Faces, 64x64 grey, 40 persons", faces),
    "shapes": ("Shapes, 32x32 colour, 4 classes", shapes),
    "clothes": ("Tinted clothes, 28x28 colour, 10 classes", clothes),
}


# ---- run --------------------------------------------------------------------------------------------------------------


def network(shape: tuple[int, ...], classes: int) -> nn.Sequential:
    """Three stride-2 convolutions and a linear layer: pictures (B, H, W) or (B, C, H, W) to logits."""
    channels, side = (1, shape[0]) if len(shape) == 2 else (shape[0], shape[1])
    layers: list[nn.Module] = [nn.Unflatten(1, (1, side))] if len(shape) == 2 else []
    for a, b in ((channels, 16), (16, 32), (32, 64)):
        layers += [nn.Conv2d(a, b, 3, 2, 1), nn.ReLU()]
    return nn.Sequential(*layers, nn.Flatten(), nn.Linear(64 * (-(-side // 8)) ** 2, classes))


def world_of(name: str, seed: int) -> tuple[Any, Pictures, float]:
    """The world of a data set and seed, its pictures, and the CPU seconds of manifold and calibration."""
    data = DATA[name][1](seed)
    classifier = fit_classifier(
        untrained(lambda: network(data.x.shape[1:], data.classes), seed), torch.from_numpy(data.x),
        torch.from_numpy(data.truth), epochs=data.epochs, learning_rate=2e-3, weight_decay=1e-2, cosine=True, seed=seed,
    )  # fmt: skip
    fit = dict(data.fit)
    latent = fit.pop("latent_dim")
    world, seconds = cpu_seconds(lambda: make_world(
        data=data.x, held_out=data.held_out, truth=data.truth, classifier=classifier, modality="image",
        class_names=[str(k) for k in range(data.classes)], manifold="conv_vae", latent_dim=latent, fit=fit, task="reach",
        max_step=STEP, seed=seed, progress=False,
    ))  # fmt: skip
    return world, data, seconds


def walked(name: str, seed: int, steps: int, cache: Path) -> dict[str, Any]:
    """All figures of a data set and seed."""
    from sklearn.svm import SVC

    world, data, seconds = world_of(name, seed)
    x = world.held_out.x[:ITEMS]
    with torch.inference_mode():
        again = world.manifold.decode(world.manifold.encode(world.held_out.x))
        source, kept = (world.classifier.predict_proba(rows).argmax(1) for rows in (world.held_out.x, again))
        known = world.classifier.predict_proba(world.reference.x)
    oracle = SVC(C=10, gamma="scale").fit(data.x.reshape(len(data.x), -1), data.truth)
    target = random_targets(source[:ITEMS], world.classes, seed)

    def sees(pictures: np.ndarray, wanted: np.ndarray) -> float:
        return float((oracle.predict(pictures.reshape(len(pictures), -1)) == wanted).mean())

    colour = data.x.ndim == 4
    shuffled = np.random.default_rng(seed).permutation(len(x))
    found: dict[str, Any] = {
        "seed": seed, "train": len(data.x), "items": len(x), "seconds": seconds,
        "accuracy": float((source.numpy() == data.held_out_truth).mean()), "oracle": sees(data.held_out, data.held_out_truth),
        "kept": int((source == kept).sum()), "held_out": len(source), "kept_oracle": sees(again.numpy(), data.held_out_truth),
        "hue_of_pairs": float(hue_change(x.numpy(), x.numpy()[shuffled]).mean()) if colour else None,
        "hue_of_reconstructions": float(hue_change(x.numpy(), again[:ITEMS].numpy()).mean()) if colour else None,
        "ways": {},
    }  # fmt: skip
    run, found["training_seconds"] = None, None
    if steps:
        folder = cache / f"run-large-{digest([name, seed, steps], SOURCES)}"
        settings = {"algo": "ppo", "seed": seed, "n_timesteps": steps, "pictures": False, "progress": False}
        run, found["training_seconds"] = cpu_seconds(lambda: trained(folder, world, **settings))
    for way in WAYS[: -1 if steps else 2]:
        walker, by = ("line", world) if way.startswith("line") else ("policy", run)
        sure = "convincing" in way
        paths, cost = cpu_seconds(partial(
            explain, by, list(range(len(x))), target.tolist(), walker, seed=seed, fallback=False, convincing=sure
        ))  # fmt: skip
        ends = torch.from_numpy(np.stack([path.frames(world)[-1] for path in paths]))
        found["ways"][way] = {
            **_figures(x, ends, np.array([path.success for path in paths]), target, sees),
            "queries": float(np.mean([path.queries for path in paths])), "cpu_ms": 1000 * cost / len(paths),
        }  # fmt: skip
        cache.mkdir(parents=True, exist_ok=True)
        np.savez(cache / f"large-{name}-{seed}-{way.replace(', ', '-')}.npz", x=x[:16], again=again[:16], ends=ends[:16])
    p = known[:, target].T  # (items, rows)
    apart = torch.cdist(x.flatten(1), world.reference.x.flatten(1)).masked_fill(p < TAU, torch.inf)
    ends, valid = world.reference.x[apart.argmin(1)], torch.isfinite(apart.amin(1))
    found["ways"][WAYS[-1]] = _figures(x, ends, valid.numpy(), target, sees)
    return found


def _figures(
    x: Tensor, ends: Tensor, valid: np.ndarray, target: Tensor, sees: Callable[[np.ndarray, np.ndarray], float]
) -> dict[str, Any]:
    """Validity; of valid ends: what the oracle sees, distance and change of hue."""
    a, b = x.numpy()[valid], ends.numpy()[valid]
    some = bool(valid.any())
    return {
        "valid": float(valid.mean()), "oracle": sees(b, target.numpy()[valid]) if some else None,
        "l2": float(np.linalg.norm((b - a).reshape(len(a), -1), axis=1).mean()) if some else None,
        "hue": float(hue_change(a, b).mean()) if some and x.ndim == 4 else None,
    }  # fmt: skip


def cost(shape: tuple[int, ...], decoder: str) -> dict[str, Any]:
    """CPU seconds of a fit (a row and epoch), a decoded row, a step of one walk and an explanation, for random pictures."""
    generator = torch.Generator().manual_seed(0)
    smooth = torch.rand(COST_ROWS, 1 if len(shape) == 2 else 3, 4, 4, generator=generator)
    x = nn.functional.interpolate(smooth, size=shape[-2:], mode="bilinear").reshape(-1, *shape)
    ConvVAE.fit(x[:32], latent_dim=8, decoder=decoder, epochs=1)
    vae, fit = cpu_seconds(lambda: ConvVAE.fit(x, latent_dim=8, decoder=decoder, epochs=3))
    bright = x.flatten(1).mean(1)
    limit = float(bright.median())

    def classifier(rows: Any) -> Any:
        p = 1 / (1 + np.exp(-40 * (np.asarray(rows).reshape(len(rows), -1).mean(1) - limit)))
        return np.stack([1 - p, p], 1)

    world = make_world(
        data=x.numpy(), classifier=classifier, class_names=["dark", "bright"], manifold=vae, modality="image",
        progress=False, max_step=STEP,
    )  # fmt: skip
    with torch.inference_mode():
        z = world.manifold.encode(x)
        decode = min(cpu_seconds(lambda: world.manifold.decode(z))[1] for _ in range(5))
    explain(world, 0, walker="line")
    paths, explained = cpu_seconds(lambda: [explain(world, row, walker="line") for row in range(COST_ITEMS)])
    return {
        "pixels": int(np.prod(shape)), "fit": fit / 3 / COST_ROWS, "decode": decode / COST_ROWS,
        "step": explained / sum(path.steps + 1 for path in paths), "explain": explained / COST_ITEMS,
    }  # fmt: skip


def measure(options: Options) -> Iterator[Record]:
    """Every data set and seed, then the cost; what is not measured now stays."""
    record: Record = {"data": dict(options.before.get("data", {})), "cost": dict(options.before.get("cost", {}))}
    for name in options.data:
        cells = {cell["seed"]: cell for cell in record["data"].get(name, [])}
        for seed in options.seeds:
            key = {"pictures_large": name, "seed": seed, "agent_steps": options.agent_steps}
            run = Run(key, partial(walked, name, seed, options.agent_steps, options.cache), SOURCES)
            cells[seed] = options.runner.one(run, f"{name}, {seed}")
            record["data"][name] = [cells[k] for k in sorted(cells)]
            yield record
    for decoder in ("mlp", "conv") if options.cost else ():
        runs = [Run({"pictures_large": "cost", "shape": shape, "decoder": decoder}, partial(cost, shape, decoder), SOURCES)
                for shape in SIZES]  # fmt: skip
        record["cost"][decoder] = options.runner(runs, f"cost, {decoder}")
        yield record


# ---- analyse ----------------------------------------------------------------------------------------------------------


def page(record: Record) -> str:
    """A table a data set, and the cost against the pixels."""
    sections = []
    for name, cells in record["data"].items():

        def over(key: str, digits: int, cells: list[dict[str, Any]] = cells, way: str | None = None) -> str:
            return spread([(cell if way is None else cell["ways"][way]).get(key) for cell in cells], digits, always=False)

        facts = (
            f"Seeds {', '.join(str(cell['seed']) for cell in cells)}; {cells[0]['train']} pictures to fit to, "
            f"{cells[0]['items']} explained. Accuracy of the classifier {over('accuracy', 3)}, of the oracle "
            f"{over('oracle', 3)}. Class kept by the reconstructions of held-out pictures: {_counted(cells)}; the oracle "
            f"sees the true class in {over('kept_oracle', 3)} of them. Fit and calibration {over('seconds', 0)} CPU s, training of the agent "
            f"{over('training_seconds', 0)} CPU s."
        )
        if cells[0]["hue_of_pairs"] is not None:
            facts += (
                f" Hues of two random pictures differ by {over('hue_of_pairs', 0)} degrees, those of a picture and its "
                f"reconstruction by {over('hue_of_reconstructions', 1)}."
            )
        columns = {"valid": ("valid", 3), "oracle": ("oracle", 3), "l2": ("L2", 2), "hue": ("hue, degrees", 1),
                   "queries": ("queries", 1), "cpu_ms": ("CPU ms", 1)}  # fmt: skip
        shown = [way for way in WAYS if way in cells[0]["ways"]]
        rows = [[way, *(over(key, digits, way=way) for key, (_, digits) in columns.items())] for way in shown]
        sections.append(f"## {DATA[name][0]}\n\n{facts}\n\n{table(['', *(title for title, _ in columns.values())], rows)}")
    if record["cost"]:
        sections.append(f"## Cost\n\n{_costs(record['cost'])}")
    return render("pictures_large", command=record["command"], sections="\n\n".join(sections))


def _counted(cells: list[dict[str, Any]]) -> str:
    """Successes of all trials of all seeds, with their Wilson interval."""
    from scipy.stats import binomtest

    kept, trials = (sum(cell[key] for cell in cells) for key in ("kept", "held_out"))
    low, high = binomtest(kept, trials).proportion_ci(method="wilson")
    return f"{kept} of {trials} ({kept / trials:.3f} [{low:.3f}, {high:.3f}])"


def _costs(costs: dict[str, list[dict[str, Any]]]) -> str:
    """CPU ms by size; the exponent is the slope of log cost over log pixels from 16x16 on."""
    parts = []
    for decoder, cells in costs.items():
        names = ("fit", "decode", "step", "explain")
        rows = [[f"{cell['pixels']:,}", *(f"{1000 * cell[name]:.3f}" for name in names)] for cell in cells]
        pixels = np.log([cell["pixels"] for cell in cells[1:]])
        rows.append(
            ["exponent", *(f"{np.polyfit(pixels, np.log([cell[name] for cell in cells[1:]]), 1)[0]:.2f}" for name in names)]
        )
        head = ["values of a picture", "fit, a row and epoch", "decode, a row", "step", "explanation"]
        parts.append(f"Decoder `{decoder}`, CPU ms:\n\n{table(head, rows, 'rr')}")
    return "\n\n".join(parts)


EXPERIMENT = Experiment(
    "pictures_large", __doc__, measure, page,
    flags={
        "--data": {**one_of(tuple(DATA)), "nargs": "*"}, "--seeds": whole_numbers(0, 1),
        "--agent-steps": {"type": int, "default": AGENT_STEPS, "metavar": "N", "help": "of the training; 0: no agent"},
        "--no-cost": {"dest": "cost", "action": "store_false", "help": "without the cost against the pixels"},
    },
)  # fmt: skip

if __name__ == "__main__":
    EXPERIMENT.main()
