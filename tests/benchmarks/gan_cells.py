"""GANs that benchmarks train, and figures of them: kept by their settings, their seed and the source of what makes them."""

from __future__ import annotations

import hashlib
import json
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tests.benchmarks.digits_cells import ROOT

if TYPE_CHECKING:
    import numpy as np
    from torch import Tensor

    from envs.manifolds import GAN

#: The source of what fits GANs and VAEs and inverts them.
FITTING = tuple(
    f"envs/manifolds/{name}.py"
    for name in (
        "gan",
        "gan_training",
        "conv_networks",
        "inversion",
        "prior",
        "vae",
        "joint",
        "embedding",
        "networks",
        "fitting",
    )
)
#: Convolutional WGAN-GP of 28x28 pictures.
MNIST: dict[str, Any] = {
    "latent_dim": 64, "hidden": (128,), "network": "conv",
    "recipe": {"critic_steps": 2, "learning_rate": 1e-3, "ema": 0.995, "encoder_steps": 600, "steps": 900},
}  # fmt: skip


def fitted_gan(name: str, settings: dict[str, Any], x: Tensor, seed: int, cache: Path) -> tuple[GAN, float]:
    """The GAN of a data set, settings and seed, and the CPU seconds that its training took."""
    from envs.manifolds import GAN, Manifold
    from envs.manifolds.generators.training import Recipe

    files = ("gan.py", "gan_training.py", "conv_networks.py")
    source = b"".join((ROOT / "envs" / "manifolds" / file).read_bytes() for file in files)
    key = hashlib.sha256(json.dumps([settings, seed, tuple(x.shape)]).encode() + source).hexdigest()[:16]
    folder = cache / f"gan-{name}-{key}"
    note = folder / "seconds.json"
    if note.is_file():
        gan = Manifold.load(folder)
        assert isinstance(gan, GAN)
        return gan, float(json.loads(note.read_text()))
    started = time.process_time()
    gan = GAN.fit(x, seed=seed, progress=True, **{**settings, "recipe": Recipe(**settings["recipe"])})
    seconds = time.process_time() - started
    gan.save(folder)
    note.write_text(json.dumps(seconds))
    return gan, seconds


def kept_cell(cache: Path, key: dict[str, Any], files: Sequence[str], measure: Callable[[], dict[str, Any]]) -> dict[str, Any]:
    """The figures of a cell from its file, or measured now and written whole.

    A cell is known by `key` and by the source of `files` (paths below the root, wildcards allowed).
    """
    digest = hashlib.sha256(json.dumps(key, sort_keys=True).encode())
    for pattern in files:
        for file in sorted(ROOT.glob(pattern)):
            digest.update(file.read_bytes())
    file = cache / f"figures-{digest.hexdigest()[:16]}.json"
    if file.is_file():
        return dict(json.loads(file.read_text())["found"])
    found = measure()
    cache.mkdir(parents=True, exist_ok=True)
    beside = file.with_suffix(".part")
    beside.write_text(json.dumps({"key": key, "found": found}, indent=1))
    beside.replace(file)
    return found


def interval(values: np.ndarray) -> list[float]:
    """Mean and 95 % interval by a seeded bootstrap."""
    from agents.explanation.metrics import bootstrap as metrics_bootstrap

    found = metrics_bootstrap.mean(values, 1000, 0).as_dict()
    return [found["value"], found["low"], found["high"]]
