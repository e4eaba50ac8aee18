"""Full covariance over a last layer on the features that the mean-field network has learned, and on spectral ones."""

from __future__ import annotations

import torch
from torch import Tensor

from vime.information_gain.linearized import Moments, hidden_features
from vime.posteriors.base import Architecture
from vime.posteriors.leverage import Leverage
from vime.posteriors.mean_field import MeanField
from vime.posteriors.spectral_noise import SpectralNoise, Spectrum
from vime.serialization import State, nest, part_of


class LastLayer(MeanField):
    """Bayesian linear regression on the last hidden layer, exact and online.

    The network below is :class:`MeanField`'s, with its weights at their means. Beside its features stand random Fourier
    features of the inputs, because a ReLU network's own do not tell near from far. After a fit the features have changed,
    and the regression is computed again from the whole pool. Between two fits every transition that is added updates it at
    once, so that nothing is new for longer than one step. Learned noise is always anchored here.

    Reference: Liu et al., "Simple and Principled Uncertainty Estimation with Deterministic Deep Learning via Distance
    Awareness", 2020 (the same last layer, without the learned features beside it).

    Args:
        architecture: What it is made from.

    Example:
        >>> import torch
        >>> from vime.posteriors import LastLayer
        >>> from vime.posteriors.base import Architecture
        >>> posterior = LastLayer(Architecture(3, 2, (16,), 0.5, 0.05, 0.3, 1e-2, {}))
        >>> x = torch.ones(5, 3)
        >>> posterior.refresh(torch.randn(50, 3), torch.randn(50, 2))
        >>> before = posterior.moments(x).epistemic
        >>> posterior.absorb(x, torch.zeros(5, 2))
        >>> bool((posterior.moments(x).epistemic < before).all())
        True
    """

    def __init__(self, architecture: Architecture) -> None:
        super().__init__(architecture)
        self.reads_pool = True
        self.spectrum = Spectrum.draw(architecture.inputs)
        if self.head.fixed_sd is None:
            self.noise = SpectralNoise(self.spectrum, architecture.targets)
        last = architecture.hidden[-1] if architecture.hidden else architecture.inputs
        self.leverage = Leverage(last + 1 + len(self.spectrum.phases), architecture.targets)
        self.layers = None

    def take_weights(self) -> None:
        """Copy the network's weights; the estimators with draws do not know this posterior."""
        super().take_weights()
        self.layers = None

    def refresh(self, inputs: Tensor, targets: Tensor) -> None:
        """Compute the regression on the pool anew, then the noise from its residuals."""
        basis = self._basis(inputs)
        typical = (
            self.leverage.noise if self.head.fixed_sd is None else torch.full_like(self.leverage.noise, self.head.fixed_sd**2)
        )
        self.leverage.begin(1.0 / float(typical.mean()), typical)
        self.leverage.add(basis, targets)
        if self.noise is not None:
            self.noise.fit(inputs, targets - basis @ self.leverage.mean)
            typical = self.noise(inputs).log().mean(0).exp()
            self.leverage.weigh(1.0 / float(typical.mean()), typical)

    def absorb(self, inputs: Tensor, targets: Tensor) -> None:
        """Update the regression with new transitions."""
        self.leverage.add(self._basis(inputs), targets)

    def _basis(self, inputs: Tensor) -> Tensor:
        """(B, k): the learned features, at the weights' prior deviation, beside the spectral ones."""
        return torch.cat([self.bnn.prior_sd * hidden_features(self.trunk, inputs), self.spectrum(inputs)], dim=1)

    def moments(self, inputs: Tensor) -> Moments:
        """Of the regression."""
        basis, typical = self._basis(inputs), self.leverage.noise
        epistemic = self.leverage(basis).unsqueeze(1) * typical
        noise = typical.expand_as(epistemic) if self.noise is None else self.noise(inputs)
        return Moments(basis @ self.leverage.mean, epistemic, noise)

    def predicted(self, inputs: Tensor) -> Tensor:
        """Of the regression."""
        return self.moments(inputs).mean

    def features(self, inputs: Tensor) -> Tensor:
        """The basis under its posterior."""
        return self.leverage.whitened(self._basis(inputs))

    def state(self) -> State:
        """The network's state, the spectral features and the regression."""
        return super().state() | nest(spectrum=self.spectrum._asdict(), leverage=self.leverage.state())

    def load(self, state: State) -> None:
        """Inverse of :meth:`state`."""
        super().load(state)
        self.spectrum = Spectrum(**{name: value.float().clone() for name, value in part_of(state, "spectrum").items()})
        self.leverage.load(part_of(state, "leverage"))
