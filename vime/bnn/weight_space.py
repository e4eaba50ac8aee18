"""The Bayesian network with its weights as Pyro sample sites, and a mean-field normal guide.

Pyro's own tools (``Predictive``, MCMC) need this form, and :class:`vime.DynamicsBNN`, which integrates the weights out, is
tested against it. Both functions read the network's present posterior and register nothing. Use ``TraceMeanField_ELBO``: with
this guide its KL is analytic (with AutoNormal it is not, because its sites are Deltas).
"""

from __future__ import annotations

from collections.abc import Callable

import pyro
import pyro.distributions as dist
import torch
from torch import Tensor

from vime.bnn.dynamics import DynamicsBNN
from vime.bnn.gaussian_weights import affine

Program = Callable[[Tensor, Tensor | None, Tensor, int], Tensor | None]


def weight_space_program(bnn: DynamicsBNN) -> tuple[Program, Program]:
    """Return a Pyro model and guide over the weight matrices of ``bnn``.

    Both are functions of inputs (B, I), targets (B, D) or None, mask (D,) bool, and the population N, as the network itself
    is. One draw of the weights serves the whole batch. The sites are "weights_0", ... (I + 1, O) and "target" (B, D).

    Example:
        >>> import pyro, torch
        >>> from vime import DynamicsBNN
        >>> from vime.bnn.weight_space import weight_space_program
        >>> model, guide = weight_space_program(DynamicsBNN(inputs=3, targets=2, hidden=(8,)))
        >>> mask = torch.ones(2, dtype=torch.bool)
        >>> trace = pyro.poutine.trace(model).get_trace(torch.zeros(5, 3), None, mask, 5)
        >>> trace.nodes["weights_0"]["value"].shape, trace.nodes["target"]["value"].shape
        (torch.Size([4, 8]), torch.Size([5, 2]))
    """
    layers = bnn.frozen_posterior()

    def model(inputs: Tensor, targets: Tensor | None, mask: Tensor, population: int) -> Tensor:
        hidden = inputs
        for k, layer in enumerate(layers):
            prior = dist.Normal(torch.zeros_like(layer.mean), bnn.prior_sd).to_event(2)
            hidden = affine(hidden, pyro.sample(f"weights_{k}", prior), layer.bias)
            if k < len(layers) - 1:
                hidden = torch.relu(hidden)
        mean, log_sd = bnn.head.split(hidden)
        with pyro.plate("transitions", population, subsample=torch.arange(len(inputs)), dim=-1):
            noise = dist.Normal(mean, log_sd.exp()).mask(mask).to_event(1)
            drawn: Tensor = pyro.sample("target", noise, obs=targets)
        return drawn

    def guide(inputs: Tensor, targets: Tensor | None, mask: Tensor, population: int) -> None:
        for k, layer in enumerate(layers):
            pyro.sample(f"weights_{k}", dist.Normal(layer.mean, layer.scale).to_event(2))

    return model, guide
