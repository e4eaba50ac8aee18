"""From what the user said of the classifier to what is to be adapted: their own, a shipped one, or one fitted to a table."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch

from envs.assets import ASSETS
from envs.classifiers.networks import fit_classifier, mlp_classifier
from envs.datasets import DATASETS, Data
from envs.errors import ManifoldError
from envs.reading.objects import load_object

CLASSIFIER_STEPS = 4000  # gradient steps of a classifier that is fitted to a table's classes


def fitted_classifier(x: torch.Tensor, truth: np.ndarray, seed: int, progress: bool) -> torch.nn.Module:
    """The default classifier of a table with classes: a small network on encoded rows, the same for the same seed."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        module = mlp_classifier((x.shape[1], 64, 64, int(truth.max()) + 1))
    epochs = int(np.clip(CLASSIFIER_STEPS * 64 / len(x), 5, 100))
    return fit_classifier(module, x, torch.as_tensor(truth), epochs=epochs, seed=seed, progress=progress)


def given_classifier(classifier: Any, data: Any, parts: Data, key: str | None, seed: int) -> Any:
    """What is to be adapted: the user's own, or the asset that is named or belongs to the data.

    Raises:
        ManifoldError: there is none.
    """
    if isinstance(classifier, str) and classifier in ASSETS:
        asset = ASSETS[classifier]
        return asset.classifier(parts if key == classifier or asset.fixed_split else DATASETS[asset.data](), 0)
    if classifier is not None:
        return classifier
    if key in ASSETS:
        return ASSETS[key].classifier(parts, seed)
    shipped = isinstance(data, str) and data in ASSETS
    why = f" (the shipped one belongs to the split of seed 0, not {seed})" if shipped else ""
    if parts.truth is None:
        why = " (the data have no classes that one could be fitted to)"
    raise ManifoldError(f"pass classifier=: a module:object name, or anything with predict_proba{why}")


def names_for(parts: Data, classifier: Any) -> Sequence[Any] | None:
    """The data's class names, unless the classifier knows its own."""
    known = getattr(load_object(classifier) if isinstance(classifier, str) else classifier, "classes_", None)
    if known is None or (parts.class_names is not None and list(known) == list(range(len(parts.class_names)))):
        return parts.class_names
    return None
