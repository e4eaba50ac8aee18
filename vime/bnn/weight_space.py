"""The same Bayesian network written the other way: weights as latent sites, with a hand-written normal guide.

It is the oracle that :class:`vime.bnn.dynamics.DynamicsBNN` is tested against, and what Pyro's own tools want
(``Predictive``, MCMC). Both functions read the network's present posterior; nothing is registered anywhere. Use
``TraceMeanField_ELBO``: with this guide its KL is analytic (it is not with AutoNormal, whose sites are Deltas).
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
    """Model and guide over weight matrices; sites "weights_0", ... (I + 1, O) and "target" (B, D).

    Both take (inputs (B, I), targets (B, D) or None, mask (D,) bool, population N), as the network itself does. One
    draw of the weights serves the whole batch.
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
