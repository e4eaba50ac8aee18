"""Calibration of probabilities by one temperature (Guo et al., 2017, https://arxiv.org/abs/1706.04599).

The predicted class never changes. N rows, K classes.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from envs.classifiers.functions import in_float32
from envs.query_options import HOTTEST

LEAST = 1e-12  # a probability of 0 counts as this
BINS = 15


class Calibration(NamedTuple):
    """A fitted temperature.

    Attributes:
        temperature: T; above 1, the classifier was too sure.
        rows: number of rows with true classes that it was fitted to.
        before, after: expected calibration error of the probabilities as they were and as they are.
        measured_on: name and number of the rows that the errors belong to.

    Example:
        >>> print(Calibration(2.0, 100, 0.2, 0.05, "40 held-out rows"))
        temperature 2.00, fitted to 100 reference rows: calibration error 0.200 before, 0.050 after (40 held-out rows)
    """

    temperature: float
    rows: int
    before: float
    after: float
    measured_on: str

    def __str__(self) -> str:
        return (
            f"temperature {self.temperature:.2f}, fitted to {self.rows:,} reference rows: calibration error "
            f"{self.before:.3f} before, {self.after:.3f} after ({self.measured_on})"
        )


def cooled(p: Tensor, temperature: float) -> Tensor:
    """Probabilities (N, K) at a temperature: p^(1/T), normalised. The argmax stays, even if float32 rounds to a tie."""
    if temperature == 1:
        return p
    given = p.double().numpy()
    logits = np.log(np.maximum(given, LEAST)) / temperature
    scaled = np.exp(logits - logits.max(1, keepdims=True))
    scaled /= scaled.sum(1, keepdims=True)
    found = in_float32(scaled)
    best = given.argmax(1)
    lost = np.flatnonzero(found.argmax(1) != best)
    found[lost, best[lost]] = np.nextafter(found[lost].max(1), np.float32(np.inf))
    return torch.from_numpy(found)


def fitted_temperature(p: Tensor, truth: Tensor) -> float:
    """The temperature with the least negative log likelihood of the true classes (N,) under probabilities (N, K)."""
    from scipy.optimize import minimize_scalar

    logs = p.double().clamp_min(LEAST).log()

    def loss(log_temperature: float) -> float:
        return float(torch.nn.functional.cross_entropy(logs / np.exp(log_temperature), truth))

    end = float(np.log(HOTTEST))
    return float(np.exp(minimize_scalar(loss, bounds=(-end, end), method="bounded", options={"xatol": 1e-4}).x))


def expected_calibration_error(p: Tensor, truth: Tensor, bins: int = BINS) -> float:
    """Mean gap between confidence and accuracy in bins of equal width, weighted by their rows.

    Args:
        p: Probabilities, (N, K).
        truth: True classes, (N,).
        bins: Number of bins.
    """
    sure, label = p.max(1)
    right = (label == truth).double()
    place = (sure * bins).long().clamp_max(bins - 1)
    gaps = torch.zeros(bins, dtype=torch.float64).index_add(0, place, right - sure.double())
    return float(gaps.abs().sum() / len(p))
