"""The Bayesian neural network that predicts the target of a transition: a Pyro program, trained by its ELBO.

The program, for a batch of B transitions from a pool of N:

    weights        w ~ N(0, prior_sd^2)            posterior q(w) = N(mean, softplus(rho)^2), independent weights
    prediction     m(x), s(x)                      network with ReLU, weights integrated out layer by layer [2]
    target         y_b ~ N(m(x_b), s(x_b)^2)       plate of N transitions, of which B are used: log-likelihood times N / B

    ELBO = N / B * sum_b log N(y_b; m, s^2) - KL[q(w) || p(w)]                                       [1] eq. 12

The KL is exact and counts once per pool, that is with weight B / N against the log-likelihood of the batch. The original code
divides it by 5 for any size of the pool, which keeps the posterior at the prior.

References:

[1] Houthooft et al., "VIME: Variational Information Maximizing Exploration", 2016, eq. 12 and section 2.5.
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

from vime.arguments import is_real, is_whole, positive_number, python_number
from vime.bnn.gaussian_weights import LayerWeights, kl_to_prior, sample_layer
from vime.errors import OptionError

LOG_SD_RANGE = (-4.0, 1.0)
"""Bounds of the heteroscedastic head's log standard deviation, in units of the whitened target."""


class Head(NamedTuple):
    """Maps the outputs of the network to a normal distribution over the target.

    Attributes:
        targets: D, the number of targets.
        fixed_sd: Standard deviation of the noise. None: it is learned, and the network has 2 D outputs: the means, then the
            raw values of the log standard deviations.
    """

    targets: int
    fixed_sd: float | None = None

    def split(self, outputs: Tensor) -> tuple[Tensor, Tensor]:
        """Split outputs (..., D) or (..., 2 D) into mean and log standard deviation, both (..., D)."""
        if self.fixed_sd is not None:
            return outputs, torch.full_like(outputs, math.log(self.fixed_sd))
        mean, raw = outputs.split(self.targets, dim=-1)
        low, high = LOG_SD_RANGE
        return mean, low + (high - low) * torch.sigmoid(raw)


class BayesianLinear(PyroModule):
    """Weights (I + 1, O) of one layer, the last row the bias: ``mean``, and ``scale`` = softplus(``scale_unconstrained``)."""

    mean: Tensor
    scale: Any  # a tensor when read: Pyro's descriptor applies the constraint
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
        """Return the layer's posterior, differentiable in its parameters."""
        # `self.scale` is the same, but Pyro's constraint registry takes a tenth of a training step.
        return LayerWeights(self.mean, torch.nn.functional.softplus(self.scale_unconstrained), self.bias)


class DynamicsBNN(PyroModule):
    """Pyro program of the dynamics p(y | x), with a mean-field normal posterior over its weights.

    The parameters are local to the module (Pyro's ``module_local_params``): two networks never share them, and Pyro's global
    parameter store is not changed. As any Pyro program, :meth:`forward` draws from torch's global generator; run it inside
    :meth:`vime.random_state.FencedRandom.as_global` to leave that generator unchanged.

    Args:
        inputs: I, the size of x. Inputs should be whitened.
        targets: D, the size of y. Targets should be whitened.
        hidden: Sizes of the hidden layers; () is Bayesian linear regression.
        prior_sd: Standard deviation of the weights' prior; [1] uses 0.5. Large: the network fits sharper functions, and
            unvisited regions have a larger gain. Too small: it underfits.
        init_sd: Standard deviation of the weights' posterior before any data. Small (0.05): it learns at once. As large as
            ``prior_sd``: the first predictions are noise, and it learns slowly.
        noise: "heteroscedastic": the noise of each target is learned as a function of x, so that unpredictable targets lose
            their gain. A positive number: this standard deviation everywhere, as in [1].
        bias: Whether layers have a bias.

    Raises:
        OptionError: An option has an invalid value.

    Example:
        >>> import torch
        >>> from pyro.infer import Trace_ELBO
        >>> from vime.bnn.dynamics import DynamicsBNN, empty_guide
        >>> bnn = DynamicsBNN(inputs=3, targets=2, hidden=(16,))
        >>> x, y, mask = torch.randn(8, 3), torch.randn(8, 2), torch.ones(2, dtype=torch.bool)
        >>> loss = Trace_ELBO().differentiable_loss(bnn, empty_guide, x, y, mask, 8)
        >>> loss.backward()
        >>> bnn.predict(x)[0].shape
        torch.Size([8, 2])
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
            raise OptionError(f"layer sizes must be whole numbers of at least 1, got {(inputs, *hidden, targets)}")
        noise = python_number(noise)
        if isinstance(noise, str):
            if noise != "heteroscedastic":
                raise OptionError(f'noise must be "heteroscedastic" or a positive number, got {noise!r}')
            fixed_sd = None
        else:
            if not (is_real(noise) and 0 < noise < math.inf):
                raise OptionError(f'noise must be "heteroscedastic" or a positive number, got {noise!r}')
            fixed_sd = float(noise)
        # Pyro reads the setting at construction and at each call; it is on only inside these blocks.
        with pyro.settings.context(module_local_params=True):
            super().__init__()
            self.prior_sd = prior_sd
            self.head = Head(targets, fixed_sd)
            sizes = (inputs, *hidden, targets if fixed_sd is not None else 2 * targets)
            layers = [BayesianLinear(a, b, init_sd, bias) for a, b in itertools.pairwise(sizes)]
            module_list: Any = PyroModule[nn.ModuleList]
            self.layers: Any = module_list(layers)

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        """Run :meth:`forward` with module-local parameters."""
        with pyro.settings.context(module_local_params=True):
            return super().__call__(*args, **kwargs)

    def posterior(self) -> list[LayerWeights]:
        """Return the weights of the layers, differentiable. For scores use :meth:`frozen_posterior`."""
        return [layer.weights() for layer in self.layers]

    def frozen_posterior(self) -> list[LayerWeights]:
        """Return a copy of the weights of the layers as plain tensors."""
        with torch.no_grad():
            return [LayerWeights(m.detach().clone(), s.detach().clone(), b) for m, s, b in self.posterior()]

    def predict(self, inputs: Tensor) -> tuple[Tensor, Tensor]:
        """Predict the target with one draw of the network per row.

        Args:
            inputs: (..., I).

        Returns:
            Mean and log standard deviation of the target, both (..., D).
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
        """Return KL[q(w) || p(w)] in nats, exact, as a scalar tensor."""
        return kl_to_prior(self.posterior(), self.prior_sd)

    def forward(self, inputs: Tensor, targets: Tensor, mask: Tensor, population: int) -> Tensor:
        """The Pyro model. Its guide is empty, because the weights are integrated out.

        The sites are "kl" (a factor of minus the KL) and "target", in the plate "transitions".

        Args:
            inputs: (B, I).
            targets: (B, D).
            mask: (D,) bool, which targets are in the loss.
            population: N >= B, the size of the pool.

        Returns:
            Predicted means (B, D).
        """
        layers = self.posterior()
        pyro.factor("kl", -kl_to_prior(layers, self.prior_sd))
        mean, log_sd = self.predict_with(layers, inputs)
        # An explicit subsample: Pyro would draw one from the global generator, and only its length matters.
        with pyro.plate("transitions", population, subsample=torch.arange(len(inputs)), dim=-1):
            pyro.sample("target", dist.Normal(mean, log_sd.exp()).mask(mask).to_event(1), obs=targets)
        return mean


def empty_guide(*_args: Any) -> None:
    """Guide of :class:`DynamicsBNN`, which has no latent sites."""
