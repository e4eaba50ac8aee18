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
from vime.errors import OptionError
from vime.pool import Transitions
from vime.serialization import State


class Ensemble(nn.Module):
    """E independent ReLU networks, computed as one batched product: (E, B, I) -> (E, B, D)."""

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
        """Map (E, B, I), or (1, B, I) to give all networks the same rows, to (E, B, D)."""
        hidden = inputs.expand(len(self.weights[0]), -1, -1)
        for k, (weight, bias) in enumerate(zip(self.weights, self.biases, strict=True)):
            hidden = torch.baddbmm(bias, hidden, weight)
            if k < len(self.weights) - 1:
                hidden = torch.relu(hidden)
        return hidden


class Disagreement(Bonus):
    """Variance of the predicted change over an ensemble, averaged over features, in squared standard deviations.

    All members learn the mean of a noise, so that noise loses its value. The score is a function of (obs, action) alone,
    but for ``first_changes``: a target that changes for the first time adds its squared change, as in
    :class:`vime.L2Error`.

    Reference: Pathak, Gandhi, Gupta, "Self-Supervised Exploration via Disagreement", 2019, eq. 1.

    Args:
        members: Number of networks, at least 2; each is trained on batches of its own.
        hidden: Hidden layers of each network.
        shared: Options of :class:`vime.Bonus`.

    Example:
        >>> import gymnasium as gym, numpy as np
        >>> import vime
        >>> env = gym.make("Pendulum-v1")
        >>> bonus = vime.make_bonus("disagreement", env.observation_space, env.action_space, min_pool=64, updates=5)
        >>> obs, act, nxt = (np.random.default_rng(0).normal(size=(64, k)) for k in (3, 1, 3))
        >>> bonus.add(obs, act, nxt)
        >>> figures = bonus.fit()
        >>> bonus.score(obs, act, nxt).shape
        torch.Size([64])
    """

    name: ClassVar[str] = "disagreement"
    score_name: ClassVar[str] = "ensemble_variance"
    units: ClassVar[str] = "squared deviations"
    score_options: ClassVar[tuple[str, ...]] = ("first_changes",)

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
            raise OptionError(f"members must be at least 2 to disagree, got {members}")
        self.members = members
        with self.random.as_global():
            self.ensemble = Ensemble(members, self.input_size, layer_sizes("hidden", hidden), self.target_size)
        self.trainer = Trainer(self.ensemble, self.learning_rate, "the disagreement bonus")

    def _score(self, batch: Transitions) -> Tensor:
        inputs, _ = self.whitened(batch)
        variance = self.ensemble(inputs.unsqueeze(0)).var(0, correction=0)
        varies = self.target_whitener.varies
        total = variance[:, varies].sum(1)
        if self.first_changes:  # no member can predict it
            total = total + self.target_whitener.first_changes(batch.target).square().sum(1)
        return total / max(int(varies.sum()), 1)

    def _fit(self, updates: int) -> dict[str, float]:
        held_out, varies = self.fresh(), self.target_whitener.varies
        with torch.no_grad():
            mean = self.ensemble(self.whitened(held_out)[0].unsqueeze(0)).mean(0)
            before = self.prediction_target.evaluate(held_out, mean, self.target_whitener)

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
