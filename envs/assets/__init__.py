"""What ships for the registered ids: weights and start codes (safetensors), and how to load them.

`python -m envs.assets.make` makes the files again.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import torch
from safetensors.torch import load_file
from torch import Tensor

from envs.classifiers.networks import mlp_classifier
from envs.datasets.arrays import Data
from envs.manifolds.base import Manifold

HERE = Path(__file__).parent
DIGITS_CLASSIFIER = (64, 64, 10)


class Asset(NamedTuple):
    """Loaders of what belongs to a data set: `manifold()` gives (manifold, start codes); `classifier(data, seed)`."""

    manifold: Callable[[], tuple[Manifold, Tensor]]
    classifier: Callable[[Data, int], Any]


def _manifold(name: str) -> Callable[[], tuple[Manifold, Tensor]]:
    return lambda: (Manifold.load(HERE / name), load_file(HERE / name / "starts.safetensors")["z"])


def _digits_classifier(data: Data, seed: int) -> torch.nn.Module:
    with torch.random.fork_rng(devices=[]):  # the first weights are drawn, and then written over
        module = mlp_classifier(DIGITS_CLASSIFIER)
    module.load_state_dict(load_file(HERE / "digits" / "classifier.safetensors"))
    return module.eval().requires_grad_(False)


def _iris_classifier(data: Data, seed: int) -> Any:
    """A scikit-learn estimator, fitted in a moment: it cannot be shipped without pickle."""
    from sklearn.linear_model import LogisticRegression

    return LogisticRegression(max_iter=1000).fit(data.x, data.truth)


ASSETS: dict[str, Asset] = {
    "digits": Asset(_manifold("digits"), _digits_classifier),
    "iris": Asset(_manifold("iris"), _iris_classifier),
}
