"""Posteriors over the dynamics that VIME can score with, by name. To add one: a file here and a line in the table."""

from __future__ import annotations

from vime.posteriors.base import Posterior
from vime.posteriors.deep_ensemble import DeepEnsemble
from vime.posteriors.last_layer import LastLayer
from vime.posteriors.mean_field import MeanField
from vime.posteriors.weight_sites import WeightSites

POSTERIORS: dict[str, type[Posterior]] = {
    "mean_field": MeanField,
    "last_layer": LastLayer,
    "deep_ensemble": DeepEnsemble,
    "weight_sites": WeightSites,
}
"""The posteriors by the name that ``VIME(posterior=...)`` takes."""

__all__ = ["POSTERIORS", "DeepEnsemble", "LastLayer", "MeanField", "Posterior", "WeightSites"]
