"""Whether the classifier is asked what it was fitted to: the user's own rows against what walks make of them.

Rows go into data space and come back before the classifier sees them. If a value were changed on the way (a blank, a type, a
digit, the order of the columns), another classifier than the user's would be explained, without a sign. So a sample of rows is
asked both ways once, when the world is made.
"""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor

from envs.classifiers.base import Classifier
from envs.core.reference_data import ReferenceData
from envs.errors import ManifoldError
from envs.modalities.base import Units
from envs.modalities.data_frame import is_frame
from envs.modalities.rows import RowUnits

ROWS = 2000  # that are asked by default
TOLERANCE = 1e-6  # of probabilities
OF_PICTURES = 1e-5  # the same of pictures, which are float32 inside
MOST_NAMED = 8  # columns in a message


class RoundTrip(NamedTuple):
    """What was found.

    Attributes:
        rows: how many were compared.
        queries: classifier rows that this took.
        agreement: share of the rows that have the same label both ways.
        largest: largest difference of a probability.
        noise: largest difference of a probability between two identical queries; 0 where no second one was needed.
    """

    rows: int
    queries: int
    agreement: float
    largest: float
    noise: float

    def __str__(self) -> str:
        return (
            f"your classifier was asked {self.queries} rows to compare your own rows with those that walks know: labels agree "
            f"for {self.agreement:.3f} of {self.rows}, probabilities differ by up to {self.largest:.2g}"
        )


def check_round_trip(
    classifier: Classifier, units: Units, raw: Any, x: Tensor, cells: Tensor, reference: ReferenceData, rows: int = ROWS
) -> RoundTrip | None:
    """Ask the classifier about rows as the user has them and as walks know them, and compare the answers.

    Args:
        raw: (N, ...) the rows as the user gave them: an array, texts, or a data frame.
        x, cells: the same rows inside, see `Units.entered`.
        starts: what the classifier has said of these rows already; the rows that are asked are spread evenly over its labels.
        rows: at most so many are asked, each once (twice for pictures, and once more where the answers differ); 0: none.

    Returns:
        What was found; None where nothing could be compared: no rows asked for, or a classifier of encoded rows.

    Raises:
        ManifoldError: labels differ, by more than those of two identical queries do. Where probabilities alone differ, a
            warning is given.
    """
    if rows <= 0:
        return None
    before = classifier.queries
    index = reference.label.argsort(stable=True)[torch.linspace(0, len(x) - 1, min(rows, len(x))).long()]
    chosen = raw.iloc[index.numpy()] if is_frame(raw) else np.asarray(raw)[index.numpy()]
    true = classifier.of_raw(chosen)
    if true is None:
        return None
    kept = cells[index] if isinstance(units, RowUnits) else None
    back = reference.prediction[index] if units.anchored else classifier.predict_proba(x[index])
    agreement, largest = _compare(true, back)
    noise, steady, tolerance = 0.0, 1.0, TOLERANCE if units.anchored else OF_PICTURES
    if largest > tolerance:
        again = classifier.of_raw(chosen)
        assert again is not None
        steady, noise = _compare(true, again)
    found = RoundTrip(len(index), classifier.queries - before, agreement, largest, noise)
    if 1 - agreement > 2 * (1 - steady):
        why = _columns(units, chosen, kept)
        raise ManifoldError(f"{_words(found)}.{why} So another classifier than yours would be explained")
    if largest > max(tolerance, 2 * noise):
        warnings.warn(f"{_words(found)}.{_columns(units, chosen, kept)}", stacklevel=2)
    return found


def _compare(a: Tensor, b: Tensor) -> tuple[float, float]:
    """Share of rows with the same label, and largest difference, of answers (B, K)."""
    return float((a.argmax(1) == b.argmax(1)).double().mean()), float((a - b).abs().max())


def _words(found: RoundTrip) -> str:
    """What was found as a sentence."""
    return (
        f"the classifier answers otherwise about your own rows than about the same rows on their way through the manifold's "
        f"units: labels agree for {found.agreement:.3f} of {found.rows} rows, probabilities differ by up to "
        f"{found.largest:.3g} (two identical queries: {found.noise:.3g})"
    )


def _columns(units: Units, raw: Any, cells: Tensor | None) -> str:
    """A sentence that names the columns whose values differ, if columns are what differs."""
    if not isinstance(units, RowUnits) or cells is None:
        return " Are the rows in the scale, order and type that the classifier was fitted to?"
    own = raw.to_numpy(dtype=object) if is_frame(raw) else np.asarray(raw, dtype=object).reshape(len(raw), -1)
    if is_frame(raw):
        own = own[:, [[str(label) for label in raw.columns].index(name) for name in units.columns]]
    different = _different(own, units.values(cells), units.columns)
    if not different:
        return " Every value is the same: is the classifier fitted to another type or container, or does it keep a state?"
    return f" The values differ in {', '.join(map(repr, different[:MOST_NAMED]))}: describe these columns with columns=."


def _different(a: np.ndarray, b: np.ndarray, names: Sequence[str]) -> list[str]:
    """The columns that hold other values, or values of another kind, in rows a than in rows b (B, C)."""

    def alike(one: Any, other: Any) -> bool:
        same = bool(one == other) or (one != one and other != other)
        return same and isinstance(one, str) == isinstance(other, str)

    return [name for j, name in enumerate(names) if not all(map(alike, a[:, j], b[:, j]))]
