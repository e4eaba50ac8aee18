"""A network for the pictures of three classes."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from envs.classifiers import Classifier, adapt
from envs.classifiers.networks import fit_classifier, mlp_classifier
from envs.modalities.fitting import fit_units
from tests.envs.manifolds.three_classes import LABELS, PICTURES


@pytest.fixture(scope="module")
def module() -> nn.Module:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        network = mlp_classifier((20, 12, 3))
    return fit_classifier(network, PICTURES, LABELS, epochs=20)


@pytest.fixture(scope="module")
def classifier(module: nn.Module) -> Classifier:
    return adapt(module, units=fit_units(PICTURES.numpy()), class_names=["a", "b", "c"])
