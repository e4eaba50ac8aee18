"""Oracles: other classifiers, of other kinds than the explained one, fitted to half of the reference inputs.

They learn the labels that the explained classifier gives to real inputs, which were queried when the world was built, so they
cost no query; where they disagree with it at the end of a walk, the data do not support its prediction. The other half of the
reference inputs fixes what counts as agreement and as usual: quantiles among real inputs, never among judged ends. No walker
uses these classifiers.

N inputs, K classes.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any
from weakref import WeakKeyDictionary

import numpy as np
import torch
from torch import Tensor, nn

from envs.core.nearest import nearest
from envs.core.reference_data import ReferenceData
from envs.core.world import World

SEED = 41_017  # of halves, weights and draws; no benchmark, run or registered world uses it
MOST = 6000  # inputs that oracles are fitted to, and that thresholds are fixed on
MEMBERS, STEPS, BATCH, RATE = 2, 500, 64, 3e-3  # of the networks
POLYNOMIAL = 400  # columns at most of a logistic regression
NOISE = 0.1  # of pictures in training, standard deviation
QUANTILE = 0.05  # of real inputs: what is rarer among them is unusual
Predict = Callable[[Tensor], np.ndarray]

_kept: WeakKeyDictionary[ReferenceData, Oracles] = WeakKeyDictionary()


class Oracles:
    """Oracles on data of one world, and what they say of real inputs. `oracles_of` makes and keeps them.

    Attributes:
        least_agreement: the probability of their own class that 95 % of real inputs reach.
        least_typicality: the typicality that 95 % of real inputs reach.
        most_distance: the distance to the nearest other real input of their class that 95 % of real inputs do not exceed.

    Example:
        >>> from envs import make_world
        >>> world = make_world(data="iris")
        >>> found = oracles_of(world)
        >>> found.agreement(world.reference.x[:4]).shape
        (4, 3)
    """

    def __init__(self, world: World) -> None:
        reference = world.reference
        order = torch.randperm(len(reference.x), generator=torch.Generator().manual_seed(SEED))[: 2 * MOST]
        own, other = order[: len(order) // 2], order[len(order) // 2 :]
        self._members = _fitted(world, reference.x[own], reference.label[own])
        self._places, self._labels = reference.coordinates[own], reference.label[own]
        label = reference.label[other]
        given = self.agreement(reference.x[other])[np.arange(len(other)), label]
        self.least_agreement = float(np.quantile(given, QUANTILE))
        self.least_typicality = float(np.quantile(world.manifold.typicality(reference.z[other]).numpy(), QUANTILE))
        self.most_distance = float(np.quantile(self.distance(reference.coordinates[other], label), 1 - QUANTILE))

    def agreement(self, x: Tensor) -> np.ndarray:
        """(N, K) the mean probabilities of all oracles on data x (N, \\*data_shape)."""
        return np.mean([member(x) for member in self._members], axis=0)

    def distance(self, places: Tensor, label: Tensor) -> np.ndarray:
        """(N,) distances from coordinates (N, D) to the nearest real input of the class `label` (N,)."""
        found = torch.full((len(places),), torch.inf)
        for k in label.unique().tolist():
            known, mine = self._places[self._labels == k], label == k
            if len(known):
                found[mine] = nearest(places[mine].float(), known.float())[0][:, 0]
        return found.numpy()


def oracles_of(world: World) -> Oracles:
    """The oracles of a world, fitted on first use (seconds) and kept as long as its reference data."""
    if world.reference not in _kept:
        _kept[world.reference] = Oracles(world)
    return _kept[world.reference]


def _fitted(world: World, x: Tensor, label: Tensor) -> list[Predict]:
    """Classifiers of different kinds, by modality: networks of convolutions and trees, tabular models, or counts of words."""
    if world.modality == "text":
        return [_words(world, x, label, ngrams) for ngrams in (1, 2)]
    if x.ndim == 2:
        return _tabular(x.numpy(), label.numpy(), world.classes, most=POLYNOMIAL)
    trees = _tabular(x.flatten(1).numpy(), label.numpy(), world.classes, most=0)
    return [*trees, *(_convolutions(x, label, world.classes, SEED + k) for k in range(MEMBERS))]


def _words(world: World, x: Tensor, label: Tensor, ngrams: int) -> Predict:
    from envs.classifiers.bag_of_words import BagOfWords

    def texts(rows: Tensor) -> list[str]:
        return world.units.texts(rows) or []

    model = BagOfWords.fit(texts(x), label.numpy(), world.class_names, ngrams=ngrams)
    return lambda rows: np.asarray(model.predict_proba(texts(rows)))


def _tabular(x: np.ndarray, label: np.ndarray, classes: int, most: int) -> list[Predict]:
    """Randomised trees, and a logistic regression for at most so many columns."""
    from sklearn.ensemble import ExtraTreesClassifier
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import PolynomialFeatures

    models = [ExtraTreesClassifier(100, min_samples_leaf=3, random_state=SEED)]
    if x.shape[1] <= most and len(np.unique(label)) > 1:
        models.append(make_pipeline(PolynomialFeatures(2 if x.shape[1] <= 20 else 1), LogisticRegression(max_iter=500, C=1.0)))

    def predict(model: Any) -> Predict:
        def of(rows: Tensor) -> np.ndarray:
            out = np.zeros((len(rows), classes))
            out[:, model.classes_] = model.predict_proba(rows.flatten(1).numpy())
            return out

        return of

    return [predict(model.fit(x, label)) for model in models]


def _convolutions(x: Tensor, label: Tensor, classes: int, seed: int) -> Predict:
    """A small network of convolutions, trained with noise and shifts by up to one pixel in sixteen."""
    from envs.modalities.regions import channel_axis

    axis = channel_axis(tuple(x.shape[1:]))

    def layered(rows: Tensor) -> Tensor:
        return rows[:, None].float() if axis is None else rows.movedim(axis + 1, 1).float()

    first, generator = layered(x[:1]), torch.Generator().manual_seed(seed)
    shift, stride = first.shape[2] // 16, max(1, first.shape[2] // 14)
    with torch.random.fork_rng(devices=[]), torch.enable_grad():
        torch.manual_seed(seed)
        network = nn.Sequential(
            nn.Conv2d(first.shape[1], 16, 2 * stride + 1, stride, stride), nn.ReLU(),
            nn.Conv2d(16, 32, 3, padding=1), nn.ReLU(), nn.AdaptiveMaxPool2d(4), nn.Flatten(), nn.Linear(512, classes),
        )  # fmt: skip
        optimizer = torch.optim.Adam(network.parameters(), lr=RATE)
        schedule = torch.optim.lr_scheduler.LinearLR(optimizer, 1.0, 0.02, STEPS)
        for _ in range(STEPS):
            rows = torch.randint(len(x), (BATCH,), generator=generator)
            seen = layered(x[rows])
            move = torch.randint(-shift, shift + 1, (2,), generator=generator).tolist()
            seen = seen.roll(move, (2, 3)) + NOISE * torch.randn(seen.shape, generator=generator)
            optimizer.zero_grad()
            nn.functional.cross_entropy(network(seen), label[rows]).backward()
            optimizer.step()
            schedule.step()
    network.eval().requires_grad_(False)

    def predict(rows: Tensor) -> np.ndarray:
        with torch.inference_mode():
            return torch.cat([network(layered(part)).softmax(1) for part in rows.split(2048)]).numpy()

    return predict
