"""Inverting a generator: how much of an image survives, and does the error show what the generator can make?

    python -m tests.benchmarks.inversion                 # MNIST and Omniglot, three GANs each
    python -m tests.benchmarks.inversion --parts mnist --seeds 0

MNIST: a GAN of all 60,000 training images, the first 500 test images inverted from several starts. Class kept: the shipped
CNN gives the image and its reconstruction the same class. Style kept: correlation, over the images, of stroke thickness
(four times the mean distance of ink to its edge) and slant (shear of the second moments) with the input's. Beside it what
has an encoder: the shipped VAE, a joint VAE and classifier, and the shipped CNN's own embedding with a decoder
(harness/models.py).

Omniglot: a GAN of the 30 background alphabets, 300 characters of the 20 unseen alphabets beside controls; see
latent/omniglot.py.

Values are means over GANs of several seeds; intervals over images (95 % bootstrap) are in the .json.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from pathlib import Path
from statistics import fmean
from typing import Any

import numpy as np
import torch
from scipy import ndimage
from torch import Tensor

from envs.assets import ASSETS
from envs.assets.make.omniglot import SETTINGS
from envs.datasets import DATASETS
from envs.manifolds.collapse import check_modes
from envs.manifolds.generators.inversion import Inversion
from tests.benchmarks.harness.experiment import Experiment, Options, Record, one_of, whole_numbers
from tests.benchmarks.harness.models import FITTING, MNIST_GAN, fitted_gan, fitted_with_network
from tests.benchmarks.harness.runs import Run, cpu_seconds
from tests.benchmarks.harness.statistics import interval
from tests.benchmarks.harness.tables import reached, spread, table
from tests.benchmarks.latent.omniglot import omniglot

MNIST_ITEMS = 500
STARTS: dict[str, dict[str, Any]] = {
    "encoder alone": {"start": "encoder", "steps": 0},
    "1 random start, 100 steps": {"start": "random", "restarts": 1},
    "4 random starts, 100 steps": {"start": "random", "restarts": 4},
    "encoder, 100 steps": {"start": "encoder"},
    "encoder, 100 steps, no prior term": {"start": "encoder", "prior_weight": 0.0},
    "encoder and 2 random, 100 steps": {"start": "both", "restarts": 2},
    "encoder, 300 steps": {"start": "encoder", "steps": 300},
}
CHOSEN = "encoder, 100 steps"
CLASS_KEPT_AIM = 0.95


# ---- run --------------------------------------------------------------------------------------------------------------


def thickness(x: np.ndarray) -> np.ndarray:
    """Stroke width in pixels (N,) of pictures (N, H, W): in a band of width w ink lies w / 4 from its edge on average."""
    out = np.zeros(len(x))
    for i, picture in enumerate(x):
        ink = ndimage.zoom(picture, 4, order=1) > 0.5 * picture.max()
        out[i] = ndimage.distance_transform_edt(ink)[ink].mean() if ink.any() else np.nan
    return out


def slant(x: np.ndarray) -> np.ndarray:
    """Shear (N,) of pictures (N, H, W): covariance of column and row over the row's variance, weighted by ink."""
    rows, columns = np.mgrid[: x.shape[1], : x.shape[2]]
    weight = x / np.maximum(x.sum((1, 2), keepdims=True), 1e-9)
    row, column = ((weight * grid).sum((1, 2))[:, None, None] for grid in (rows, columns))
    covariance = (weight * (rows - row) * (columns - column)).sum((1, 2))
    return covariance / np.maximum((weight * (rows - row) ** 2).sum((1, 2)), 1e-9)


def preserved(x: Tensor, again: Tensor, classify: Any) -> dict[str, Any]:
    """What reconstructions keep of images: error, class, style."""
    same = (classify(x).argmax(1) == classify(again).argmax(1)).float().numpy()
    error = (x - again).square().flatten(1).mean(1).numpy()
    out: dict[str, Any] = {"mse": interval(error), "class kept": interval(same)}
    for name, measure in (("thickness", thickness), ("slant", slant)):
        a, b = measure(x.numpy()), measure(again.numpy())
        known = np.isfinite(a) & np.isfinite(b)
        out[f"{name} correlation"] = float(np.corrcoef(a[known], b[known])[0, 1])
    return out


def mnist(seed: int, cache: Path) -> dict[str, Any]:
    """The table of starts on MNIST, and beside it what has an encoder of its own."""
    data = DATASETS["mnist"]()
    classify = ASSETS["mnist"].classifier(data, 0)
    assert data.held_out is not None
    gan, seconds = fitted_gan("mnist", MNIST_GAN, torch.from_numpy(data.x), seed, cache)
    x = torch.from_numpy(data.held_out[:MNIST_ITEMS])
    others = {
        "(the shipped VAE, d = 16)": ASSETS["mnist"].manifold()[0],
        "(joint VAE and classifier, d = 16)": fitted_with_network("joint", seed, cache),
        "(the CNN's embedding, d = 16, white box)": fitted_with_network("embedding", seed, cache),
    }
    rows = {}
    with torch.no_grad():
        for name, settings in STARTS.items():
            found, seconds_each = cpu_seconds(lambda settings=settings: gan.invert(x, Inversion(**settings)))
            length = float(found.z.norm(dim=1).mean()) / gan.latent_dim**0.5
            cost = {"norm of z by sqrt(d)": length, "CPU-ms each": 1000 * seconds_each / len(x)}
            rows[name] = {**preserved(x, gan.decode(found.z), classify), **cost}
        for name, manifold in others.items():
            rows[name] = preserved(x, manifold.decode(manifold.encode(x)), classify)
        made = gan.decode(gan.prior.sample(10_000, torch.Generator().manual_seed(seed)))
        shares = check_modes(torch.from_numpy(data.truth), classify(made).argmax(1))
    return {"training CPU-s": seconds, "class shares of samples": shares.tolist(), "rows": rows}


def measured(part: str, seed: int, cache: Path) -> dict[str, Any]:
    """The rows of one GAN."""
    return mnist(seed, cache) if part == "mnist" else omniglot(settings_of(part), seed, cache)


def settings_of(part: str) -> dict[str, Any]:
    """Arguments of the GAN's training; Omniglot's are those of the shipped one."""
    return MNIST_GAN if part == "mnist" else SETTINGS


TITLES = {"mnist": "MNIST", "omniglot": "Omniglot"}
#: whose source the figures depend on
SOURCES = {"mnist": (*FITTING, "tests/benchmarks/harness/models.py"), "omniglot": (*FITTING, "tests/benchmarks/latent/*.py")}


def measure(options: Options) -> Iterator[Record]:
    """Every part and seed; the parts that are not measured now stay."""
    before = options.before.get("parts", {})
    parts = {part: found for part, found in before.items() if "settings" in found}  # of this version
    for part in options.parts:
        settings = settings_of(part)
        key = {"inversion": part, "settings": settings}
        runs = [
            Run({**key, "seed": seed}, partial(measured, part, seed, options.cache), SOURCES[part]) for seed in options.seeds
        ]
        seeds = dict(zip(map(str, options.seeds), options.runner(runs, part), strict=True))
        parts[part] = {"command": options.command, "settings": settings, "seeds": seeds}
        yield {"parts": parts}


# ---- analyse ----------------------------------------------------------------------------------------------------------


def folded(seeds: dict[str, Any]) -> dict[str, dict[str, list[float]]]:
    """Row -> column -> the value of each seed; of an interval its mean."""
    found: dict[str, dict[str, list[float]]] = {}
    for one in seeds.values():
        for name, row in one["rows"].items():
            for column, value in row.items():
                each = found.setdefault(name, {}).setdefault(column, [])
                each.append(value[0] if isinstance(value, list) else value)
    return found


def page(record: Record) -> str:
    """A table a part."""
    sections = []
    for part, found in record["parts"].items():
        settings, seeds = found["settings"], found["seeds"]
        rows = folded(seeds)
        columns = list(next(iter(rows.values())))
        cells = [[name, *(_text(row.get(column, []), column) for column in columns)] for name, row in rows.items()]
        seconds = fmean(one["training CPU-s"] for one in seeds.values())
        about = f"Convolutional WGAN-GP, d = {settings['latent_dim']}, {settings['recipe']['steps']:,} steps,"
        sections += ["", f"## {TITLES[part]}", "", f"Made by `{found['command']}`.", "", about]
        sections += [f"{seconds:.0f} CPU-s of training each; seeds {', '.join(seeds)}.", "", table(["", *columns], cells)]
        if part == "mnist":
            sections.append("")
            for seed, one in seeds.items():
                shares = ", ".join(f"{100 * share:.1f}" for share in one["class shares of samples"])
                sections.append(f"Samples by class, seed {seed}, per cent: {shares}.  ")
            worst = min(rows[CHOSEN]["class kept"])
            aim = f"aim >= {CLASS_KEPT_AIM}: {reached(worst, '>=', CLASS_KEPT_AIM)}"
            sections.append(f"Class kept ({CHOSEN}), worst seed: {worst:.3f}; {aim}.")
    head = ["# Inverting a generator", "", "Mean over GANs of several seeds (smallest to largest)."]
    return "\n".join([*head, *sections]) + "\n"


def _text(values: list[float], column: str) -> str:
    return spread(values, {"mse": 4, "CPU-ms each": 1}.get(column, 3)) if values else ""


EXPERIMENT = Experiment(
    "inversion", __doc__, measure, page, flags={"--parts": one_of(list(TITLES)), "--seeds": whole_numbers(0, 1, 2)}
)

if __name__ == "__main__":
    EXPERIMENT.main()
