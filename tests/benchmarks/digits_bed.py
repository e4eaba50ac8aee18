"""The bed on which digits are compared, frozen here: split, classifier, manifold, targets, stop rule, typicality.

scikit-learn's digits in [0, 1], a 70/30 split stratified by class with the bed's seed, a classifier MLP 64-64-10 and
a VAE 64-128-8 with beta 0.3 and 150 epochs. All 540 held-out digits are explained, towards a random other class,
until p(target) >= 0.9. Everything hangs on the bed's seed alone, so that agents and rivals of any date meet the same
tasks.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import torch
from torch import Tensor

from agents.explanation.metrics.evaluate import Reference
from envs.assets.make import digits_bed
from envs.building.world import make_world
from envs.classifiers import Classifier, adapt
from envs.classifiers.networks import accuracy
from envs.core.world import World
from envs.datasets import DATASETS, Units
from envs.manifolds import GAN, PCA, VAE, Embedding, Joint, Manifold, UMAPMap
from envs.manifolds.generators.training import Recipe

TAU = 0.9

#: name -> how it is fitted to digits x, given the bed's classifier, the labels it gives them, and the bed's seed
MANIFOLDS: dict[str, Callable[[Tensor, Classifier, Tensor, int], Manifold]] = {
    "joint": lambda x, classifier, labels, seed: Joint.fit(x, labels, classes=10, seed=seed),
    "embedding": lambda x, classifier, labels, seed: Embedding.fit(x, classifier, seed=seed),
    "pca": lambda x, classifier, labels, seed: PCA.fit(x),
    "gan": lambda x, classifier, labels, seed: GAN.fit(x, recipe=Recipe(steps=3000, learning_rate=5e-4), seed=seed),
    "umap": lambda x, classifier, labels, seed: UMAPMap.fit(x, seed=seed),
    "umap_knn": lambda x, classifier, labels, seed: UMAPMap.fit(x, decoder="knn", seed=seed),
}


@dataclass(frozen=True)
class Bed:
    """A fitted bed.

    Attributes:
        world: the digits world of this seed, at the defaults or with the recipe's arguments.
        x: (540, 8, 8) held-out digits.
        targets: (540,) random other class than the one that the classifier sees.
        reference: real digits and true classes, for the typicality ratio.
        facts: accuracy, reconstruction error and class distance, for the record.
    """

    world: World
    x: Tensor
    targets: Tensor
    reference: Reference
    facts: dict[str, float]


@lru_cache(maxsize=4)
def fitted(seed: int) -> tuple[torch.nn.Module, VAE]:
    """The bed's classifier and VAE, by the recipe of the shipped assets: the same bytes every time on one machine."""
    return digits_bed(seed)


@lru_cache(maxsize=32)
def fitted_otherwise(seed: int, name: str) -> tuple[torch.nn.Module, Manifold]:
    """Another manifold of the bed, one of `MANIFOLDS`, and what is explained on it: the bed's classifier.

    ``joint_own`` alone brings its own: the head that was trained with it on the true classes.
    """
    data = DATASETS["digits"](seed=seed)
    x, y = torch.from_numpy(data.x), torch.from_numpy(data.truth)
    module = fitted(seed)[0]
    if name == "joint_own":
        joint = Joint.fit(x, y, seed=seed)
        return joint.classifier(), joint
    classifier = adapt(module, units=Units.of(data.x), class_names=data.class_names)
    return module, MANIFOLDS[name](x, classifier, classifier.predict_proba(x).argmax(1), seed)


def make_bed(seed: int = 0, manifold_name: str = "vae", **world_kwargs: Any) -> Bed:
    """The bed of a seed; `world_kwargs` (move, reward ...) go to `envs.make_world`: they are the agent's affair.

    No step may be longer than 1/6 of the class distance, whatever they are.
    """
    data = DATASETS["digits"](seed=seed)
    classifier, manifold = fitted(seed) if manifold_name == "vae" else fitted_otherwise(seed, manifold_name)
    settings = {**world_kwargs, "tau": TAU, "max_step": 1 / 6}
    world = make_world(data=data, classifier=classifier, manifold=manifold, **settings)
    x = world.held_out.x
    with torch.inference_mode():
        seen = classifier(x).argmax(1)
        frames = manifold.decode(manifold.encode(x))
        error, kept = float((frames - x).square().mean()), float((classifier(frames).argmax(1) == seen).float().mean())
    facts = {
        "accuracy": accuracy(classifier, x, torch.as_tensor(data.held_out_truth)),
        "reconstruction_mse": error,
        "class_kept": kept,
        "class_distance": world.class_distance,
        "step_bound": world.class_distance / 6,
    }
    reference = Reference(data.x, data.truth, x.numpy(), data.held_out_truth)
    return Bed(world, x, random_targets(seen, len(world.class_names), seed), reference, facts)


def random_targets(source: Tensor, classes: int, seed: int) -> Tensor:
    """For each item a class other than its source (B,), drawn by a generator of this seed."""
    shift = torch.randint(1, classes, source.shape, generator=torch.Generator().manual_seed(seed))
    return (source + shift) % classes
