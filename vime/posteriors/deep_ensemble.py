"""A deep ensemble: networks that differ in their first weights and in the weights of the rows; disagreement in nats."""

from __future__ import annotations

import torch
from torch import Tensor

from vime.arguments import whole_number
from vime.bnn.dynamics import Head
from vime.bonuses.deterministic import Trainer
from vime.bonuses.disagreement import Ensemble
from vime.information_gain.linearized import Moments
from vime.posteriors.base import (
    Architecture,
    Batches,
    Check,
    Posterior,
    cautious_noise,
    deviations_as_features,
    fixed_sd,
    no_anchor,
)
from vime.serialization import State


class DeepEnsemble(Posterior):
    """Members that each state a mean and a noise; their variance is the epistemic one.

    Reference: Lakshminarayanan, Pritzel, Blundell, "Simple and Scalable Predictive Uncertainty Estimation using Deep
    Ensembles", 2017.

    Args:
        architecture: What it is made from; ``options["members"]`` is the number of networks, 5 by default.

    Example:
        >>> import torch
        >>> from vime.posteriors import DeepEnsemble
        >>> from vime.posteriors.base import Architecture
        >>> posterior = DeepEnsemble(Architecture(3, 2, (16,), 0.5, 0.05, "heteroscedastic", 1e-2, {"members": 3}))
        >>> posterior.moments(torch.randn(5, 3)).epistemic.shape
        torch.Size([5, 2])
    """

    own_options = ("members",)

    def __init__(self, architecture: Architecture) -> None:
        super().__init__(architecture)
        no_anchor(type(self), architecture.noise)
        self.members = whole_number("members", architecture.options.get("members", 5), least=2)
        self.head = Head(architecture.targets, fixed_sd(architecture.noise))
        outputs = architecture.targets * (1 if self.head.fixed_sd is not None else 2)
        self.ensemble = Ensemble(self.members, architecture.inputs, architecture.hidden, outputs)
        self.trainer = Trainer(self.ensemble, architecture.learning_rate, "the ensemble")

    def fit(self, batches: Batches, mask: Tensor, population: int, check: Check) -> dict[str, float]:
        """Take an Adam step of every member on the negative log-likelihood; each weights the rows at random (bootstrap)."""
        loss = torch.zeros(())
        for update, (inputs, targets) in enumerate(batches):
            mean, log_sd = self.head.split(self.ensemble(inputs.unsqueeze(0)))
            cost = 0.5 * ((targets - mean) * torch.exp(-log_sd)).square() + log_sd
            times = torch.empty(self.members, len(inputs), 1, dtype=torch.float32).exponential_()  # Bayesian bootstrap
            loss = (cost * mask * times).sum((0, 2)).mean()
            self.trainer.step(loss, update, check)
        return {"loss": float(loss.detach())}

    def moments(self, inputs: Tensor) -> Moments:
        """Mean and variance over members, and their cautious noise."""
        with torch.no_grad():
            mean, log_sd = self.head.split(self.ensemble(inputs.unsqueeze(0)))
        return Moments(mean.mean(0), mean.var(0), cautious_noise(log_sd))

    def features(self, inputs: Tensor) -> Tensor:
        """Deviations of the members."""
        with torch.no_grad():
            mean, log_sd = self.head.split(self.ensemble(inputs.unsqueeze(0)))
        return deviations_as_features(mean, cautious_noise(log_sd))

    def state(self) -> State:
        """Weights and moments of the optimizer."""
        return self.trainer.state()

    def load(self, state: State) -> None:
        """Inverse of :meth:`state`."""
        self.trainer.load(state)
