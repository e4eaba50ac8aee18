"""Inverting a generator: how much of an image survives, and does the error tell what the generator can make?

    python -m tests.benchmarks.inversion                 # MNIST and Omniglot, one GAN each (--seeds 0 1 for more)
    python -m tests.benchmarks.inversion --parts mnist --seeds 0

MNIST: a GAN of all 60,000 training images, the first 500 test images inverted from several starts. Class kept: the shipped CNN
says the same of the image and its reconstruction. Style kept: correlation, over the images, of stroke thickness (four times
the mean distance of ink to its edge) and slant (shear of the second moments) with the input's.

Omniglot: a GAN of the 30 background alphabets; 500 characters of the 20 unseen alphabets inverted beside three controls:
seen alphabets, MNIST digits, and the unseen characters with shuffled pixels. Unexplained: squared error as a share of that
of the training set's mean image. AUC: how well the error tells a control from seen characters (0.5: not at all).

Intervals are 95 % bootstraps over images. Fitted GANs are kept in --cache. Writes docs/results/inversion.json and .md.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import platform
import shlex
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

from agents.cli import prepare_process
from tests.benchmarks.digits_cells import ROOT

if TYPE_CHECKING:
    import numpy as np
    from torch import Tensor

    from envs.manifolds import GAN

MNIST_ITEMS, OMNIGLOT_ITEMS = 500, 500
CONVOLUTIONAL = {"latent_dim": 64, "hidden": (128,), "network": "conv"}
TRAINING = {"critic_steps": 2, "learning_rate": 1e-3, "ema": 0.995, "encoder_steps": 600}
SETTINGS: dict[str, dict[str, Any]] = {
    "mnist": {**CONVOLUTIONAL, "recipe": {**TRAINING, "steps": 900}},
    "omniglot": {**CONVOLUTIONAL, "recipe": {**TRAINING, "steps": 600}},
}
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


def fitted(name: str, x: Tensor, seed: int, cache: Path) -> tuple[GAN, float]:
    """The GAN of a data set and seed, and the CPU seconds that its training took; kept by settings and source."""
    from envs.manifolds import GAN, Manifold
    from envs.manifolds.gan_training import Recipe

    settings = {**SETTINGS[name], "recipe": Recipe(**SETTINGS[name]["recipe"])}
    files = ("gan.py", "gan_training.py", "conv_networks.py")
    source = b"".join((ROOT / "envs" / "manifolds" / file).read_bytes() for file in files)
    key = hashlib.sha256(json.dumps([SETTINGS[name], seed, tuple(x.shape)]).encode() + source).hexdigest()[:16]
    folder = cache / f"gan-{name}-{key}"
    note = folder / "seconds.json"
    if note.is_file():
        gan = Manifold.load(folder)
        assert isinstance(gan, GAN)
        return gan, float(json.loads(note.read_text()))
    started = time.process_time()
    gan = GAN.fit(x, seed=seed, progress=True, **settings)
    seconds = time.process_time() - started
    gan.save(folder)
    note.write_text(json.dumps(seconds))
    return gan, seconds


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


def interval(values: np.ndarray) -> list[float]:
    """Mean and 95 % interval by a seeded bootstrap."""
    from agents.explanation import metrics_bootstrap

    found = metrics_bootstrap.mean(values, 1000, 0).as_dict()
    return [found["value"], found["low"], found["high"]]


def kept(x: Tensor, again: Tensor, classify: Any) -> dict[str, Any]:
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
    """The table of starts on MNIST, and the shipped VAE's reconstructions beside it."""
    import torch

    from envs.assets import ASSETS
    from envs.datasets import DATASETS
    from envs.manifolds.collapse import check_modes
    from envs.manifolds.inversion import Inversion

    data = DATASETS["mnist"]()
    classify = ASSETS["mnist"].classifier(data, 0)
    assert data.held_out is not None
    gan, seconds = fitted("mnist", torch.from_numpy(data.x), seed, cache)
    x = torch.from_numpy(data.held_out[:MNIST_ITEMS])
    rows = {}
    with torch.no_grad():
        for name, settings in STARTS.items():
            started = time.process_time()
            found = gan.invert(x, Inversion(**settings))
            spent = 1000 * (time.process_time() - started) / len(x)
            length = float(found.z.norm(dim=1).mean()) / gan.latent_dim**0.5
            rows[name] = {**kept(x, gan.decode(found.z), classify), "norm of z by sqrt(d)": length, "CPU-ms each": spent}
        vae, _ = ASSETS["mnist"].manifold()
        rows["(the shipped VAE, d = 16)"] = kept(x, vae.decode(vae.encode(x)), classify)
        made = gan.decode(gan.prior.sample(10_000, torch.Generator().manual_seed(seed)))
        shares = check_modes(torch.from_numpy(data.truth), classify(made).argmax(1))
    return {"training CPU-s": seconds, "class shares of samples": shares.tolist(), "rows": rows}


def omniglot(seed: int, cache: Path) -> dict[str, Any]:
    """The error of unseen alphabets beside the controls."""
    import numpy as np
    import torch
    from sklearn.metrics import roc_auc_score

    from envs.datasets import DATASETS

    data = DATASETS["omniglot"]()
    assert data.held_out is not None
    # Drawer by drawer rows are alike: one drawer in twenty of the seen alphabets stays out of the training.
    drawer = np.arange(len(data.x)) % 20
    train = torch.from_numpy(data.x[drawer != 19])
    seen = torch.from_numpy(data.x[drawer == 19])  # of all characters: one image each
    seen = seen[torch.linspace(0, len(seen) - 1, OMNIGLOT_ITEMS).long()]
    gan, seconds = fitted("omniglot", train, seed, cache)
    rng = np.random.default_rng(seed)
    unseen = torch.from_numpy(data.held_out[rng.choice(len(data.held_out), OMNIGLOT_ITEMS, replace=False)])
    pixels = torch.from_numpy(rng.permuted(np.tile(np.arange(784), (len(unseen), 1)), axis=1))
    groups = {
        "seen alphabets, training images": train[rng.choice(len(train), OMNIGLOT_ITEMS, replace=False)],
        "seen alphabets, another drawer": seen,
        "unseen alphabets": unseen,
        "MNIST digits": torch.from_numpy(DATASETS["mnist"]().held_out[:OMNIGLOT_ITEMS]),
        "unseen alphabets, pixels shuffled": unseen.flatten(1).gather(1, pixels).view_as(unseen),
    }
    mean = train.mean(0)
    errors, rows = {}, {}
    for name, x in groups.items():
        found = gan.invert(x)
        blank = (x - mean).square().flatten(1).mean(1)
        errors[name] = found.error.numpy()
        rows[name] = {"mse": interval(errors[name]), "unexplained": interval((found.error / blank).numpy())}
    base = errors["seen alphabets, another drawer"]
    for name, values in errors.items():
        truth = np.r_[np.zeros(len(base)), np.ones(len(values))]
        rows[name]["AUC against another drawer"] = float(roc_auc_score(truth, np.r_[base, values]))
    return {"training CPU-s": seconds, "rows": rows}


TITLES = {"mnist": "MNIST", "omniglot": "Omniglot"}
PARTS = {"mnist": mnist, "omniglot": omniglot}


def markdown(page: dict[str, Any]) -> str:
    """The tables as a page."""
    lines = ["# Inverting a generator", "", "95 % intervals over the images in brackets.", ""]
    for part, measured in page["parts"].items():
        settings, seeds = SETTINGS[part], measured["seeds"]
        lines += [f"## {TITLES[part]}", "", f"Made by `{measured['command']}`.", ""]
        lines += [f"Convolutional WGAN-GP, d = {settings['latent_dim']}, {settings['recipe']['steps']:,} steps.", ""]
        for seed, found in seeds.items():
            columns = list(next(iter(found["rows"].values())))
            lines += [f"Seed {seed}, {found['training CPU-s']:.0f} CPU-s of training.", ""]
            lines += ["| | " + " | ".join(columns) + " |", "|---|" + "---:|" * len(columns)]
            for name, row in found["rows"].items():
                lines.append(f"| {name} | " + " | ".join(_text(row.get(column)) for column in columns) + " |")
            if "class shares of samples" in found:
                shares = ", ".join(f"{100 * share:.1f}" for share in found["class shares of samples"])
                value = found["rows"][CHOSEN]["class kept"][0]
                state = "reached" if value >= CLASS_KEPT_AIM else "NOT reached"
                lines += ["", f"Samples by class, per cent: {shares}."]
                lines += [f"Class kept ({CHOSEN}): {value:.3f}; aim >= {CLASS_KEPT_AIM}: {state}."]
            lines.append("")
    return "\n".join(lines)


def _text(value: Any) -> str:
    if value is None:
        return ""
    return f"{value[0]:.4f} ({value[1]:.4f} to {value[2]:.4f})" if isinstance(value, list) else f"{value:.3f}"


def main() -> None:
    """The script."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--parts", nargs="+", default=list(PARTS), choices=list(PARTS))
    parser.add_argument("--seeds", type=int, nargs="+", default=[0])
    parser.add_argument("--cache", type=Path, default=ROOT / "runs" / "benchmark-cache")
    parser.add_argument("--out", type=Path, default=ROOT / "docs" / "results" / "inversion", metavar="STEM")
    options = parser.parse_args()
    prepare_process()
    command = shlex.join(["python", "-m", "tests.benchmarks.inversion", *sys.argv[1:]])
    options.out.parent.mkdir(parents=True, exist_ok=True)
    before = options.out.with_suffix(".json")
    page: dict[str, Any] = json.loads(before.read_text()) if before.is_file() else {"parts": {}}
    page["python"] = platform.python_version()
    for part in options.parts:  # the parts that are not asked for now stay as they were measured
        seeds = {str(seed): PARTS[part](seed, options.cache) for seed in options.seeds}
        page["parts"][part] = {"command": command, "seeds": seeds}
    options.out.with_suffix(".json").write_text(json.dumps(page, indent=1) + "\n")
    options.out.with_suffix(".md").write_text(markdown(page))
    print(markdown(page))


if __name__ == "__main__":
    main()
