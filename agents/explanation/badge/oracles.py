"""Oracles: other classifiers, of other kinds than the explained one, fitted to half of the reference inputs.

They learn the labels that the explained classifier gives to real inputs, which were queried when the world was built, so they
cost no query; where they disagree with it at the end of a walk, the data do not support its prediction. The other half of the
reference inputs fixes what counts as agreement and as usual: quantiles among real inputs, never among judged ends. No walker
uses these classifiers: the ensemble of convincing ends has other architectures and learns from the other half.

N inputs, K classes.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any
from weakref import WeakKeyDictionary

import numpy as np
import torch
from torch import Tensor, nn

from agents.walkers.planning.pictures.networks import Architecture, fit_network, is_large
from envs.core.nearest import nearest
from envs.core.reference_data import ReferenceData
from envs.core.world import World

SEED = 41_017  # of halves, weights and draws; no benchmark, run or registered world uses it
MOST = 6000  # inputs that oracles are fitted to, and that thresholds are fixed on
ARCHITECTURES = (
    Architecture(3, (8, 16), nn.GELU, nn.AvgPool2d, places=0, hidden=0),
    Architecture(7, (8, 12), nn.Tanh, nn.MaxPool2d, places=0, hidden=48),
    Architecture(3, (10, 16), nn.SiLU, nn.MaxPool2d, places=4, hidden=0),
)
#: of large pictures, which are judged by networks alone: trees see single pixels. Decoded ends keep faint remains of the input
LARGE_ARCHITECTURES = (
    ARCHITECTURES[2]._replace(faint=True),
    Architecture(3, (16, 32), nn.ReLU, nn.AvgPool2d, places=3, hidden=0, norm=True, noise=0.0, faint=True),
    Architecture(5, (16, 32), nn.SiLU, nn.AvgPool2d, places=2, hidden=0, norm=True, noise=0.0, faint=True),
    Architecture(7, (16, 32), nn.ELU, nn.AvgPool2d, places=2, hidden=0, norm=True, noise=0.0, faint=True),
)
POLYNOMIAL = 400  # columns at most of a logistic regression
QUANTILE = 0.05  # of real inputs: what is rarer among them is unusual
DOUBTED = 0.13  # of large pictures in agreement: networks agree with each other on ends that other kinds do not see
Predict = Callable[[Tensor], np.ndarray]

_kept: WeakKeyDictionary[ReferenceData, Oracles] = WeakKeyDictionary()


class Oracles:
    """Oracles on data of one world, and what they say of real inputs. `oracles_of` makes and keeps them.

    Attributes:
        members: the classifiers, each from data (N, \\*data_shape) to probabilities (N, K).
        doubted: share of real inputs that `least_agreement` refuses.
        least_agreement: the probability of their own class that the other real inputs reach.
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
        self.members = _fitted(world, reference.x[own], reference.label[own])
        self._places, self._labels = reference.coordinates[own], reference.label[own]
        label = reference.label[other]
        given = self.agreement(reference.x[other])[np.arange(len(other)), label]
        self.doubted = DOUBTED if is_large(world) else QUANTILE
        self.least_agreement = float(np.quantile(given, self.doubted))
        self.least_typicality = float(np.quantile(world.manifold.typicality(reference.z[other]).numpy(), QUANTILE))
        self.most_distance = float(np.quantile(self.distance(reference.coordinates[other], label), 1 - QUANTILE))

    def agreement(self, x: Tensor) -> np.ndarray:
        """(N, K) the mean probabilities of all oracles on data x (N, \\*data_shape)."""
        return np.mean([member(x) for member in self.members], axis=0)

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
    large = is_large(world)
    trees = [] if large else _tabular(x.flatten(1).numpy(), label.numpy(), world.classes, most=0)
    kinds = LARGE_ARCHITECTURES if large else ARCHITECTURES
    return [*trees, *(_convolutions(x, label, world.classes, SEED + k, kind) for k, kind in enumerate(kinds))]


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


def _convolutions(x: Tensor, label: Tensor, classes: int, seed: int, kind: Architecture) -> Predict:
    trained = fit_network(x.float().clone(), label.clone(), classes, kind, seed)

    def predict(rows: Tensor) -> np.ndarray:
        with torch.inference_mode():
            return torch.cat([trained(part.float()).softmax(1) for part in rows.split(2048)]).numpy()

    return predict
