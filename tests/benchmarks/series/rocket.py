"""The oracle of series: random convolutions and a linear classifier, another kind of model than the explained network.

Source: Dempster, Petitjean and Webb, "ROCKET: Exceptionally Fast and Accurate Time Series Classification Using Random
Convolutional Kernels", Data Mining and Knowledge Discovery, 2020.
"""

from __future__ import annotations

import numpy as np
import torch
from sklearn.linear_model import RidgeClassifierCV
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from torch import Tensor

KERNELS = 1000
LENGTHS = (7, 9, 11)


class Rocket:
    """ROCKET of flat series of one channel.

    Args:
        x: (N, T) series.
        y: (N,) classes.
        seed: of the kernels.

    Example:
        >>> x = np.random.default_rng(0).standard_normal((20, 24)).cumsum(1)
        >>> Rocket(x, np.arange(20) % 2, seed=0).predict(x).shape
        (20,)
    """

    def __init__(self, x: np.ndarray, y: np.ndarray, seed: int) -> None:
        rng = np.random.default_rng(seed)
        self.kernels = []
        for _ in range(KERNELS):
            length = int(rng.choice(LENGTHS))
            length = min(length, x.shape[1] - 1)
            weights = rng.standard_normal(length)
            dilation = int(2 ** rng.uniform(0, np.log2(max(1.0001, (x.shape[1] - 1) / (length - 1)))))
            padding = (length - 1) * dilation // 2 if rng.random() < 0.5 else 0
            self.kernels.append((weights - weights.mean(), float(rng.uniform(-1, 1)), dilation, padding))
        self.model = make_pipeline(StandardScaler(), RidgeClassifierCV(np.logspace(-3, 3, 10))).fit(self.features(x), y)

    def features(self, x: np.ndarray) -> np.ndarray:
        """(N, 2 KERNELS) largest value and share of positive values of each convolution."""
        rows: Tensor = torch.from_numpy(np.asarray(x, dtype=np.float32))[:, None]
        out = []
        for weights, bias, dilation, padding in self.kernels:
            kernel = torch.from_numpy(weights.astype(np.float32))[None, None]
            found = torch.nn.functional.conv1d(rows, kernel, torch.tensor([bias]), dilation=dilation, padding=padding)[:, 0]
            out += [found.amax(1), (found > 0).float().mean(1)]
        return torch.stack(out, 1).numpy()

    def predict(self, x: np.ndarray) -> np.ndarray:
        """Classes (N,) of series (N, T)."""
        return np.asarray(self.model.predict(self.features(x)))
