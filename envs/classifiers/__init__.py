"""Classifiers to be explained, as black boxes that count queries."""

from envs.classifiers.adapters import adapt
from envs.classifiers.bag_of_words import BagOfWords
from envs.classifiers.base import Classifier

__all__ = ["BagOfWords", "Classifier", "adapt"]
