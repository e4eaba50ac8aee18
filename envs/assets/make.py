"""The recipe of the shipped assets: `python -m envs.assets.make` writes them again (about half a minute on one core)."""

from __future__ import annotations

from pathlib import Path

import torch
from safetensors.torch import save_file
from torch import Tensor, nn

from envs.assets import DIGITS_CLASSIFIER, HERE
from envs.classifiers.networks import accuracy, fit_classifier, mlp_classifier
from envs.datasets import DATASETS, Units
from envs.manifolds import VAE, Manifold


def digits_bed(seed: int = 0, progress: bool = False) -> tuple[nn.Module, VAE]:
    """The classifier (MLP 64-64-10) and the manifold (VAE 64-128-8, beta 0.3, 150 epochs) of a digits split."""
    data = DATASETS["digits"](seed=seed)
    x, y = torch.from_numpy(data.x), torch.from_numpy(data.truth)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        module = mlp_classifier(DIGITS_CLASSIFIER)
    fit_classifier(module, x, y, epochs=60, learning_rate=2e-3, seed=seed, progress=progress)
    vae = VAE.fit(
        x, latent_dim=8, hidden=(128,), beta=0.3, epochs=150, batch_size=32, learning_rate=2e-3, seed=seed, progress=progress
    )
    return module, vae


def _save(manifold: Manifold, x: Tensor, folder: Path) -> None:
    manifold.save(folder)
    with torch.inference_mode():
        save_file({"z": manifold.encode(x)}, folder / "starts.safetensors")


def main() -> None:
    """Write every asset."""
    torch.set_num_threads(1)
    data = DATASETS["digits"]()
    x, held_out = torch.from_numpy(data.x), torch.from_numpy(data.held_out)
    module, vae = digits_bed(progress=True)
    _save(vae, x, HERE / "digits")
    save_file(module.state_dict(), HERE / "digits" / "classifier.safetensors")
    truth = torch.from_numpy(data.held_out_truth)
    error = float((vae.decode(vae.encode(held_out)) - held_out).square().mean())
    share = accuracy(module, held_out, truth)
    print(f"held-out digits: classifier accuracy {share:.3f}, reconstruction error {error:.4f}")
    iris = DATASETS["iris"]()
    flowers = Units.of(iris.x, columns=iris.columns).inward(iris.x)
    _save(VAE.fit(flowers, latent_dim=2, modality="table", epochs=600, progress=True), flowers, HERE / "iris")


if __name__ == "__main__":
    main()
