"""Recipe of the Omniglot assets, from the user's own files: `python -m envs.assets.make omniglot`.

Weights and codes ship in half precision; no image ships.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from safetensors.torch import save
from torch import Tensor, nn

from envs.assets import HERE, OMNIGLOT_CLASSIFIER, halved
from envs.classifiers.networks import accuracy, cnn_classifier, fit_classifier
from envs.datasets import DATASETS
from envs.datasets.omniglot import DRAWERS, SCRIPTS
from envs.files import write_whole
from envs.manifolds import GAN
from envs.manifolds.generators.training import Recipe
from envs.reading.files import read_safetensors

#: Convolutional WGAN-GP; arguments of `GAN.fit`. tests/benchmarks/inversion.py trains the same.
SETTINGS: dict[str, Any] = {
    "latent_dim": 64, "hidden": (128,), "network": "conv",
    "recipe": {"critic_steps": 2, "learning_rate": 1e-3, "ema": 0.995, "encoder_steps": 600, "steps": 2000},
}  # fmt: skip
INVERSION: dict[str, Any] = {"start": "encoder", "steps": 300}  # settings for the shipped codes
SHIFTS = 3  # copies of each character for the classifier, shifted by up to two pixels


def omniglot_gan(x: Tensor, seed: int = 0, progress: bool = False) -> GAN:
    """Train the GAN of all 30 background alphabets."""
    settings = {**SETTINGS, "recipe": Recipe(**SETTINGS["recipe"])}
    return GAN.fit(x, seed=seed, progress=progress, **settings)


def script_classifier(x: Tensor, y: Tensor, seed: int = 0, progress: bool = False) -> nn.Module:
    """Train the small CNN that classifies scripts, on characters shifted by up to two pixels (15 epochs, a quarter minute)."""
    generator = torch.Generator().manual_seed(seed)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        module = cnn_classifier(*OMNIGLOT_CLASSIFIER)
    moved = torch.cat([shifted(x, generator) for _ in range(SHIFTS)])
    return fit_classifier(
        module, moved, y.repeat(SHIFTS), epochs=15, learning_rate=2e-3, weight_decay=1e-2, cosine=True, seed=seed,
        progress=progress,
    )  # fmt: skip


def shifted(x: Tensor, generator: torch.Generator, most: int = 2) -> Tensor:
    """Shift images by random offsets.

    Args:
        x: Images, (N, H, W).
        generator: Draws the offsets.
        most: Largest offset in pixels along each axis. Pixels that leave the image are lost.
    """
    n, height, width = x.shape
    padded = nn.functional.pad(x, (most,) * 4)
    down, right = torch.randint(2 * most + 1, (2, n), generator=generator)
    rows = (torch.arange(height) + down[:, None])[:, :, None]
    columns = (torch.arange(width) + right[:, None])[:, None, :]
    return padded[torch.arange(n)[:, None, None], rows, columns]


def make_omniglot() -> None:
    """Train GAN and classifier without the last drawer, and write both with the codes of the five scripts."""
    data = DATASETS["omniglot"]()
    drawer = np.arange(len(data.x)) % DRAWERS
    gan = omniglot_gan(torch.from_numpy(data.x[drawer != DRAWERS - 1]), progress=True)
    save_omniglot(gan, data.x, np.asarray(data.truth), list(data.class_names or ()))


def save_omniglot(gan: GAN, x: np.ndarray, alphabet: np.ndarray, names: list[str]) -> None:
    """Train the classifier and write everything in half precision.

    Args:
        gan: The GAN.
        x: All background characters, (N, 28, 28).
        alphabet: Alphabet index of each.
        names: Names of the alphabets.
    """
    from envs.manifolds.generators.inversion import Inversion

    folder = HERE / "omniglot"
    gan.save(folder)
    halved(folder / "manifold.safetensors")
    shipped = GAN.load(folder)
    assert isinstance(shipped, GAN)
    ids = [names.index(name) for name in SCRIPTS]
    script = torch.from_numpy(np.array([ids.index(k) if k in ids else -1 for k in alphabet.tolist()]))
    last = torch.arange(len(x)) % DRAWERS == DRAWERS - 1
    codes: dict[str, Tensor] = {}
    pictures, labels = {}, {}
    for end, rows in (("", ~last & (script >= 0)), ("_held_out", last & (script >= 0))):
        pictures[end], labels[end] = torch.from_numpy(x)[rows], script[rows]
        codes[f"z{end}"] = shipped.invert(pictures[end], Inversion(**INVERSION), progress=True).z.half()
        codes[f"truth{end}"] = labels[end].to(torch.uint8)
    write_whole(folder / "starts.safetensors", save(codes))
    again = {end: shipped.decode(codes[f"z{end}"].float()) for end in pictures}
    # The classifier learns real and generated characters.
    both = torch.cat([pictures[""], again[""]])
    module = script_classifier(both, labels[""].repeat(2), progress=True)
    write_whole(folder / "classifier.safetensors", save({name: value.half() for name, value in module.state_dict().items()}))
    module.load_state_dict({k: v.float() for k, v in read_safetensors(folder / "classifier.safetensors").items()})
    real, made = (accuracy(module, part["_held_out"], labels["_held_out"]) for part in (pictures, again))
    seen = module(pictures["_held_out"]).argmax(1)
    error = float((again["_held_out"] - pictures["_held_out"]).square().mean())
    print(f"held-out drawer: classifier accuracy {real:.3f} on real characters, {made:.3f} on decoded ones;")
    print(f"class kept by reconstructions {accuracy(module, again['_held_out'], seen):.3f}, squared error {error:.4f}")
