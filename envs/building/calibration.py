"""The temperature that calibrates a world's classifier, fitted to the true classes of its reference rows."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor

from envs.classifiers.base import Classifier
from envs.classifiers.calibration import Calibration, cooled, expected_calibration_error, fitted_temperature
from envs.classifiers.querying import QueriedClassifier
from envs.config import WorldConfig
from envs.core.reference_data import BATCH, Examples
from envs.datasets import Data
from envs.errors import ManifoldError
from envs.query_options import FIT
from envs.runtime.progress import on_terminal

MEASURED = 2000  # most held-out rows that are queried for the error


def calibrated(
    config: WorldConfig, classifier: Classifier, data: Data, reference: Examples, held_out: Examples, progress: bool
) -> WorldConfig:
    """Fit the temperature if the config asks for it; the config that is returned holds the number.

    The error is measured on held-out rows if their classes are known, else on the reference rows.

    Args:
        config: of the world.
        classifier: as the world queries it; it is calibrated.
        data: the raw data, with their true classes.
        reference, held_out: the rows.
        progress: print the calibration, on a terminal.

    Raises:
        ManifoldError: the true classes are not known, or the classifier returns only labels.
    """
    if not isinstance(classifier, QueriedClassifier) or classifier.options.temperature != FIT:
        return config
    truth = _indices(data.truth, data.class_names, classifier.class_names)
    if truth is None or classifier.label_only:
        why = "the classifier returns only labels" if truth is not None else "the true classes of the data are not known"
        raise ManifoldError(
            f"temperature='fit' needs true classes and probabilities, and {why}: name target_column= or pass truth=, give a "
            "temperature as a number, or leave it out"
        )
    p = _predictions(classifier, reference, slice(None))
    temperature = fitted_temperature(p, truth)
    later = None if data.held_out is None else _indices(data.held_out_truth, data.class_names, classifier.class_names)
    where = f"{len(p):,} reference rows"
    if later is not None:
        p, truth = _predictions(classifier, held_out, slice(MEASURED)), later[:MEASURED]
        where = f"{len(p):,} held-out rows"
    before, after = (expected_calibration_error(cooled(p, t), truth) for t in (1.0, temperature))
    found = Calibration(temperature, len(reference.x), before, after, where)
    classifier.calibrate(found)
    if on_terminal(progress):
        print(found, file=sys.stderr)
    return config.replace(query={**config.query, "temperature": temperature})


def _predictions(classifier: Classifier, rows: Examples, some: slice) -> Tensor:
    x, cells = rows.x[some], None if rows.cells is None or not rows.cells.shape[1] else rows.cells[some]
    parts = torch.arange(len(x)).split(BATCH)
    return torch.cat([classifier.predict_proba(x[part], None if cells is None else cells[part]) for part in parts])


def _indices(truth: Any, names: Sequence[Any] | None, known: Sequence[str]) -> Tensor | None:
    """True classes (N,), texts or indices of `names`, as indices of the classifier's classes; None if one is not a class."""
    if truth is None:
        return None
    values = np.asarray(truth)
    whole = np.issubdtype(values.dtype, np.integer) and names is not None and values.min() >= 0 and values.max() < len(names)
    texts = [str(names[value] if whole and names is not None else value) for value in values]
    index = {name: k for k, name in enumerate(known)}
    return torch.tensor([index[text] for text in texts]) if all(text in index for text in texts) else None
