"""The splits on which explanations are compared: digits, MNIST and UCI Adult; each depends on its seed alone.

Agents and rivals of any date meet the same tasks: the same data split, classifier, manifold, targets, stop rule and bound
on the step length (1/6 of the class distance).
"""

from __future__ import annotations

import csv
import os
from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from agents.explanation.metrics.evaluate import Reference
from agents.explanation.metrics.oracle import oracles_of
from envs.assets.make import models_of_digits
from envs.building.world import make_world
from envs.classifiers import Classifier, adapt
from envs.classifiers.networks import accuracy
from envs.core.world import World
from envs.datasets import DATASETS
from envs.manifolds import GAN, PCA, VAE, Embedding, Joint, Manifold, Pair, UMAPMap
from envs.manifolds.generators.training import Recipe
from envs.modalities.fitting import fit_units
from tests.benchmarks.harness.autoencoder import fitted_autoencoder
from tests.benchmarks.harness.runs import ROOT


@dataclass(frozen=True)
class Split:
    """A world and the tasks on it.

    Attributes:
        world: of this seed, at the defaults or with the settings of a recipe.
        x: (M, *data_shape) held-out inputs.
        targets: (M,) a class other than the classifier's for each.
        reference: real data and their classes, for the typicality ratio.
        facts: accuracy, reconstruction, class distance, for the record.
    """

    world: World
    x: Tensor
    targets: Tensor
    reference: Reference
    facts: dict[str, float]


def random_targets(source: Tensor, classes: int, seed: int) -> Tensor:
    """For each item a class other than its source (B,), drawn by a generator of this seed."""
    shift = torch.randint(1, classes, source.shape, generator=torch.Generator().manual_seed(seed))
    return (source + shift) % classes


def oracles_of_split(split: Any, cache: Path | None) -> Any:
    """Oracles fitted to the split's real data (see `agents.explanation.metrics.oracle`), kept in the cache."""
    data = split.reference
    return oracles_of(data.bank, data.bank_classes, split.world.classes, None if cache is None else cache / "oracles")


# ---- digits -----------------------------------------------------------------------------------------------------------

TAU = 0.9  # digits and MNIST: p(target) at which a walk ends
#: name -> how it is fitted to digits x, given the split's classifier, the labels that it gives them, and the seed
MANIFOLDS: dict[str, Callable[[Tensor, Classifier, Tensor, int], Manifold]] = {
    "joint": lambda x, classifier, labels, seed: Joint.fit(x, labels, classes=10, seed=seed),
    "embedding": lambda x, classifier, labels, seed: Embedding.fit(x, classifier, seed=seed),
    "pca": lambda x, classifier, labels, seed: PCA.fit(x),
    "gan": lambda x, classifier, labels, seed: GAN.fit(x, recipe=Recipe(steps=3000, learning_rate=5e-4), seed=seed),
    "gan64": lambda x, classifier, labels, seed: GAN.fit(
        x, latent_dim=64, recipe=Recipe(steps=3000, learning_rate=5e-4), seed=seed
    ),
    "kl": lambda x, classifier, labels, seed: Pair.of(fitted_autoencoder(x, seed), x),
    "umap": lambda x, classifier, labels, seed: UMAPMap.fit(x, seed=seed),
    "umap_knn": lambda x, classifier, labels, seed: UMAPMap.fit(x, decoder="knn", seed=seed),
}


@lru_cache(maxsize=4)
def digits_models(seed: int) -> tuple[torch.nn.Module, VAE]:
    """Classifier (MLP 64-64-10) and VAE (64-128-8, beta 0.3, 150 epochs) by the recipe of the shipped assets."""
    return models_of_digits(seed)


@lru_cache(maxsize=32)
def digits_manifold(seed: int, name: str) -> tuple[torch.nn.Module, Manifold]:
    """Another manifold of the digits, and what is explained on it: the split's classifier, or for ``joint_own`` the head that
    was trained with it on the true classes."""
    data = DATASETS["digits"](seed=seed)
    x, module = torch.from_numpy(data.x), digits_models(seed)[0]
    if name == "joint_own":
        joint = Joint.fit(x, torch.from_numpy(data.truth), seed=seed)
        return joint.classifier(), joint
    classifier = adapt(module, units=fit_units(data.x), class_names=data.class_names)
    return module, MANIFOLDS[name](x, classifier, classifier.predict_proba(x).argmax(1), seed)


def digits_split(seed: int = 0, manifold_name: str = "vae", **settings: Any) -> Split:
    """scikit-learn's digits in [0, 1], 70/30, stratified by class: 540 held-out digits towards a random other class.

    Args:
        seed: of the split, the models and the targets.
        manifold_name: ``vae``, ``joint_own`` or one of `MANIFOLDS`.
        settings: of `envs.make_world` (move, reward ...).
    """
    data = DATASETS["digits"](seed=seed)
    classifier, manifold = digits_models(seed) if manifold_name == "vae" else digits_manifold(seed, manifold_name)
    settings = {"task": "reach", **settings, "tau": TAU, "max_step": 1 / 6}
    world = make_world(data=data, classifier=classifier, manifold=manifold, **settings)
    x = world.held_out.x
    with torch.inference_mode():
        seen = classifier(x).argmax(1)
        frames = manifold.decode(manifold.encode(x))
        error, same = float((frames - x).square().mean()), float((classifier(frames).argmax(1) == seen).float().mean())
    facts = {
        "accuracy": accuracy(classifier, x, torch.as_tensor(data.held_out_truth)), "reconstruction_mse": error,
        "class_kept": same, "class_distance": world.class_distance, "step_bound": world.class_distance / 6,
    }  # fmt: skip
    real = Reference(data.x, data.truth, x.numpy(), data.held_out_truth)
    return Split(world, x, random_targets(seen, len(world.class_names), seed), real, facts)


# ---- MNIST ------------------------------------------------------------------------------------------------------------

BANK = slice(0, None, 15)  # of the training images: distances of every frame to all 60,000 would take hours


@lru_cache(maxsize=1)
def mnist_world(data_dir: str | None = None) -> World:
    """All 60,000 training images as starts, the shipped VAE and CNN, real test images held out."""
    return make_world(data="mnist", data_dir=data_dir, task="reach")


def mnist_split(seed: int, items: int, **settings: Any) -> Split:
    """The first `items` test images; world and split are the shipped ones, the seed draws targets."""
    world = mnist_world().replace(**{**settings, "tau": TAU, "max_step": 1 / 6})
    x, truth = world.held_out.x[:items], world.held_out.truth
    assert truth is not None
    with torch.inference_mode():
        seen = world.classifier.predict_proba(x).argmax(1)
    facts = {"class_distance": world.class_distance, "step_bound": world.class_distance / 6}
    return Split(world, x, random_targets(seen, 10, seed), mnist_real(world, 2000), facts)


def mnist_real(world: World, items: int) -> Reference:
    """Every 15th training image, and the first test images."""
    assert world.held_out.truth is not None
    held_out = world.held_out.x[:items].numpy(), world.held_out.truth[:items].numpy()
    return Reference(world.reference.x[BANK].numpy(), world.reference.label[BANK].numpy(), *held_out)


# ---- UCI Adult --------------------------------------------------------------------------------------------------------

ADULT_NAMES = ["age", "workclass", "fnlwgt", "education", "education-num", "marital-status", "occupation", "relationship",
               "race", "sex", "capital-gain", "capital-loss", "hours-per-week", "native-country", "income"]  # fmt: skip
#: fnlwgt is a sampling weight, education-num repeats education
ADULT_COLUMNS = {
    "target": "income",
    "columns": {
        "fnlwgt": {"kind": "ignore"},
        "education-num": {"kind": "ignore"},
        "age": {"kind": "number", "only": "up"},
        **{name: {"kind": "category", "immutable": True} for name in ("race", "sex", "native-country")},
    },
}
ADULT_ITEMS, ADULT_TAU = 500, 0.5  # in a table with two classes the question is when the decision changes


def data_folder(needed: str) -> Path:
    """$MANIFOLD_DATA, else shared/data beside the checkout.

    Args:
        needed: a file or folder that must be in it.

    Raises:
        SystemExit: it is not.
    """
    folder = Path(os.environ.get("MANIFOLD_DATA") or ROOT.parent / "shared" / "data")
    if not (folder / needed).exists():
        raise SystemExit(f"error: {needed} is not in {folder}: set MANIFOLD_DATA to the folder of the data sets that holds it")
    return folder


def adult_csv(cache: Path) -> Path:
    """adult.data with a first line of names."""
    file = cache / "adult.csv"
    if not file.is_file():
        cache.mkdir(parents=True, exist_ok=True)
        rows = csv.reader((data_folder("adult/adult.data") / "adult" / "adult.data").open(), skipinitialspace=True)
        with file.open("w", newline="") as stream:
            csv.writer(stream).writerows([ADULT_NAMES, *(row for row in rows if len(row) == len(ADULT_NAMES))])
    return file


@lru_cache(maxsize=2)
def _adult_world(seed: int, cache: Path) -> World:
    return make_world(data=str(adult_csv(cache)), columns=ADULT_COLUMNS, seed=seed, task="reach")


def adult_split(seed: int, cache: Path, **settings: Any) -> Split:
    """Who earns more than 50,000 dollars? 30 % of the 32,561 rows of adult.data are held out, stratified; a network 64-64 and
    a table VAE are fitted to the rest. The first 500 held-out rows are explained, each towards the other class."""
    world = _adult_world(seed, cache).replace(**{**settings, "tau": ADULT_TAU, "max_step": 1 / 6})
    held_out = world.held_out
    assert held_out.truth is not None
    x = held_out.x[:ADULT_ITEMS]
    before = world.classifier.queries
    with torch.inference_mode():
        seen = torch.cat([world.classifier.predict_proba(part).argmax(1) for part in held_out.x.split(4096)])
        again = world.classifier.predict_proba(world.decode(world.manifold.encode(x), x)).argmax(1)
    world.classifier.queries = before  # queries for the record count for no explanation
    facts = {
        "accuracy": float((seen == held_out.truth).float().mean()),
        "reconstructions_of_the_same_class": float((again == seen[:ADULT_ITEMS]).float().mean()),
        "class_distance": world.class_distance, "step_bound": world.class_distance / 6,
    }  # fmt: skip
    real = Reference(world.reference.x.numpy(), world.reference.label.numpy(), held_out.x.numpy(), seen.numpy())
    return Split(world, x, 1 - seen[:ADULT_ITEMS], real, facts)


def split_of(name: str, seed: int, cache: Path, items: int = 500) -> Split:
    """A split by the name of its data; `items` of MNIST."""
    if name == "mnist":
        return mnist_split(seed, items)
    return digits_split(seed) if name == "digits" else adult_split(seed, cache)
