"""Classifiers to be explained, as counted black boxes."""

from envs.classifiers.adapters import adapt
from envs.classifiers.base import Classifier

__all__ = ["Classifier", "adapt"]
