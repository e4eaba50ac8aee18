"""Full covariance over the weights of the last layer, on features that the mean-field network has learned."""

from __future__ import annotations

import torch
from torch import Tensor

from vime.information_gain.linearized import Moments, hidden_features
from vime.posteriors.base import Architecture
from vime.posteriors.leverage import anchored_noise
from vime.posteriors.mean_field import MeanField

LEAST_NOISE = 1e-4
"""Floor of the noise variance that is estimated from residuals, in whitened units."""


class LastLayer(MeanField):
    """Bayesian linear regression on the last hidden layer, exact and online.

    The network below is :class:`MeanField`'s, with its weights at their means. After a fit the features have changed, and the
    regression is computed again from the whole pool. Between two fits every transition that is added updates it at once, so that
    nothing is new for longer than one step. With learned noise it is anchored, see
    :func:`vime.posteriors.leverage.anchored_noise`.

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

    def take_weights(self) -> None:
        """Copy the network's weights; the estimators with draws do not know this posterior."""
        super().take_weights()
        self.layers = None

    def refresh(self, inputs: Tensor, targets: Tensor) -> None:
        """Compute the regression on the pool anew."""
        noise = self._typical_noise(inputs)
        self.leverage.begin(self.bnn.prior_sd**2 / float(noise.mean()), noise)
        self.leverage.add(hidden_features(self.trunk, inputs), targets)

    def _typical_noise(self, inputs: Tensor) -> Tensor:
        """(D,) variances: the fixed one, or the geometric mean of the head's over the pool."""
        if self.head.fixed_sd is not None:
            return torch.full((self.head.targets,), self.head.fixed_sd**2)
        return self._learned_noise(inputs).log().mean(0).exp().clamp(min=LEAST_NOISE)

    def _learned_noise(self, inputs: Tensor) -> Tensor:
        outputs = hidden_features(self.trunk, inputs) @ self.trunk[-1].mean
        return (2.0 * self.head.split(outputs)[1]).exp()

    def absorb(self, inputs: Tensor, targets: Tensor) -> None:
        """Update the regression with new transitions."""
        self.leverage.add(hidden_features(self.trunk, inputs), targets)

    def moments(self, inputs: Tensor) -> Moments:
        """Of the regression."""
        features = hidden_features(self.trunk, inputs)
        leverage, typical = self.leverage(features), self.leverage.noise
        noise = typical.expand(len(inputs), -1)
        if self.head.fixed_sd is None:
            noise = anchored_noise(self._learned_noise(inputs), leverage, typical)
        return Moments(features @ self.leverage.mean, leverage.unsqueeze(1) * typical, noise)

    def features(self, inputs: Tensor) -> Tensor:
        """Inputs of the last layer under its posterior."""
        return self.leverage.whitened(hidden_features(self.trunk, inputs))
