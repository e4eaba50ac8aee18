"""Prediction error of a deterministic dynamics network."""

from __future__ import annotations

from typing import Any, ClassVar

import torch
from gymnasium import spaces
from torch import Tensor

from vime.arguments import layer_sizes
from vime.bonuses.base import Bonus
from vime.bonuses.deterministic import Trainer, network
from vime.pool import Transitions
from vime.serialization import State


class L2Error(Bonus):
    """Mean squared error of the predicted change, in squared standard deviations of the whitened target.

    Noise never loses its value: what cannot be predicted is worth its variance for ever.

    Reference: the baseline of Houthooft et al., "VIME", 2016, section 3, after Stadie, Levine, Abbeel, "Incentivizing
    Exploration in Reinforcement Learning with Deep Predictive Models", 2015.

    Args:
        hidden: Hidden layers of the network.
        shared: Options of :class:`vime.Bonus`.

    Example:
        >>> import gymnasium as gym, numpy as np
        >>> import vime
        >>> env = gym.make("Pendulum-v1")
        >>> bonus = vime.make_bonus("l2", env.observation_space, env.action_space, min_pool=64, updates=5)
        >>> obs, act, nxt = (np.random.default_rng(0).normal(size=(64, k)) for k in (3, 1, 3))
        >>> bonus.add(obs, act, nxt)
        >>> figures = bonus.fit()
        >>> bool(bonus.score(obs, act, nxt + 9).mean() > bonus.score(obs, act, nxt).mean())
        True
    """

    name: ClassVar[str] = "l2"
    score_name: ClassVar[str] = "squared_error"
    units: ClassVar[str] = "squared deviations"
    score_options: ClassVar[tuple[str, ...]] = ("first_changes",)

    def __init__(
        self,
        observation_space: spaces.Space[Any],
        action_space: spaces.Space[Any],
        *,
        hidden: tuple[int, ...] = (32, 32),
        **shared: Any,
    ):
        super().__init__(observation_space, action_space, **shared)
        with self.random.as_global():
            self.network = network(self.input_size, layer_sizes("hidden", hidden), self.target_size)
        self.trainer = Trainer(self.network, self.learning_rate, "the L2 bonus")

    def _errors(self, batch: Transitions) -> Tensor:
        """Return squared errors (B, D') of the D' targets that vary."""
        inputs, targets = self.whitened(batch)
        return (self.network(inputs) - targets)[:, self.target_whitener.varies].square()

    def _score(self, batch: Transitions) -> Tensor:
        errors = self._errors(batch).sum(1)
        if self.first_changes:  # the prediction for a target that never varied is "no change"
            errors = errors + self.target_whitener.first_changes(batch.target).square().sum(1)
        return errors / max(int(self.target_whitener.varies.sum()), 1)

    def _fit(self, updates: int) -> dict[str, float]:
        held_out = self.fresh()
        with torch.no_grad():
            predicted = self.network(self.whitened(held_out)[0])
            before = self.prediction_target.evaluate(held_out, predicted, self.target_whitener)

        def loss() -> Tensor:
            batch = self.pool.sample(min(self.batch_size, len(self.pool)), self.random.generator)
            return self._errors(batch).sum(1).mean()

        return {"loss": self.trainer.run(updates, loss, self.check_loss), **before}

    def _model_state(self) -> State:
        return self.trainer.state()

    def _load_model_state(self, state: State) -> None:
        self.trainer.load(state)
