"""Disagreement of an ensemble of dynamics networks."""

from __future__ import annotations

import itertools
import math
from typing import Any, ClassVar

import torch
from gymnasium import spaces
from torch import Tensor, nn

from vime.arguments import layer_sizes
from vime.bonuses.base import Bonus
from vime.bonuses.deterministic import Trainer
from vime.serialization import State
from vime.pool import Transitions


class Ensemble(nn.Module):
    """E independent ReLU networks, run as one batched product: (E, B, I) -> (E, B, D)."""

    def __init__(self, members: int, inputs: int, hidden: tuple[int, ...], outputs: int):
        super().__init__()
        sizes = (inputs, *hidden, outputs)
        self.weights = nn.ParameterList()
        self.biases = nn.ParameterList()
        for a, b in itertools.pairwise(sizes):
            bound = 1.0 / math.sqrt(a)  # nn.Linear's own
            self.weights.append(torch.empty(members, a, b, dtype=torch.float32).uniform_(-bound, bound))
            self.biases.append(torch.empty(members, 1, b, dtype=torch.float32).uniform_(-bound, bound))

    def forward(self, inputs: Tensor) -> Tensor:
        """(E, B, I), or (1, B, I) for the same rows to all, -> (E, B, D)."""
        hidden = inputs.expand(len(self.weights[0]), -1, -1)
        for k, (weight, bias) in enumerate(zip(self.weights, self.biases, strict=True)):
            hidden = torch.baddbmm(bias, hidden, weight)
            if k < len(self.weights) - 1:
                hidden = torch.relu(hidden)
        return hidden


class Disagreement(Bonus):
    """Variance over the members of the predicted change, mean over its numbers, in squared deviations, >= 0.

    Reference: Pathak, Gandhi, Gupta, "Self-Supervised Exploration via Disagreement", 2019, eq. 1. All members agree on
    the mean of a noise, so that it stops being interesting.

    Parameters (beside those of :class:`vime.bonuses.base.Bonus`)
    ----------
    members: networks in the ensemble [5], each trained on batches of its own. hidden: their hidden layers.
    """

    name: ClassVar[str] = "disagreement"
    score_name: ClassVar[str] = "ensemble_variance"
    units: ClassVar[str] = "squared deviations"

    def __init__(
        self,
        observation_space: spaces.Space[Any],
        action_space: spaces.Space[Any],
        *,
        members: int = 5,
        hidden: tuple[int, ...] = (32, 32),
        **shared: Any,
    ):
        super().__init__(observation_space, action_space, **shared)
        if members < 2:
            raise ValueError(f"members must be at least 2 to disagree, got {members}")
        self.members = members
        with self.random.as_global():
            self.ensemble = Ensemble(members, self.input_size, layer_sizes("hidden", hidden), self.target_size)
        self.trainer = Trainer(self.ensemble, self.learning_rate, "the disagreement bonus")

    def _score(self, batch: Transitions) -> Tensor:
        inputs, _ = self.whitened(batch)
        variance = self.ensemble(inputs.unsqueeze(0)).var(0, correction=0)
        varies = self.target_whitener.varies
        return variance[:, varies].sum(1) / max(int(varies.sum()), 1)

    def _fit(self, updates: int) -> dict[str, float]:
        held_out, varies = self.fresh(), self.target_whitener.varies
        with torch.no_grad():
            mean = self.ensemble(self.whitened(held_out)[0].unsqueeze(0)).mean(0)
            before = self.seen.judge(held_out, mean, self.target_whitener)

        def loss() -> Tensor:
            count = min(self.batch_size, len(self.pool))
            inputs, targets = self.whitened(self.pool.sample(self.members * count, self.random.generator))
            errors = self.ensemble(inputs.view(self.members, count, -1)) - targets.view(self.members, count, -1)
            return errors[..., varies].square().sum((0, 2)).mean()

        return {"loss": self.trainer.run(updates, loss, self.check_loss), **before}

    def _model_state(self) -> State:
        return self.trainer.state()

    def _load_model_state(self, state: State) -> None:
        self.trainer.load(state)
