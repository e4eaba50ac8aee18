"""From the config to a classifier: the user's own, a shipped one, or one that is fitted to a table."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch

from envs.assets import ASSETS
from envs.classifiers.adapters import is_name, loaded
from envs.classifiers.networks import fit_classifier, mlp_classifier, series_classifier
from envs.datasets import DATASETS, Data
from envs.errors import ManifoldError, UnknownNameError

CLASSIFIER_STEPS = 4000  # gradient steps of a fitted classifier
REGRESSOR_STEPS = 600  # of a fitted regressor


def fitted_classifier(
    x: torch.Tensor, truth: np.ndarray, seed: int, progress: bool, series: tuple[int, int] | None = None
) -> torch.nn.Module:
    """The default classifier of a table or of series with classes: a small network, the same for the same seed.

    Args:
        x: (N, D) encoded rows.
        truth: (N,) class indices.
        seed: of the weights and batches.
        progress: show the fit.
        series: (channels, points) if the rows are series.
    """
    classes = int(truth.max()) + 1
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        module = mlp_classifier((x.shape[1], 64, 64, classes)) if series is None else series_classifier(series, classes)
    epochs = int(np.clip(CLASSIFIER_STEPS * 64 / len(x), 5, 100))
    return fit_classifier(module, x, torch.as_tensor(truth), epochs=epochs, seed=seed, progress=progress)


def fitted_regressor(x: torch.Tensor, value: np.ndarray, seed: int, progress: bool) -> torch.nn.Module:
    """The default model of a table with a number to predict: a small network, the same for the same seed.

    Args:
        x: (N, D) encoded rows.
        value: (N,) what it should predict.
        seed: of the weights and batches.
        progress: show the fit.
    """
    mean, spread = float(value.mean()), float(value.std()) or 1.0
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        module = mlp_classifier((x.shape[1], 32, 1))
        outward = torch.nn.Linear(1, 1)
    with torch.no_grad():
        outward.weight.fill_(spread)
        outward.bias.fill_(mean)
    wanted = torch.as_tensor((value - mean) / spread, dtype=torch.float32)
    epochs = max(5, REGRESSOR_STEPS * 64 // len(x))
    fit_classifier(module, x, wanted, epochs=epochs, seed=seed, progress=progress, weight_decay=0.1, loss=_squares)
    return torch.nn.Sequential(module, outward.requires_grad_(False)).eval()


def _squares(module: torch.nn.Module, x: torch.Tensor, y: torch.Tensor, generator: torch.Generator) -> torch.Tensor:
    """Mean squared error of the module's one output."""
    return torch.nn.functional.mse_loss(module(x)[:, 0], y)


def given_classifier(classifier: Any, data: Any, parts: Data, key: str | None, seed: int) -> Any:
    """The classifier before it is adapted: the user's own, or the asset that is named or belongs to the data.

    Args:
        classifier: of the config.
        data: of the config.
        parts: the raw data.
        key: name of the data set if the data are the ones that the shipped assets belong to, else None.
        seed: of the split.

    Raises:
        ManifoldError: none is given, and none belongs to the data.
    """
    if isinstance(classifier, str) and classifier in ASSETS:
        asset = ASSETS[classifier]
        return asset.classifier(parts if key == classifier or asset.fixed_split else DATASETS[asset.data](), 0)
    if isinstance(classifier, str) and not is_name(classifier):
        raise UnknownNameError("classifier", classifier, [*ASSETS, "module:object", "FILE.onnx"])
    if classifier is not None:
        return classifier
    if key in ASSETS:
        return ASSETS[key].classifier(parts, seed)
    shipped = isinstance(data, str) and data in ASSETS
    why = f" (the shipped one belongs to the split of seed 0, not {seed})" if shipped else ""
    if parts.truth is None:
        why = " (the data have no classes to fit one to)"
    raise ManifoldError(f"pass classifier=: a module:object name, an .onnx file, or anything with predict_proba{why}")


def names_for(parts: Data, classifier: Any) -> Sequence[Any] | None:
    """The data's class names, or None if the classifier has its own."""
    known = getattr(loaded(classifier), "classes_", None)
    if known is None or (parts.class_names is not None and list(known) == list(range(len(parts.class_names)))):
        return parts.class_names
    return None
