"""Refits: an explained scikit-learn estimator, trained again on bootstrap samples of the reference rows.

Its own predictions are the labels (a world keeps no others), so refits cost no query. An end that they predict otherwise lies
close to the boundary: the next training of the model may put it back on the other side.

N rows, K classes.
"""

from __future__ import annotations

import copy
import warnings
from collections.abc import Callable
from typing import TYPE_CHECKING, Any
from weakref import WeakKeyDictionary

import numpy as np

if TYPE_CHECKING:
    from torch import Tensor

    from envs.core.reference_data import ReferenceData
    from envs.core.world import World

COUNT = 5  # refits of a badge
MOST = 10_000  # reference rows up to which a badge has refits
#: world, data (N, ...) and cells (N, C) -> classes (N,) of the world's goal
Predictor = Callable[["World", "Tensor", "Tensor | None"], np.ndarray]

_kept: WeakKeyDictionary[ReferenceData, list[Predictor] | None] = WeakKeyDictionary()


def refits_of(world: World) -> list[Predictor] | None:
    """The refits of badges, fitted on first use and kept as long as the world's reference data; None: the classifier is
    no scikit-learn estimator, or there are more than `MOST` reference rows."""
    if world.reference not in _kept:
        found = refits(world, COUNT, 0) if len(world.reference.x) <= MOST else None
        _kept[world.reference] = None if found is None else found[0]
    return _kept[world.reference]


def refits(world: World, k: int, seed: int) -> tuple[list[Predictor], str] | None:
    """As many refits of a world's scikit-learn estimator, and how they were made; None for other classifiers.

    An estimator that cannot be fitted to rows and labels alone has no refits, either; a warning says why.

    Args:
        world: gives classifier and reference rows.
        k: how many.
        seed: of the samples, and of the estimators that take one.

    Example:
        >>> from envs import make_world
        >>> refits(make_world(data="iris"), 2, 0)[1].split(" to ")[0]
        '2 refits of LogisticRegression'
    """
    inner = getattr(world.classifier, "inner", world.classifier)  # of one with query options
    estimator = getattr(getattr(inner, "function", None), "__self__", None)
    estimator = getattr(estimator, "best_estimator_", estimator)  # a search of settings is not run again
    known = world.goal is not None or hasattr(estimator, "classes_")
    if not (known and hasattr(estimator, "get_params") and hasattr(estimator, "fit")):
        return None
    cells = world.reference.cells[:1] if world.reference.cells.shape[1] else None
    try:
        members = [_refitted(world, inner, estimator, seed + n) for n in range(k)]
        for member in members:
            member(world, world.reference.x[:1], cells)
    except Exception as error:  # the user's estimator may raise any
        warnings.warn(f"{type(estimator).__name__} could not be trained again, so there are no refits: {error}", stacklevel=2)
        return None
    return members, f"{k} refits of {type(estimator).__name__} to bootstrap samples of reference rows and its own predictions"


def adapted(world: World, model: Any) -> Predictor:
    """A predictor of the classes of a world's goal, from a classifier in any form that `envs.make_world` takes."""
    from envs.classifiers.adapters import adapt

    names = getattr(world.goal, "labels", None) or (world.class_names if world.goal is None else None)
    classifier: Any = adapt(
        model, units=world.units, class_names=names, outputs=None if world.goal is None else world.goal.kind
    )

    def predicted(at: World, x: Tensor, cells: Tensor | None) -> np.ndarray:
        seen = classifier if at.goal is None else classifier.viewed(at.goal)
        return np.asarray(seen.predict_proba(x, cells).argmax(1))

    return predicted


def _refitted(world: World, classifier: Any, estimator: Any, seed: int) -> Predictor:
    from sklearn.base import clone

    reference = world.reference
    random = np.random.default_rng(seed)
    label = reference.label.numpy()
    outputs = None if reference.outputs is None else reference.outputs["own"]
    wanted = _own_outputs(estimator, label, outputs)
    rows = random.integers(0, len(label), len(label))
    seen: Any = wanted.reshape(len(wanted), -1).T if outputs is None or outputs.shape[1] > 1 else []
    missing = [np.flatnonzero(one == value)[0] for one in seen for value in np.unique(one) if value not in one[rows]]
    rows = np.concatenate([rows, missing]).astype(int)
    try:
        model = clone(estimator)
    except (RuntimeError, TypeError):  # its constructor changes or hides parameters
        model = copy.deepcopy(estimator)
    model.set_params(**{name: seed for name in model.get_params() if name.split("__")[-1] == "random_state"})
    cells = reference.cells[rows] if reference.cells.shape[1] else None
    model.fit(classifier._rows(reference.x[rows], cells), wanted[rows])
    if outputs is not None:
        return adapted(world, model)
    index = {value: i for i, value in enumerate(np.asarray(estimator.classes_).tolist())}
    return lambda _, x, cells: np.array(
        [index[value] for value in np.ravel(model.predict(classifier._rows(x, cells))).tolist()]
    )


def _own_outputs(estimator: Any, label: np.ndarray, outputs: np.ndarray | None) -> np.ndarray:
    """The estimator's own outputs for the reference rows: a class (N,), a score (N,), or labels (N, L)."""
    if outputs is None:
        return np.asarray(np.asarray(estimator.classes_)[label])
    return outputs[:, 0] if outputs.shape[1] == 1 else (outputs >= 0.5).astype(int)
