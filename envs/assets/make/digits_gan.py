"""Recipe of the digits GAN: `python -m envs.assets.make digits_gan` (under a minute on one core)."""

from __future__ import annotations

import torch
from safetensors.torch import save
from torch import Tensor

from envs.assets import ASSETS, HERE, halved
from envs.classifiers.networks import accuracy
from envs.datasets import DATASETS
from envs.files import write_whole
from envs.manifolds import GAN
from envs.manifolds.generators.training import Recipe


def digits_gan(x: Tensor, seed: int = 0, progress: bool = False) -> GAN:
    """Train the 32-dimensional GAN of digits: WGAN-GP, generator 32-256-256-64, 3,000 steps."""
    recipe = Recipe(steps=3000, learning_rate=5e-4)
    return GAN.fit(x, latent_dim=32, hidden=(256, 256), recipe=recipe, seed=seed, progress=progress)


def make_digits_gan() -> None:
    """Write the manifold and the codes of the digits, in half precision."""
    data = DATASETS["digits"]()
    x, held_out = torch.from_numpy(data.x), torch.from_numpy(data.held_out)
    gan = digits_gan(x, progress=True)
    folder = HERE / "digits_gan"
    gan.save(folder)
    halved(folder / "manifold.safetensors")
    shipped = GAN.load(folder)
    with torch.no_grad():
        write_whole(folder / "starts.safetensors", save({"z": shipped.encode(x).half()}))
        again = shipped.decode(shipped.encode(held_out))
    classifier = ASSETS["digits"].classifier(data, 0)
    error = float((again - held_out).square().mean())
    kept = accuracy(classifier, again, classifier(held_out).argmax(1))
    print(f"held-out digits under the GAN: reconstruction error {error:.4f}, class kept {kept:.3f}")
