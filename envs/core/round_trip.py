"""A check that rows from data space get the same predictions as the user's own rows.

Rows are converted to data space and back before the classifier sees them. If that changed a value (a blank, a type, a digit,
the order of the columns), the explanations would be of another classifier than the user's. When a world is built, a sample of
rows is therefore queried both ways.
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
from envs.modalities.data_frame import in_order, is_frame, rows_at
from envs.modalities.rows import RowUnits

ROWS = 2000  # queried by default
TEXTS = 200  # queried at most, where the conversion loses something by design and classifiers are slow
TOLERANCE = 1e-6  # of probabilities
OF_PICTURES = 1e-5  # of probabilities for pictures, which are float32 in data space
MOST_NAMED = 8  # columns in a message


class RoundTrip(NamedTuple):
    """Result of the comparison.

    Attributes:
        rows: number of rows.
        queries: of the comparison, in rows.
        agreement: share of the rows with the same predicted class both ways.
        largest: largest difference of a probability.
        noise: largest difference of a probability between two identical queries; 0 if no second one was needed.

    Example:
        >>> print(str(RoundTrip(rows=10, queries=20, agreement=1.0, largest=0.0, noise=0.0))[:73])
        compared 10 of your rows with those from data space in 20 queries: labels
    """

    rows: int
    queries: int
    agreement: float
    largest: float
    noise: float

    def __str__(self) -> str:
        return (
            f"compared {self.rows} of your rows with those from data space in {self.queries} queries: labels agree for "
            f"{self.agreement:.3f}, probabilities differ by up to {self.largest:.2g}"
        )


def check_round_trip(
    classifier: Classifier, units: Units, raw: Any, x: Tensor, cells: Tensor, reference: ReferenceData, rows: int = ROWS
) -> RoundTrip | None:
    """Query the classifier with rows as the user has them and from data space, and compare the predictions.

    Args:
        classifier: of the user.
        units: of the data.
        raw: (N, ...) the rows as the user gave them: an array, texts, or a data frame.
        x, cells: the same rows in data space, see `Units.entered`.
        reference: predictions for these rows; the compared rows are spread evenly over the predicted classes.
        rows: largest number of rows, each queried once (twice for pictures, and once more if predictions differ).

    Returns:
        The comparison; None without rows, and for a classifier of encoded rows.

    Raises:
        ManifoldError: more labels differ than between two identical queries. If only probabilities differ, or the rows are
            texts, a warning is given.
    """
    if rows <= 0:
        return None
    before = classifier.queries
    rows = rows if units.keeps_all else min(rows, TEXTS)
    index = reference.label.argsort(stable=True)[torch.linspace(0, len(x) - 1, min(rows, len(x))).long()]
    chosen = rows_at(raw, index.tolist()) if is_frame(raw) else np.asarray(raw)[index.numpy()]
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
    if 1 - agreement > 2 * (1 - steady) and units.keeps_all:
        why = _columns(units, chosen, kept)
        raise ManifoldError(f"{_words(found)}.{why} The explanations would be of another classifier than yours")
    if largest > max(tolerance, 2 * noise):
        warnings.warn(f"{_words(found)}.{_columns(units, chosen, kept)}", stacklevel=2)
    return found


def _compare(a: Tensor, b: Tensor) -> tuple[float, float]:
    """Share of rows with the same label, and largest difference, of predictions (B, K)."""
    return float((a.argmax(1) == b.argmax(1)).double().mean()), float((a - b).abs().max())


def _words(found: RoundTrip) -> str:
    """The comparison as a sentence."""
    return (
        f"the classifier's predictions for your own rows differ from those for the same rows after conversion to data space "
        f"and back: labels agree for {found.agreement:.3f} of {found.rows} rows, probabilities differ by up to "
        f"{found.largest:.3g} (two identical queries: {found.noise:.3g})"
    )


def _columns(units: Units, raw: Any, cells: Tensor | None) -> str:
    """A sentence that names the columns whose values differ, if columns are what differs."""
    if not units.keeps_all:
        return (
            " Texts are converted to lower case, with single spaces, and cut at the longest sentence: give the texts like that"
        )
    if not isinstance(units, RowUnits) or cells is None:
        return " Are the rows in the scale, order and type that the classifier was fitted to?"
    own = np.asarray(in_order(raw, units.columns, True, units.ignored), dtype=object).reshape(len(raw), -1)
    different = _different(own, units.values(cells), units.columns)
    if not different:
        return " Every value is the same: was the classifier fitted to another type or container, or does it keep a state?"
    return f" The values differ in {', '.join(map(repr, different[:MOST_NAMED]))}: describe these columns with columns=."


def _different(a: np.ndarray, b: np.ndarray, names: Sequence[str]) -> list[str]:
    """The columns whose values, or whose types of values, differ between rows a and b (B, C)."""

    def alike(one: Any, other: Any) -> bool:
        same = bool(one == other) or (one != one and other != other)
        return same and isinstance(one, str) == isinstance(other, str)

    return [name for j, name in enumerate(names) if not all(map(alike, a[:, j], b[:, j]))]
