"""A learned noise that does not extrapolate: regression of log squared residuals on spectral features.

With residuals r of a target, ln r^2 + 1.27 is an unbiased estimate of the log noise variance (the mean of ln chi^2_1 is
-1.27, its variance 4.93). It is regressed on random Fourier features, around the typical log variance, by Bayesian linear
regression:

    ln v_d(x) = ln v_d + phi(x)^T u_d,        u_d ~ N(0, 4 I)

Where there are data, this is the noise that was observed there; elsewhere the kernel is 0 and the noise is the typical one.
A network's own noise head extrapolates: in a deterministic world it states large noise exactly where nothing was seen,
which hides what is new.

Reference: Goldberg, Williams, Bishop, "Regression with Input-dependent Noise: A Gaussian Process Treatment", 1998.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import NamedTuple

import torch
from torch import Tensor

from vime.posteriors.leverage import Leverage
from vime.serialization import State, expect_like, nest, part_of

LOG_CHI_MEAN, LOG_CHI_VARIANCE = -1.2704, 4.9348
"""Mean and variance of ln z^2 for a standard normal z."""
PRIOR = 4.0
"""Prior variance of a log variance."""
LEAST = 1e-2
"""Floor of a noise variance, in whitened units: a tenth of a standard deviation is the resolution of a prediction. Without a
floor a deterministic world has gains of thousands of nats, which are decided by what a small network cannot fit."""


class Spectrum(NamedTuple):
    """Random Fourier features: inner products of features are a Gaussian kernel of the inputs, 1 at distance 0.

    Reference: Rahimi and Recht, "Random Features for Large-Scale Kernel Machines", 2007.

    Attributes:
        frequencies: (I, k).
        phases: (k,).
    """

    frequencies: Tensor
    phases: Tensor

    @classmethod
    def draw(cls, inputs: int, features: int = 128, length: float = 0.5) -> Spectrum:
        """Draw from torch's global generator; the kernel's length scale is ``length`` sqrt(I), in whitened units."""
        frequencies = torch.randn(inputs, features, dtype=torch.float32) / (length * math.sqrt(inputs))
        return cls(frequencies, 2.0 * math.pi * torch.rand(features, dtype=torch.float32))

    def __call__(self, inputs: Tensor) -> Tensor:
        """Map inputs (B, I) to features (B, k)."""
        return torch.cos(inputs @ self.frequencies + self.phases) * math.sqrt(2.0 / len(self.phases))


class SpectralNoise:
    """Noise variances (B, D) as a function of features of the inputs.

    Args:
        spectrum: The features.
        targets: D.

    Example:
        >>> import torch
        >>> from vime.posteriors.spectral_noise import SpectralNoise, Spectrum
        >>> generator = torch.manual_seed(0)
        >>> x = torch.randn(4000, 1)
        >>> noise = SpectralNoise(Spectrum.draw(1), targets=1)
        >>> noise.fit(x, torch.randn(4000, 1) * torch.where(x > 0, 1.0, 0.1))
        >>> [round(float(v), 1) for v in noise(torch.tensor([[-1.0], [1.0]]))[:, 0].sqrt()]
        [0.1, 0.9]
    """

    def __init__(self, spectrum: Spectrum, targets: int) -> None:
        self.spectrum = spectrum
        self.regression = Leverage(len(spectrum.phases), targets)
        self.typical = torch.zeros(targets, dtype=torch.float32)

    def fit(self, inputs: Tensor, residuals: Tensor, times: float = 1.0) -> None:
        """Learn anew from inputs (N, I) and residuals (N, D), each counted ``times`` times."""
        logs = residuals.square().clamp(min=1e-3 * LEAST).log() - LOG_CHI_MEAN
        self.typical = logs.mean(0)
        self.regression.begin(PRIOR / LOG_CHI_VARIANCE, self.regression.noise)
        self.regression.add(self.spectrum(inputs), logs - self.typical, times)

    def __call__(self, inputs: Tensor) -> Tensor:
        """Return variances (B, D) for inputs (B, I)."""
        return (self.typical + self.spectrum(inputs) @ self.regression.mean).exp().clamp(min=LEAST)

    def state(self) -> State:
        """Features and regression."""
        return nest(spectrum=self.spectrum._asdict(), regression=self.regression.state(), typical={"log": self.typical})

    def load(self, state: Mapping[str, Tensor]) -> None:
        """Inverse of :meth:`state`; raises StateMismatchError for other shapes."""
        expect_like(state, self.state(), "the spectral noise")
        spectrum = part_of(state, "spectrum")
        self.spectrum = Spectrum(**{name: value.float().clone() for name, value in spectrum.items()})
        self.regression.load(part_of(state, "regression"))
        self.typical = state["typical.log"].float().clone()
