"""Recipes of the shipped assets: `python -m envs.assets.make [NAME ...]`. (Fashion-)MNIST and Omniglot need their files."""

from __future__ import annotations

import argparse
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path

import torch
from safetensors.torch import save
from torch import Tensor, nn

from envs.assets import ASSETS, DIGITS_CLASSIFIER, HERE, halved
from envs.assets.make.digits_gan import make_digits_gan
from envs.assets.make.mnist import make_mnist
from envs.assets.make.omniglot import make_omniglot
from envs.assets.make.oscillator import make_oscillator
from envs.classifiers.bag_of_words import BagOfWords
from envs.classifiers.networks import accuracy, fit_classifier, mlp_classifier
from envs.datasets import DATASETS, Data, grammar
from envs.datasets.digits import PARTS, SHIPPED, split
from envs.datasets.sentences import FITTED
from envs.files import write_whole
from envs.manifolds import VAE, Edits, Embedding, Joint, Manifold, SentenceVAE, UMAPMap
from envs.modalities.fitting import fit_units


def models_of_digits(seed: int = 0, progress: bool = False) -> tuple[nn.Module, VAE]:
    """Train the classifier (MLP 64-64-10) and the manifold (VAE 64-128-8, beta 0.3, 150 epochs) of a digits split."""
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


def models_of_sentences(seed: int = 0, progress: bool = False) -> tuple[BagOfWords, SentenceVAE]:
    """Train the classifier (bag of words) and the manifold (16-d sentence VAE) of the grammar's sentences."""
    data: Data = DATASETS["sentences"](seed=seed)
    texts = [sentence.text for sentence in grammar.sample(FITTED, seed)]
    classifier = BagOfWords.fit(list(data.x), data.truth, data.class_names or ())
    return classifier, SentenceVAE.fit(texts, seed=seed, progress=progress)


def _save(manifold: Manifold, x: Tensor, folder: Path) -> None:
    manifold.save(folder)
    with torch.inference_mode():
        write_whole(folder / "starts.safetensors", save({"z": manifold.encode(x)}))


def make_digits() -> None:
    """Write the VAE and the classifier of the digits."""
    data = DATASETS["digits"]()
    x, held_out = torch.from_numpy(data.x), torch.from_numpy(data.held_out)
    module, vae = models_of_digits(progress=True)
    _save(vae, x, HERE / "digits")
    write_whole(HERE / "digits" / "classifier.safetensors", save(module.state_dict()))
    truth = torch.from_numpy(data.held_out_truth)
    error = float((vae.decode(vae.encode(held_out)) - held_out).square().mean())
    share = accuracy(module, held_out, truth)
    print(f"held-out digits: classifier accuracy {share:.3f}, reconstruction error {error:.4f}")


def make_digits_images() -> None:
    """Write the default split of the digits' images."""
    parts = zip(PARTS, split(seed=0, test_size=0.3), strict=True)
    write_whole(SHIPPED, save({name: torch.from_numpy(part.astype("uint8")) for name, part in parts}))


def make_digits_umap() -> None:
    """Write the UMAP map of the digits; needs umap-learn."""
    x = torch.from_numpy(DATASETS["digits"]().x)
    _save(UMAPMap.fit(x, progress=True), x, HERE / "digits_umap")


def make_digits_joint() -> None:
    """Write the VAE with a classification head."""
    data = DATASETS["digits"]()
    x, y = torch.from_numpy(data.x), torch.from_numpy(data.truth)
    joint = Joint.fit(x, y, progress=True)
    _save(joint, x, HERE / "digits_joint")
    share = accuracy(joint.classifier(), torch.from_numpy(data.held_out), torch.from_numpy(data.held_out_truth))
    print(f"held-out digits: accuracy of the joint model's head {share:.3f}")


def make_digits_embedding() -> None:
    """Write the decoder of the digits classifier's embedding."""
    from envs.classifiers import adapt

    data = DATASETS["digits"]()
    x = torch.from_numpy(data.x)
    module = ASSETS["digits"].classifier(data, 0)
    classifier = adapt(module, units=fit_units(data.x), class_names=data.class_names)
    _save(Embedding.fit(x, classifier, progress=True), x, HERE / "digits_embedding")


def make_sentences() -> None:
    """Write the sentence VAE and the bag of words."""
    data = DATASETS["sentences"]()
    words, manifold = models_of_sentences(progress=True)
    _save(manifold, manifold.vocabulary.ids(list(data.x)), HERE / "sentences")
    words.save(HERE / "sentences")
    right = float((words.predict_proba(list(data.held_out or ())).argmax(1) == data.held_out_truth).mean())
    print(f"held-out sentences: classifier accuracy {right:.3f}, KL {manifold.account['kl']:.2f} nats")


def make_sentences_edits() -> None:
    """Write the manifold of edits of the grammar's sentences."""
    data = DATASETS["sentences"]()
    words = ASSETS["sentences"].classifier(data, 0)
    predictions = torch.from_numpy(words.predict_proba(list(data.x))).float()
    edits = Edits.fit(list(data.x), predictions, embedding=32, hidden=48, epochs=30, progress=True)
    folder = HERE / "sentences_edits"
    _save(edits, edits.vocabulary.ids(list(data.x)), folder)
    halved(folder / "manifold.safetensors")


def make_iris() -> None:
    """Write the VAE of iris."""
    iris = DATASETS["iris"]()
    flowers = fit_units(iris.x, columns=iris.columns).inward(iris.x)
    _save(VAE.fit(flowers, latent_dim=2, modality="table", epochs=600, progress=True), flowers, HERE / "iris")


RECIPES: dict[str, Callable[[], None]] = {
    "digits_images": make_digits_images,
    "digits": make_digits,
    "digits_umap": make_digits_umap,
    "digits_joint": make_digits_joint,
    "digits_embedding": make_digits_embedding,
    "digits_gan": make_digits_gan,
    "iris": make_iris,
    "mnist": make_mnist,
    "fashion_mnist": partial(make_mnist, "fashion_mnist"),
    "omniglot": make_omniglot,
    "oscillator": make_oscillator,
    "sentences": make_sentences,
    "sentences_edits": make_sentences_edits,
}


def main(argv: Sequence[str] | None = None) -> None:
    """Write the assets of these names, or all."""
    parser = argparse.ArgumentParser(description="Create the shipped assets again.")
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"{', '.join(RECIPES)}; default: all")
    names = parser.parse_args(argv).names
    torch.set_num_threads(1)
    for name in names or RECIPES:
        if name not in RECIPES:
            parser.error(f"no asset {name!r}; there are {', '.join(RECIPES)}")
        RECIPES[name]()


if __name__ == "__main__":
    main()
