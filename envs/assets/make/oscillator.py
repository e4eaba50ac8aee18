"""Recipe of the oscillator's assets: `python -m envs.assets.make oscillator` (half a minute on one core)."""

from __future__ import annotations

import torch
from safetensors.torch import save
from torch import nn

from envs.assets import HERE, OSCILLATOR_CLASSIFIER, halved
from envs.classifiers.networks import accuracy, fit_classifier, series_classifier
from envs.datasets import DATASETS, SeriesUnits
from envs.files import write_whole
from envs.manifolds import SeriesVAE


def models_of_oscillators(seed: int = 0, progress: bool = False) -> tuple[nn.Module, SeriesVAE]:
    """Train the classifier (convolutions in time, 30 epochs) and the manifold (8-dimensional `SeriesVAE`, 120 epochs)."""
    data = DATASETS["oscillator"](seed=seed)
    units = SeriesUnits.of_series(data.x, data.x.shape[1:])
    x = units.inward(data.x)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        module = series_classifier(*OSCILLATOR_CLASSIFIER)
    fit_classifier(module, x, torch.from_numpy(data.truth), epochs=30, learning_rate=2e-3, seed=seed, progress=progress)
    vae = SeriesVAE.fit(
        x, latent_dim=8, hidden=(64,), modality="series", shape=units.shape, channels=(12, 24), beta=0.3, epochs=120,
        seed=seed, progress=progress,
    )  # fmt: skip
    return module, vae


def make_oscillator() -> None:
    """Write classifier, manifold and codes, in half precision."""
    data, folder = DATASETS["oscillator"](), HERE / "oscillator"
    module, vae = models_of_oscillators(progress=True)
    vae.save(folder)
    halved(folder / "manifold.safetensors")
    write_whole(folder / "classifier.safetensors", save({name: value.half() for name, value in module.state_dict().items()}))
    units = SeriesUnits.of_series(data.x, data.x.shape[1:])
    shipped, x, held_out = SeriesVAE.load(folder), units.inward(data.x), units.inward(data.held_out)
    with torch.inference_mode():
        write_whole(folder / "starts.safetensors", save({"z": shipped.encode(x)}))
        error = float((shipped.decode(shipped.encode(held_out)) - held_out).square().mean() / held_out.var())
    share = accuracy(module, held_out, torch.from_numpy(data.held_out_truth))
    print(f"held-out oscillators: classifier accuracy {share:.3f}, share of the variance lost by the manifold {error:.4f}")
