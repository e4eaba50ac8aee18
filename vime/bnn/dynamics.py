"""The Bayesian neural network that predicts what the next observation holds: a Pyro program, trained by its ELBO.

The program, for a batch of B transitions out of a pool of N:

    weights        w ~ N(0, prior_sd^2)            posterior q(w) = N(mean, softplus(rho)^2), independent weights
    prediction     m(x), s(x)                      network with ReLU, weights integrated out layer by layer [2]
    target         y_b ~ N(m(x_b), s(x_b)^2)       plate of N transitions, B of them seen: log-likelihood times N / B

    ELBO = N / B * sum_b log N(y_b; m, s^2) - KL[q(w) || p(w)]

The KL is exact and enters once per pool, that is with weight B / N against the batch's own log-likelihood; the original
code divides it by 5 whatever the pool's size, which leaves the posterior on the prior and learns nothing.

References
----------
[1] Houthooft et al., "VIME", 2016, eq. 12 and section 2.5.
[2] Kingma, Salimans, Welling, "Variational Dropout and the Local Reparameterization Trick", 2015, section 2.2.
[3] Nix and Weigend, "Estimating the mean and variance of the target probability distribution", 1994 (the head).
"""

from __future__ import annotations

import itertools
import math
from typing import Any, NamedTuple

import pyro
import pyro.distributions as dist
import pyro.settings
import torch
from pyro.distributions.constraints import softplus_positive
from pyro.nn import PyroModule, PyroParam
from torch import Tensor, nn

from vime.arguments import is_real, is_whole, positive_number
from vime.bnn.gaussian_weights import LayerWeights, kl_to_prior, sample_layer

LOG_SD_RANGE = (-4.0, 1.0)
"""Bounds of the heteroscedastic head's log standard deviation, in units of the whitened target."""


class Head(NamedTuple):
    """How the network's last outputs become a normal over the target.

    targets: D, how many numbers are predicted. fixed_sd: the noise's standard deviation where it is given; None: the
    network has 2 D outputs, the means and then the raw values of the log standard deviations.
    """

    targets: int
    fixed_sd: float | None = None

    def split(self, outputs: Tensor) -> tuple[Tensor, Tensor]:
        """Outputs (..., D) or (..., 2 D) -> mean and log standard deviation, both (..., D)."""
        if self.fixed_sd is not None:
            return outputs, torch.full_like(outputs, math.log(self.fixed_sd))
        mean, raw = outputs.split(self.targets, dim=-1)
        low, high = LOG_SD_RANGE
        return mean, low + (high - low) * torch.sigmoid(raw)


class BayesianLinear(PyroModule):
    """One layer's weights (I + 1, O), the last row the bias.

    ``mean``, and ``scale`` = softplus(``scale_unconstrained``).
    """

    mean: Tensor
    scale: Any  # a tensor when it is read: Pyro's descriptor constrains it
    scale_unconstrained: Tensor

    def __init__(self, inputs: int, outputs: int, initial_scale: float, bias: bool):
        super().__init__()
        rows = inputs + 1 if bias else inputs
        mean = torch.randn(rows, outputs, dtype=torch.float32) / math.sqrt(inputs)
        if bias:
            mean[-1] = 0.0
        self.bias = bias
        self.mean = nn.Parameter(mean)
        scale = torch.full((rows, outputs), initial_scale, dtype=torch.float32)
        self.scale = PyroParam(scale, constraint=softplus_positive)

    def weights(self) -> LayerWeights:
        """The layer's posterior, differentiable in its parameters."""
        # `self.scale` says the same by way of Pyro's constraint registry, which takes a tenth of a whole training step.
        return LayerWeights(self.mean, torch.nn.functional.softplus(self.scale_unconstrained), self.bias)


class DynamicsBNN(PyroModule):
    """Pyro program of the dynamics p(y | x), with a mean-field normal posterior over its weights.

    Its parameters are its own (Pyro's ``module_local_params``): two networks never share them and the global parameter
    store stays as it is. Like any Pyro program, :meth:`forward` draws from torch's global generator; run it
    inside :meth:`vime.random_state.FencedRandom.as_global`.

    Parameters
    ----------
    inputs, targets: I and D, the sizes of x and y. Both should be of order one (whitened).
    hidden: sizes of the hidden layers; () makes a Bayesian linear regression.
    prior_sd: standard deviation of the weights' prior, [1] uses 0.5. Larger: the network fits sharper functions and
        unseen regions are worth more; too small: it underfits.
    init_sd: standard deviation of the weights' posterior before any data. Small (0.05): learns at once; at ``prior_sd``
        the first predictions are noise and learning is slow.
    noise: "heteroscedastic": the noise of each target is learned as a function of x, so that what is unpredictable
        stops being interesting. A positive number: that standard deviation everywhere, as in [1].
    bias: whether layers have one.
    """

    def __init__(
        self,
        inputs: int,
        targets: int,
        *,
        hidden: tuple[int, ...] = (32, 32),
        prior_sd: float = 0.5,
        init_sd: float = 0.05,
        noise: str | float = "heteroscedastic",
        bias: bool = True,
    ):
        prior_sd, init_sd = positive_number("prior_sd", prior_sd), positive_number("init_sd", init_sd)
        if any(not is_whole(size) or size < 1 for size in (inputs, targets, *hidden)):
            raise ValueError(f"layer sizes must be whole numbers of at least 1, got {(inputs, *hidden, targets)}")
        if isinstance(noise, str):
            if noise != "heteroscedastic":
                raise ValueError(f'noise must be "heteroscedastic" or a positive number, got {noise!r}')
            fixed_sd = None
        else:
            if not (is_real(noise) and 0 < noise < math.inf):
                raise ValueError(f'noise must be "heteroscedastic" or a positive number, got {noise!r}')
            fixed_sd = float(noise)
        # The setting is read at construction and at each call; it is on only inside these blocks.
        with pyro.settings.context(module_local_params=True):
            super().__init__()
            self.prior_sd = prior_sd
            self.head = Head(targets, fixed_sd)
            sizes = (inputs, *hidden, targets if fixed_sd is not None else 2 * targets)
            layers = [BayesianLinear(a, b, init_sd, bias) for a, b in itertools.pairwise(sizes)]
            module_list: Any = PyroModule[nn.ModuleList]
            self.layers: Any = module_list(layers)

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        """Run the program with module-local parameters."""
        with pyro.settings.context(module_local_params=True):
            return super().__call__(*args, **kwargs)

    def posterior(self) -> list[LayerWeights]:
        """The layers' weights, differentiable; detach them with :meth:`frozen_posterior` to score."""
        return [layer.weights() for layer in self.layers]

    def frozen_posterior(self) -> list[LayerWeights]:
        """The layers' weights as plain tensors that share nothing with the graph."""
        with torch.no_grad():
            return [LayerWeights(m.detach().clone(), s.detach().clone(), b) for m, s, b in self.posterior()]

    def predict(self, inputs: Tensor) -> tuple[Tensor, Tensor]:
        """One draw of the network per row.

        Mean and log standard deviation of the target, both (..., D), for (..., I).
        """
        return self.predict_with(self.posterior(), inputs)

    def predict_with(self, layers: list[LayerWeights], inputs: Tensor) -> tuple[Tensor, Tensor]:
        """:meth:`predict` under given layers, for example with their scales set to zero."""
        hidden = inputs
        for k, layer in enumerate(layers):
            # One independent normal per row and unit, never shared by the batch.
            noise = torch.randn(*hidden.shape[:-1], layer.mean.shape[-1], dtype=hidden.dtype)
            hidden = sample_layer(layer, hidden, noise)
            if k < len(layers) - 1:
                hidden = torch.relu(hidden)
        return self.head.split(hidden)

    def kl_to_prior(self) -> Tensor:
        """KL[q(w) || p(w)] in nats, exact, a scalar tensor."""
        return kl_to_prior(self.posterior(), self.prior_sd)

    def forward(self, inputs: Tensor, targets: Tensor, mask: Tensor, population: int) -> Tensor:
        """The Pyro model; its guide is empty, because the weights are integrated out inside.

        inputs (B, I), targets (B, D), mask (D,) bool: which targets count, population N >= B: the pool's size. Returns
        the predicted means (B, D). Sites: "kl" (factor of minus the KL) and "target" in the plate "transitions".
        """
        layers = self.posterior()
        pyro.factor("kl", -kl_to_prior(layers, self.prior_sd))
        mean, log_sd = self.predict_with(layers, inputs)
        # The subsample is named explicitly: Pyro would draw it from the global generator, and only its length matters.
        with pyro.plate("transitions", population, subsample=torch.arange(len(inputs)), dim=-1):
            pyro.sample("target", dist.Normal(mean, log_sd.exp()).mask(mask).to_event(1), obs=targets)
        return mean


def empty_guide(*_args: Any) -> None:
    """Guide of :class:`DynamicsBNN`: it has no latent site left to guide."""
