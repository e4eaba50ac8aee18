"""Classifiers to be explained, as counted black boxes."""

from envs.classifiers.adapters import adapt, load_object
from envs.classifiers.base import Classifier

__all__ = ["Classifier", "adapt", "load_object"]
