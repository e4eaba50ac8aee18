"""The Omniglot half of `tests.benchmarks.inversion`: does a generator of 30 alphabets invert the 20 that it never saw?

Creswell and Bharath ("Inverting the Generator of a Generative Adversarial Network", 2019) report that it does. That says
little without controls, because a generator that makes anything inverts anything. Beside unseen alphabets stand here:
characters of seen alphabets by drawers that were left out; MNIST digits as they are and drawn again with a pen as thin as
Omniglot's; unseen characters drawn again as thick as MNIST (so that symbol and pen are separated) and with their own
width (what drawing again does); unseen characters with shuffled 4x4 tiles, and with shuffled pixels.

Errors, after inversion from the encoder's start with 300 steps:

- mse: mean squared error a pixel. It grows with the ink of a picture, so it does not compare one kind of picture with another.
- unexplained: squared error as a share of that of the mean training image. Free of contrast and of the amount of ink.
- by PCA's: the error as a share of that of as many principal components of the training images, an encoder and decoder
  that knows only means and covariances. What the generator knows of a picture beyond that shows as a value below 1.
- AUC: how well the unexplained share, and the one by PCA's, separate a control from seen alphabets, other drawers (0.5: not at
  all; below 0.5 the control is inverted better).
"""

from __future__ import annotations

from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from sklearn.metrics import roc_auc_score
from torch import Tensor

from envs.datasets import DATASETS
from envs.datasets.omniglot import DRAWERS
from envs.manifolds.generators.inversion import Inversion
from tests.benchmarks.harness.models import fitted_gan
from tests.benchmarks.harness.statistics import interval
from tests.benchmarks.latent.redrawn import redrawn

ITEMS, TILE = 300, 4
BASE = "seen alphabets, another drawer"
INVERSION = {"start": "encoder", "steps": 300}
THIN, THICK = 1.75, 2.5  # pixels; measured strokes are then as wide as those of Omniglot (1.8) and MNIST (2.8)


class Characters(NamedTuple):
    """Pictures (N, 28, 28): to train on, by drawers left out, of alphabets left out."""

    train: Tensor
    drawer: Tensor
    unseen: Tensor


def characters() -> Characters:
    """The 30 background alphabets without the last drawer, that drawer, and the 20 evaluation alphabets."""
    data = DATASETS["omniglot"]()
    assert data.held_out is not None
    last = np.arange(len(data.x)) % DRAWERS == DRAWERS - 1
    return Characters(*(torch.from_numpy(x) for x in (data.x[~last], data.x[last], data.held_out)))


def groups(parts: Characters, digits: Tensor, seed: int, items: int = ITEMS) -> dict[str, Tensor]:
    """Name -> pictures (items, 28, 28) to invert; `digits` are at least as many of MNIST."""
    rng = np.random.default_rng(seed)

    def some(x: Tensor) -> Tensor:
        return x[torch.from_numpy(rng.permutation(len(x))[:items])]

    train, seen, unseen, digits = some(parts.train), some(parts.drawer), some(parts.unseen), some(digits)
    return {
        "seen alphabets, training images": train,
        BASE: seen,
        "unseen alphabets": unseen,
        "unseen alphabets, drawn again": redrawn(unseen, THIN),
        "unseen alphabets, as thick as MNIST": redrawn(unseen, THICK),
        "MNIST digits, as thin as Omniglot": redrawn(digits, THIN),
        "MNIST digits": digits,
        "unseen alphabets, tiles shuffled": shuffled(unseen, TILE, rng),
        "unseen alphabets, pixels shuffled": shuffled(unseen, 1, rng),
    }


def shuffled(x: Tensor, tile: int, rng: np.random.Generator) -> Tensor:
    """Pictures (N, H, W) cut into tiles of so many pixels a side, and these put together in another order each."""
    n, height, width = x.shape
    rows, columns = height // tile, width // tile
    tiles = x.view(n, rows, tile, columns, tile).transpose(2, 3).reshape(n, rows * columns, tile, tile)
    order = torch.from_numpy(rng.permuted(np.tile(np.arange(rows * columns), (n, 1)), axis=1))
    tiles = torch.stack([part[index] for part, index in zip(tiles, order, strict=True)])
    return tiles.view(n, rows, columns, tile, tile).transpose(2, 3).reshape(n, height, width)


def pca_error(train: Tensor, dim: int) -> Any:
    """Function of pictures (N, H, W) to the squared error (N,) that `dim` principal components of `train` leave."""
    flat = train.flatten(1).double()
    mean = flat.mean(0)
    values, axes = torch.linalg.eigh((flat - mean).T @ (flat - mean))
    axes = axes[:, values.argsort(descending=True)[:dim]]

    def error(x: Tensor) -> Tensor:
        off = x.flatten(1).double() - mean
        return (off.square().sum(1) - (off @ axes).square().sum(1)) / x[0].numel()

    return error


def judged(invert: Any, parts: Characters, tried: dict[str, Tensor], dim: int) -> dict[str, Any]:
    """Name -> errors with intervals over images. `invert` gives the squared errors (N,) of pictures."""
    mean, linear = parts.train.mean(0), pca_error(parts.train, dim)
    found, rows = {}, {}
    for name, x in tried.items():
        error = invert(x)
        blank = (x - mean).square().flatten(1).mean(1)
        found[name] = {"unexplained": (error / blank).numpy(), "by PCA's": (error.double() / linear(x)).numpy()}
        rows[name] = {"mse": interval(error.numpy()), **{what: interval(values) for what, values in found[name].items()}}
    for name, measures in found.items():
        for what, values in measures.items():
            base = found[BASE][what]
            truth = np.r_[np.zeros(len(base)), np.ones(len(values))]
            rows[name][f"AUC, {what}"] = float(roc_auc_score(truth, np.r_[base, values]))
    return rows


def omniglot(settings: dict[str, Any], seed: int, cache: Path) -> dict[str, Any]:
    """The table of one training."""
    parts = characters()
    gan, seconds = fitted_gan("omniglot", settings, parts.train, seed, cache)
    tried = groups(parts, torch.from_numpy(np.asarray(DATASETS["mnist"]().held_out)), seed)
    how = Inversion(**INVERSION)
    rows = judged(lambda x: gan.invert(x, how).error, parts, tried, gan.latent_dim)
    return {"training CPU-s": seconds, "rows": rows}
