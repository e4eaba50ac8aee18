"""Models that benchmarks fit or train once: manifolds and runs, kept in the cache by a digest of what made them."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from agents.files import write_whole
from agents.runs.run import load_run
from agents.train import train
from envs.assets import ASSETS
from envs.classifiers import adapt
from envs.core.reference_data import BATCH
from envs.datasets import DATASETS
from envs.manifolds import GAN, Embedding, Joint, Manifold
from envs.manifolds.generators.training import Recipe
from envs.modalities.fitting import fit_units
from tests.benchmarks.harness.runs import cpu_seconds, digest

GAN_SOURCES = tuple(f"envs/manifolds/{name}.py" for name in ("gan", "gan_training", "conv_networks"))
NETWORK_SOURCES = tuple(f"envs/manifolds/{name}.py" for name in ("vae", "joint", "embedding", "networks", "fitting"))
#: the source of what fits GANs and VAEs and inverts them
FITTING = (*GAN_SOURCES, *NETWORK_SOURCES, "envs/manifolds/generators/inversion.py", "envs/manifolds/prior.py")
#: convolutional WGAN-GP of 28x28 pictures
MNIST_GAN: dict[str, Any] = {
    "latent_dim": 64, "hidden": (128,), "network": "conv",
    "recipe": {"critic_steps": 2, "learning_rate": 1e-3, "ema": 0.995, "encoder_steps": 600, "steps": 900},
}  # fmt: skip
#: manifolds of MNIST that are trained with the network: as wide and as long trained as the shipped VAE
MNIST_SHARED: dict[str, Any] = {
    "latent_dim": 16, "hidden": (400,), "epochs": 14, "batch_size": 128, "learning_rate": 1.5e-3,
}  # fmt: skip
MNIST_OWN: dict[str, dict[str, Any]] = {"joint": {"beta": 0.5, "classes": 10}, "embedding": {}}
MNIST_TITLES = {"joint": "joint VAE and classifier", "embedding": "the CNN's embedding (white box)"}


def fitted(folder: Path, fit: Callable[[], Any], load: Callable[[Path], Any] | None = None) -> tuple[Any, float]:
    """A model and the CPU seconds of its training: fitted and saved to `folder` once, then read from it.

    Args:
        folder: its own.
        fit: gives an object with `save(folder)`.
        load: reads it again (default: `Manifold.load`).
    """
    note = folder / "seconds.json"
    if not note.is_file():
        model, seconds = cpu_seconds(fit)
        folder.mkdir(parents=True, exist_ok=True)
        model.save(folder)
        write_whole(note, json.dumps(seconds))
    return (load or Manifold.load)(folder), float(json.loads(note.read_text()))


def fitted_gan(name: str, settings: dict[str, Any], x: Tensor, seed: int, cache: Path) -> tuple[GAN, float]:
    """The GAN of a data set, settings and seed, and the CPU seconds of its training."""
    folder = cache / f"gan-{name}-{digest([settings, seed, tuple(x.shape)], GAN_SOURCES)}"
    recipe = {**settings, "recipe": Recipe(**settings["recipe"])}
    return fitted(folder, lambda: GAN.fit(x, seed=seed, progress=True, **recipe))


def fitted_with_network(kind: str, seed: int, cache: Path, **changed: Any) -> Manifold:
    """A latent space of MNIST that is trained with the network, on all 60,000 training images.

    Both kinds learn from the shipped CNN: the joint VAE and classifier from its labels alone (a black box), the embedding
    from its inner layer. `changed` settings replace ours.
    """
    data = DATASETS["mnist"]()
    settings = {**MNIST_SHARED, **MNIST_OWN[kind], **changed}
    classifier = adapt(ASSETS["mnist"].classifier(data, 0), units=fit_units(data.x[:2]), class_names=data.class_names)

    def fit() -> Manifold:
        x = torch.from_numpy(data.x)
        if kind == "embedding":
            return Embedding.fit(x, classifier, seed=seed, progress=True, **settings)
        with torch.inference_mode():
            labels = torch.cat([classifier.predict_proba(part).argmax(1) for part in x.split(BATCH)]).clone()
        return Joint.fit(x, labels, seed=seed, progress=True, **settings)

    made: Manifold = fitted(cache / f"mnist-{kind}-{digest([kind, settings, seed], NETWORK_SOURCES)}", fit)[0]
    made.attach(classifier)
    return made.eval().requires_grad_(False)


def trained(folder: Path, world: Any, **settings: Any) -> Any:
    """A trained run: trained into `folder` once, then read from it."""
    note = folder / "run.json"
    if note.is_file():
        return load_run(folder / json.loads(note.read_text()), world=world)
    run = train(world=world, log_folder=str(folder), save_freq=0, eval_episodes=0, **settings)
    write_whole(note, json.dumps(str(run.folder.root.relative_to(folder))))
    return run
