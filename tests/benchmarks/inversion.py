"""Inverting a generator: how much of an image survives, and does the error tell what the generator can make?

    python -m tests.benchmarks.inversion                 # MNIST and Omniglot, three GANs each
    python -m tests.benchmarks.inversion --parts mnist --seeds 0

MNIST: a GAN of all 60,000 training images, the first 500 test images inverted from several starts. Class kept: the shipped CNN
says the same of the image and its reconstruction. Style kept: correlation, over the images, of stroke thickness (four times
the mean distance of ink to its edge) and slant (shear of the second moments) with the input's. Beside it what has an encoder:
the shipped VAE, a joint VAE and classifier, and the shipped CNN's own embedding with a decoder (mnist_models.py).

Omniglot: a GAN of the 30 background alphabets, 300 characters of the 20 unseen alphabets beside controls; see
tests/benchmarks/inversion_omniglot.py.

Values are means over GANs of several seeds; intervals over images (95 % bootstrap) are in the .json. Fitted GANs and finished
cells are kept in --cache. Writes docs/results/inversion.json and .md.
"""

from __future__ import annotations

import argparse
import json
import platform
import shlex
import sys
import time
from functools import partial
from pathlib import Path
from statistics import fmean
from typing import TYPE_CHECKING, Any

from agents.cli import prepare_process
from tests.benchmarks.digits_cells import ROOT
from tests.benchmarks.gan_cells import FITTING, MNIST, fitted_gan, interval, kept_cell
from tests.benchmarks.results import as_json

if TYPE_CHECKING:
    import numpy as np
    from torch import Tensor

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


def thickness(x: np.ndarray) -> np.ndarray:
    """Stroke width in pixels (N,) of pictures (N, H, W): in a band of width w ink lies w / 4 from its edge on average."""
    import numpy as np
    from scipy import ndimage

    out = np.zeros(len(x))
    for i, picture in enumerate(x):
        ink = ndimage.zoom(picture, 4, order=1) > 0.5 * picture.max()
        out[i] = ndimage.distance_transform_edt(ink)[ink].mean() if ink.any() else np.nan
    return out


def slant(x: np.ndarray) -> np.ndarray:
    """Shear (N,) of pictures (N, H, W): covariance of column and row over the row's variance, weighted by ink."""
    import numpy as np

    rows, columns = np.mgrid[: x.shape[1], : x.shape[2]]
    weight = x / np.maximum(x.sum((1, 2), keepdims=True), 1e-9)
    row, column = ((weight * grid).sum((1, 2))[:, None, None] for grid in (rows, columns))
    covariance = (weight * (rows - row) * (columns - column)).sum((1, 2))
    return covariance / np.maximum((weight * (rows - row) ** 2).sum((1, 2)), 1e-9)


def preserved(x: Tensor, again: Tensor, classify: Any) -> dict[str, Any]:
    """What reconstructions keep of images: error, class, style."""
    import numpy as np

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
    import torch

    from envs.assets import ASSETS
    from envs.datasets import DATASETS
    from envs.manifolds.collapse import check_modes
    from envs.manifolds.generators.inversion import Inversion
    from tests.benchmarks.mnist_models import fitted_model

    data = DATASETS["mnist"]()
    classify = ASSETS["mnist"].classifier(data, 0)
    assert data.held_out is not None
    gan, seconds = fitted_gan("mnist", MNIST, torch.from_numpy(data.x), seed, cache)
    x = torch.from_numpy(data.held_out[:MNIST_ITEMS])
    others = {
        "(the shipped VAE, d = 16)": ASSETS["mnist"].manifold()[0],
        "(joint VAE and classifier, d = 16)": fitted_model("joint", seed, cache),
        "(the CNN's embedding, d = 16, white box)": fitted_model("embedding", seed, cache),
    }
    rows = {}
    with torch.no_grad():
        for name, settings in STARTS.items():
            started = time.process_time()
            found = gan.invert(x, Inversion(**settings))
            spent = 1000 * (time.process_time() - started) / len(x)
            length = float(found.z.norm(dim=1).mean()) / gan.latent_dim**0.5
            rows[name] = {**preserved(x, gan.decode(found.z), classify), "norm of z by sqrt(d)": length, "CPU-ms each": spent}
        for name, manifold in others.items():
            rows[name] = preserved(x, manifold.decode(manifold.encode(x)), classify)
        made = gan.decode(gan.prior.sample(10_000, torch.Generator().manual_seed(seed)))
        shares = check_modes(torch.from_numpy(data.truth), classify(made).argmax(1))
    return {"training CPU-s": seconds, "class shares of samples": shares.tolist(), "rows": rows}


def omniglot(seed: int, cache: Path) -> dict[str, Any]:
    """The errors of unseen alphabets and of the controls."""
    from tests.benchmarks import inversion_omniglot

    return inversion_omniglot.omniglot(settings_of("omniglot"), seed, cache)


def settings_of(part: str) -> dict[str, Any]:
    """Arguments of the GAN's training; Omniglot's are those of the shipped one."""
    if part == "mnist":
        return MNIST
    from envs.assets.make.omniglot import SETTINGS

    return SETTINGS


TITLES = {"mnist": "MNIST", "omniglot": "Omniglot"}
PARTS = {"mnist": mnist, "omniglot": omniglot}
#: whose source the figures hang on
FILES = {
    "mnist": (*FITTING, "tests/benchmarks/mnist_models.py"),
    "omniglot": (*FITTING, "tests/benchmarks/inversion_omniglot.py", "tests/benchmarks/redrawn.py"),
}


def folded(seeds: dict[str, Any]) -> dict[str, dict[str, list[float]]]:
    """Row -> column -> the value of each seed; of an interval its mean."""
    found: dict[str, dict[str, list[float]]] = {}
    for measured in seeds.values():
        for name, row in measured["rows"].items():
            for column, value in row.items():
                each = found.setdefault(name, {}).setdefault(column, [])
                each.append(value[0] if isinstance(value, list) else value)
    return found


def markdown(page: dict[str, Any]) -> str:
    """The tables as a page."""
    lines = ["# Inverting a generator", "", "Mean over GANs of several seeds (smallest to largest)."]
    for part, measured in page["parts"].items():
        settings, seeds = measured["settings"], measured["seeds"]
        lines += ["", f"## {TITLES[part]}", "", f"Made by `{measured['command']}`.", ""]
        lines += [f"Convolutional WGAN-GP, d = {settings['latent_dim']}, {settings['recipe']['steps']:,} steps,"]
        spent = fmean(found["training CPU-s"] for found in seeds.values())
        lines += [f"{spent:.0f} CPU-s of training each; seeds {', '.join(seeds)}.", ""]
        rows = folded(seeds)
        columns = list(next(iter(rows.values())))
        lines += ["| | " + " | ".join(columns) + " |", "|---|" + "---:|" * len(columns)]
        for name, row in rows.items():
            lines.append(f"| {name} | " + " | ".join(_text(row.get(column, []), column) for column in columns) + " |")
        if part == "mnist":
            lines.append("")
            for seed, found in seeds.items():
                shares = ", ".join(f"{100 * share:.1f}" for share in found["class shares of samples"])
                lines += [f"Samples by class, seed {seed}, per cent: {shares}.  "]
            values = rows[CHOSEN]["class kept"]
            state = "reached" if min(values) >= CLASS_KEPT_AIM else "NOT reached"
            lines += [f"Class kept ({CHOSEN}), worst seed: {min(values):.3f}; aim >= {CLASS_KEPT_AIM}: {state}."]
    return "\n".join(lines) + "\n"


def _text(values: list[float], column: str) -> str:
    if not values:
        return ""
    digits = {"mse": 4, "CPU-ms each": 1}.get(column, 3)
    mean = f"{fmean(values):.{digits}f}"
    return mean if len(values) == 1 else f"{mean} ({min(values):.{digits}f} to {max(values):.{digits}f})"


def main() -> None:
    """The script."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--parts", nargs="+", default=list(PARTS), choices=list(PARTS))
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--cache", type=Path, default=ROOT / "runs" / "benchmark-cache")
    parser.add_argument("--out", type=Path, default=ROOT / "docs" / "results" / "inversion", metavar="STEM")
    options = parser.parse_args()
    prepare_process()
    command = shlex.join(["python", "-m", "tests.benchmarks.inversion", *sys.argv[1:]])
    options.out.parent.mkdir(parents=True, exist_ok=True)
    before = options.out.with_suffix(".json")
    page: dict[str, Any] = json.loads(before.read_text()) if before.is_file() else {"parts": {}}
    page["parts"] = {part: found for part, found in page["parts"].items() if "settings" in found}  # of this version
    page["python"] = platform.python_version()
    for part in options.parts:  # the parts that are not asked for now stay as they were measured
        seeds = {}
        for seed in options.seeds:
            key = {"inversion": part, "seed": seed, "settings": settings_of(part)}
            seeds[str(seed)] = kept_cell(options.cache, key, FILES[part], partial(PARTS[part], seed, options.cache))
            page["parts"][part] = {"command": command, "settings": settings_of(part), "seeds": seeds}
            options.out.with_suffix(".json").write_text(as_json(page))
            options.out.with_suffix(".md").write_text(markdown(page))
    print(markdown(page))


if __name__ == "__main__":
    main()
