"""Judges from outside: a support vector machine and a network, which know the true classes of other test pictures.

Neither the explained classifier, nor the manifold, nor the ensemble that checks ends has seen these pictures. The judges are
asked once, at the end.
"""

from __future__ import annotations

import numpy as np
import torch
from torch import nn

from envs.classifiers.networks import fit_classifier
from envs.manifolds.fitting import untrained

SEED = 90_210


class Judges:
    """Two judges of other kinds.

    Args:
        x: (N, H, W) pictures.
        truth: (N,) their classes.
        classes: K.
        epochs: of the network.

    Example:
        >>> x, truth = np.random.default_rng(0).random((40, 8, 8), np.float32), np.arange(40) % 2
        >>> sorted(Judges(x, truth, 2, epochs=1).sees(x[:3]))
        ['network', 'support vectors']
    """

    def __init__(self, x: np.ndarray, truth: np.ndarray, classes: int, epochs: int = 6) -> None:
        from sklearn.svm import SVC

        self.machine = SVC(C=10, gamma="scale").fit(x.reshape(len(x), -1), truth)
        self.network = fit_classifier(
            untrained(lambda: judging_network(classes), SEED), torch.from_numpy(x), torch.from_numpy(truth), epochs=epochs,
            learning_rate=3e-3, cosine=True, seed=SEED,
        )  # fmt: skip

    def sees(self, x: np.ndarray) -> dict[str, np.ndarray]:
        """judge -> (N,) predicted class."""
        with torch.inference_mode():
            found = self.network(torch.from_numpy(x)).argmax(1).numpy()
        return {"support vectors": self.machine.predict(x.reshape(len(x), -1)), "network": found}


def judging_network(classes: int) -> nn.Sequential:
    """Three convolutions with batch norm and GELU, pooled by means: an architecture that no part of the search has."""
    layers: list[nn.Module] = [nn.Unflatten(1, (1, -1))]
    for a, b, stride in ((1, 16, 2), (16, 32, 1), (32, 48, 2)):
        layers += [nn.Conv2d(a, b, 3, stride, 1), nn.BatchNorm2d(b), nn.GELU()]
    return nn.Sequential(*layers, nn.AdaptiveAvgPool2d(2), nn.Flatten(), nn.Linear(48 * 4, classes))
