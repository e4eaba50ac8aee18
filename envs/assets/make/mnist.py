"""Recipe of the MNIST and Fashion-MNIST assets, from the user's own files: `python -m envs.assets.make mnist fashion_mnist`.

Three minutes each on one core.

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
from envs.manifolds import ConvVAE, Manifold

STARTS, HELD_OUT = 4000, 1000  # numbers of shipped codes, spread evenly over both sets
#: Latent dimensions and beta. Clothes differ in more than digits do: with 16 and 0.5, reconstructions keep the class of 0.889
#: of the held-out ones, with 32 and 0.05 of 0.929.
LATENT = {"mnist": (16, 0.5), "fashion_mnist": (32, 0.05)}


def mnist_classifier(x: Tensor, y: Tensor, seed: int = 0, progress: bool = False) -> nn.Module:
    """Train the small CNN: 10 epochs, half a minute."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        module = cnn_classifier(*MNIST_CLASSIFIER)
    return fit_classifier(
        module, x, y, epochs=10, batch_size=128, learning_rate=2e-3, weight_decay=1e-2, cosine=True,
        seed=seed, progress=progress,
    )  # fmt: skip


def mnist_vae(x: Tensor, name: str = "mnist", seed: int = 0, progress: bool = False) -> ConvVAE:
    """Train the VAE: convolutional encoder, MLP decoder, 14 epochs, a minute and a half."""
    latent_dim, beta = LATENT[name]
    return ConvVAE.fit(
        x, latent_dim=latent_dim, hidden=(400,), channels=(8, 16), decoder="mlp", beta=beta, epochs=14, batch_size=128,
        learning_rate=1.5e-3, seed=seed, progress=progress,
    )  # fmt: skip


def make_mnist(name: str = "mnist") -> None:
    """Write classifier, manifold and codes of MNIST, or of another set of its format."""
    data = DATASETS[name]()
    x, held_out = torch.from_numpy(data.x), torch.from_numpy(data.held_out)
    truth, held_out_truth = torch.from_numpy(data.truth), torch.from_numpy(data.held_out_truth)
    module = mnist_classifier(x, truth, progress=True)
    save_mnist(module, mnist_vae(x, name, progress=True), x, truth, held_out, held_out_truth, name)
    vae = Manifold.load(HERE / name)
    with torch.inference_mode():
        kept = accuracy(module, vae.decode(vae.encode(held_out)), module(held_out).argmax(1))
    print(f"held-out {name}: classifier accuracy {accuracy(module, held_out, held_out_truth):.4f}, class kept {kept:.4f}")


def save_mnist(
    module: nn.Module, vae: ConvVAE, x: Tensor, truth: Tensor, held_out: Tensor, held_out_truth: Tensor, name: str = "mnist"
) -> None:
    """Write trained models and codes in half precision."""
    folder = HERE / name
    vae.save(folder)
    halved(folder / "manifold.safetensors")
    write_whole(folder / "classifier.safetensors", save({name: value.half() for name, value in module.state_dict().items()}))
    rows, more = (torch.linspace(0, len(part) - 1, n).long() for part, n in ((x, STARTS), (held_out, HELD_OUT)))
    with torch.inference_mode():
        codes = {"z": vae.encode(x[rows]).half(), "z_held_out": vae.encode(held_out[more]).half()}
    labels = {"truth": truth[rows].to(torch.uint8), "truth_held_out": held_out_truth[more].to(torch.uint8)}
    write_whole(folder / "starts.safetensors", save({**codes, **labels}))
