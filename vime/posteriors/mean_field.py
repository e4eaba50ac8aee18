"""The mean-field posterior of a Pyro network, with all weights independent."""

from __future__ import annotations

import pyro.settings
import torch
from pyro.infer import Trace_ELBO
from torch import Tensor

from vime.bnn.dynamics import DynamicsBNN, empty_guide
from vime.bnn.gaussian_weights import LayerWeights
from vime.errors import OptionError
from vime.information_gain.linearized import Moments, hidden_features, mean_field_moments
from vime.posteriors.base import Architecture, Batches, Check, Posterior
from vime.posteriors.spectral_noise import SpectralNoise, Spectrum
from vime.serialization import State, expect_like, load_optimizer_state, nest, optimizer_state, part_of

UNCHECKED = {
    "validate_distributions_pyro": False,
    "validate_distributions_torch": False,
    "validate_infer": False,
    "validate_poutine": False,
}
"""Pyro's checks, off during a fit: they take a tenth of its time, and inputs and losses are checked here. Each setting is
restored by itself (``pyro.validation_enabled`` would overwrite the user's setting of torch)."""
NOISE_ROWS = 8192
"""Rows of the pool that an anchored noise is learned from."""


class MeanField(Posterior):
    """:class:`vime.DynamicsBNN`, trained by its evidence lower bound.

    Args:
        architecture: What it is made from.

    Example:
        >>> import torch
        >>> from vime.posteriors import MeanField
        >>> from vime.posteriors.base import Architecture
        >>> posterior = MeanField(Architecture(3, 2, (16,), 0.5, 0.05, 0.3, 1e-2, {}))
        >>> posterior.moments(torch.randn(5, 3)).mean.shape
        torch.Size([5, 2])
    """

    def __init__(self, architecture: Architecture) -> None:
        super().__init__(architecture)
        inputs, targets, hidden, prior_sd, init_sd, noise, learning_rate, _ = architecture
        if isinstance(noise, str) and noise not in ("heteroscedastic", "anchored"):
            raise OptionError(f'noise must be "heteroscedastic", "anchored" or a positive number, got {noise!r}')
        self.anchored = noise == "anchored"
        self.bnn = DynamicsBNN(
            inputs, targets, hidden=hidden, prior_sd=prior_sd, init_sd=init_sd,
            noise="heteroscedastic" if self.anchored else noise,
        )  # fmt: skip
        self.head = self.bnn.head
        self.optimizer = torch.optim.Adam(self.bnn.parameters(), lr=learning_rate, fused=True)
        self.trunk = self.bnn.frozen_posterior()
        self.layers = None if self.anchored else self.trunk
        self.reads_pool = self.anchored
        self.noise = SpectralNoise(Spectrum.draw(inputs), targets) if self.anchored else None

    def fit(self, batches: Batches, mask: Tensor, population: int, check: Check) -> dict[str, float]:
        """Take an Adam step on the negative ELBO of each batch."""
        elbo, loss = Trace_ELBO(), torch.zeros((), dtype=torch.float32)
        with pyro.settings.context(**UNCHECKED):
            for update, (inputs, targets) in enumerate(batches):
                # Divided by the size of the pool, so that steps do not grow with it.
                loss = elbo.differentiable_loss(self.bnn, empty_guide, inputs, targets, mask, population) / population
                check(loss, update)
                self.optimizer.zero_grad(set_to_none=True)
                loss.backward()
                self.optimizer.step()
        self.take_weights()
        with torch.no_grad():
            scales = torch.cat([k.scale.flatten() for k in self.trunk])
            return {
                "elbo": -float(loss.detach()),
                "kl_posterior_prior": float(self.bnn.kl_to_prior()),
                "sigma_ratio": float(scales.median()) / self.bnn.prior_sd,
            }

    def take_weights(self) -> None:
        """Copy the weights that scores use from the network."""
        self.trunk = self.bnn.frozen_posterior()
        self.layers = None if self.anchored else self.trunk

    def refresh(self, inputs: Tensor, targets: Tensor) -> None:
        """Learn the anchored noise, from at most :data:`NOISE_ROWS` rows spread over the pool."""
        if self.noise is None:
            return
        stride = -(-len(inputs) // NOISE_ROWS)
        rows = inputs[::stride]
        residuals = targets[::stride] - mean_field_moments(self.trunk, self.head, rows).mean
        self.noise.fit(rows, residuals, times=len(inputs) / len(rows))

    def moments(self, inputs: Tensor) -> Moments:
        """Linearised at the mean weights."""
        found = mean_field_moments(self.trunk, self.head, inputs)
        return found if self.noise is None else found._replace(noise=self.noise(inputs))

    def predicted(self, inputs: Tensor) -> Tensor:
        """By a draw of the network with scales of zero: normals are drawn, so that a seed gives the published numbers."""
        with torch.no_grad():
            means = [LayerWeights(k.mean, torch.zeros_like(k.scale), k.bias) for k in self.trunk]
            return self.bnn.predict_with(means, inputs)[0]

    def features(self, inputs: Tensor) -> Tensor:
        """Inputs of the last layer, scaled by the deviations of its weights."""
        targets = self.head.targets
        noise = self.moments(inputs).noise.mean()
        scale = self.trunk[-1].scale[:, :targets].square().mean(1).sqrt()
        return hidden_features(self.trunk, inputs) * scale / noise.sqrt()

    def state(self) -> State:
        """Weights, moments of the optimizer, and the anchor of the noise."""
        own = nest(bnn=self.bnn.state_dict(), optimizer=optimizer_state(self.optimizer))
        return own if self.noise is None else own | nest(spectral=self.noise.state())

    def load(self, state: State) -> None:
        """Inverse of :meth:`state`."""
        weights = part_of(state, "bnn")
        expect_like(weights, self.bnn.state_dict(), "the dynamics network")
        self.bnn.load_state_dict(weights)
        load_optimizer_state(self.optimizer, part_of(state, "optimizer", required=False), "the dynamics network")
        if self.noise is not None:
            self.noise.load(part_of(state, "spectral"))
        self.take_weights()
