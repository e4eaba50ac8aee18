"""The network with its weights as Pyro sample sites, under any of Pyro's guides."""

from __future__ import annotations

from typing import Any

import pyro.settings
import torch
from pyro import poutine
from pyro.infer import Trace_ELBO, autoguide
from torch import Tensor

from vime.arguments import whole_number
from vime.bnn.dynamics import DynamicsBNN
from vime.bnn.weight_space import weight_space_program
from vime.errors import OptionError, OptionTypeError
from vime.information_gain.linearized import Moments
from vime.posteriors.base import Architecture, Batches, Check, Posterior, cautious_noise, deviations_as_features, no_anchor
from vime.posteriors.mean_field import UNCHECKED
from vime.serialization import State, expect_like, load_optimizer_state, nest, optimizer_state, part_of

GUIDES = ("AutoNormal", "AutoDiagonalNormal", "AutoLowRankMultivariateNormal", "AutoMultivariateNormal")


class WeightSites(Posterior):
    """Posterior over weight matrices by stochastic variational inference, with a guide of :mod:`pyro.infer.autoguide`.

    The epistemic variance of a prediction is its variance over draws of the weights, which are the same for all transitions
    between two fits. AutoMultivariateNormal has the square of the number of weights as parameters: for small networks only.

    Args:
        architecture: What it is made from. ``options["guide"]`` is a name in :data:`GUIDES` or a subclass of Pyro's AutoGuide;
            ``options["weight_draws"]`` the number of draws, 32 by default.

    Example:
        >>> import torch
        >>> from vime.posteriors import WeightSites
        >>> from vime.posteriors.base import Architecture
        >>> posterior = WeightSites(Architecture(3, 2, (8,), 0.5, 0.05, 0.3, 1e-2, {"guide": "AutoLowRankMultivariateNormal"}))
        >>> posterior.moments(torch.randn(5, 3)).epistemic.shape
        torch.Size([5, 2])
    """

    own_options = ("guide", "weight_draws")

    def __init__(self, architecture: Architecture) -> None:
        super().__init__(architecture)
        inputs, targets, hidden, prior_sd, init_sd, noise, learning_rate, options = architecture
        no_anchor(type(self), noise)
        self.draws = whole_number("weight_draws", options.get("weight_draws", 32), least=2)
        start = DynamicsBNN(inputs, targets, hidden=hidden, prior_sd=prior_sd, init_sd=init_sd, noise=noise)
        self.head, self.shapes = start.head, start.frozen_posterior()
        self.model = weight_space_program(start)[0]
        values = {f"weights_{k}": layer.mean for k, layer in enumerate(self.shapes)}
        with pyro.settings.context(module_local_params=True):
            self.guide = _guide_class(options.get("guide", "AutoNormal"))(
                self.model, init_scale=init_sd, init_loc_fn=autoguide.init_to_value(values=values)
            )
            rows = torch.zeros(1, inputs + targets, dtype=torch.float32)
            self.guide(rows[:, :inputs], rows[:, inputs:], torch.ones(targets, dtype=torch.bool), 1)
        self.optimizer = torch.optim.Adam(self.guide.parameters(), lr=learning_rate, fused=True)
        self.weights: list[Tensor] = []
        self._draw()

    def fit(self, batches: Batches, mask: Tensor, population: int, check: Check) -> dict[str, float]:
        """Take an Adam step on the negative ELBO of each batch."""
        loss = torch.zeros(())
        with pyro.settings.context(module_local_params=True, **UNCHECKED):
            elbo = Trace_ELBO()
            for update, (inputs, targets) in enumerate(batches):
                loss = elbo.differentiable_loss(self.model, self.guide, inputs, targets, mask, population) / population
                check(loss, update)
                self.optimizer.zero_grad(set_to_none=True)
                loss.backward()
                self.optimizer.step()
            self._draw()
        return {"elbo": -float(loss.detach())}

    def _draw(self) -> None:
        """Draw the weights that scores use until the next fit, (S, I + 1, O) for each layer."""
        with torch.no_grad(), pyro.settings.context(module_local_params=True):
            traces = [poutine.trace(self.guide).get_trace() for _ in range(self.draws)]
        self.weights = [
            torch.stack([trace.nodes[f"weights_{k}"]["value"].detach() for trace in traces]) for k in range(len(self.shapes))
        ]

    def _predictions(self, inputs: Tensor) -> tuple[Tensor, Tensor]:
        """Means and log standard deviations (S, B, D) under each draw of the weights."""
        hidden = inputs.expand(self.draws, -1, -1)
        for k, (weights, layer) in enumerate(zip(self.weights, self.shapes, strict=True)):
            if layer.bias:
                hidden = torch.baddbmm(weights[:, -1:], hidden, weights[:, :-1])
            else:
                hidden = hidden @ weights
            if k < len(self.weights) - 1:
                hidden = torch.relu(hidden)
        return self.head.split(hidden)

    def moments(self, inputs: Tensor) -> Moments:
        """Mean and variance over the draws, and their cautious noise."""
        mean, log_sd = self._predictions(inputs)
        return Moments(mean.mean(0), mean.var(0), cautious_noise(log_sd))

    def features(self, inputs: Tensor) -> Tensor:
        """Deviations of the draws."""
        mean, log_sd = self._predictions(inputs)
        return deviations_as_features(mean, cautious_noise(log_sd))

    def state(self) -> State:
        """Parameters of the guide, moments of the optimizer, and the draws."""
        draws = {str(k): weights for k, weights in enumerate(self.weights)}
        return nest(guide=self.guide.state_dict(), optimizer=optimizer_state(self.optimizer), draws=draws)

    def load(self, state: State) -> None:
        """Inverse of :meth:`state`."""
        saved, draws = part_of(state, "guide"), part_of(state, "draws")
        expect_like(saved, self.guide.state_dict(), "the guide")
        expect_like(draws, {str(k): weights for k, weights in enumerate(self.weights)}, "the draws of the weights")
        self.guide.load_state_dict(saved)
        load_optimizer_state(self.optimizer, part_of(state, "optimizer", required=False), "the guide")
        self.weights = [draws[str(k)].to(torch.float32, copy=True) for k in range(len(self.weights))]


def _guide_class(guide: Any) -> Any:
    """Return the class of a guide, by name or as it is."""
    if isinstance(guide, str):
        if guide not in GUIDES:
            raise OptionError(f"guide must be one of {', '.join(GUIDES)}, or a subclass of pyro's AutoGuide, got {guide!r}")
        return getattr(autoguide, guide)
    if not (isinstance(guide, type) and issubclass(guide, autoguide.AutoGuide)):
        raise OptionTypeError(f"guide must be the name of a guide or a subclass of pyro's AutoGuide, got {guide!r}")
    return guide
