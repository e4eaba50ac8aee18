"""Recipe of the MNIST assets, from the user's own files: `python -m envs.assets.make mnist` (three minutes on one core).

Weights and codes ship in half precision; no image ships.
"""

from __future__ import annotations

import torch
from safetensors.torch import save
from torch import Tensor, nn

from envs.assets import HERE, MNIST_CLASSIFIER, halved
from envs.classifiers.networks import accuracy, cnn_classifier, fit_classifier
from envs.datasets import DATASETS
from envs.files import write_whole
from envs.manifolds import ConvVAE

STARTS, HELD_OUT = 4000, 1000  # numbers of shipped codes, spread evenly over both sets


def mnist_classifier(x: Tensor, y: Tensor, seed: int = 0, progress: bool = False) -> nn.Module:
    """Train the small CNN: 10 epochs, half a minute."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        module = cnn_classifier(*MNIST_CLASSIFIER)
    return fit_classifier(
        module, x, y, epochs=10, batch_size=128, learning_rate=2e-3, weight_decay=1e-2, cosine=True,
        seed=seed, progress=progress,
    )  # fmt: skip


def mnist_vae(x: Tensor, seed: int = 0, progress: bool = False) -> ConvVAE:
    """Train the 16-dimensional VAE: convolutional encoder, MLP decoder, beta 0.5, 14 epochs, a minute and a half."""
    return ConvVAE.fit(
        x, latent_dim=16, hidden=(400,), channels=(8, 16), decoder="mlp", beta=0.5, epochs=14, batch_size=128,
        learning_rate=1.5e-3, seed=seed, progress=progress,
    )  # fmt: skip


def make_mnist() -> None:
    """Write classifier, manifold and codes."""
    data = DATASETS["mnist"]()
    x, held_out = torch.from_numpy(data.x), torch.from_numpy(data.held_out)
    truth, held_out_truth = torch.from_numpy(data.truth), torch.from_numpy(data.held_out_truth)
    module = mnist_classifier(x, truth, progress=True)
    save_mnist(module, mnist_vae(x, progress=True), x, truth, held_out, held_out_truth)
    print(f"held-out MNIST: classifier accuracy {accuracy(module, held_out, held_out_truth):.4f}")


def save_mnist(module: nn.Module, vae: ConvVAE, x: Tensor, truth: Tensor, held_out: Tensor, held_out_truth: Tensor) -> None:
    """Write trained models and codes in half precision."""
    folder = HERE / "mnist"
    vae.save(folder)
    halved(folder / "manifold.safetensors")
    write_whole(folder / "classifier.safetensors", save({name: value.half() for name, value in module.state_dict().items()}))
    rows, more = (torch.linspace(0, len(part) - 1, n).long() for part, n in ((x, STARTS), (held_out, HELD_OUT)))
    with torch.inference_mode():
        codes = {"z": vae.encode(x[rows]).half(), "z_held_out": vae.encode(held_out[more]).half()}
    labels = {"truth": truth[rows].to(torch.uint8), "truth_held_out": held_out_truth[more].to(torch.uint8)}
    write_whole(folder / "starts.safetensors", save({**codes, **labels}))
