"""Random network distillation."""

from __future__ import annotations

from typing import Any, ClassVar

import torch
from gymnasium import spaces
from torch import Tensor, nn

from vime.arguments import layer_sizes
from vime.bonuses.base import Bonus
from vime.bonuses.deterministic import Trainer, network
from vime.pool import Transitions
from vime.serialization import State

CLIP = 5.0
"""Whitened observations are clipped to +-CLIP (Burda et al. 2019, section 2.4)."""


class RND(Bonus):
    """Mean squared error of a network that learns the outputs of a fixed random network on the next observation.

    Reference: Burda et al., "Exploration by Random Network Distillation", 2019, section 2.2. Observations are whitened and
    clipped to +-5 (section 2.4).

    Args:
        hidden: Hidden layers of both networks; the learning network has one more of the last size, as in the paper, so that
            it can represent the other one.
        features: Outputs of both networks.
        shared: Options of :class:`vime.Bonus`.

    Example:
        >>> import gymnasium as gym, numpy as np
        >>> import vime
        >>> env = gym.make("Pendulum-v1")
        >>> bonus = vime.make_bonus("rnd", env.observation_space, env.action_space, min_pool=64, updates=50)
        >>> obs, act, nxt = (np.random.default_rng(0).normal(size=(64, k)) for k in (3, 1, 3))
        >>> bonus.add(obs, act, nxt)
        >>> figures = bonus.fit()
        >>> bool(bonus.score(obs, act, nxt + 9).mean() > bonus.score(obs, act, nxt).mean())
        True
    """

    name: ClassVar[str] = "rnd"
    score_name: ClassVar[str] = "rnd_error"
    units: ClassVar[str] = "squared features"
    predicts_change: ClassVar[bool] = False

    def __init__(
        self,
        observation_space: spaces.Space[Any],
        action_space: spaces.Space[Any],
        *,
        hidden: tuple[int, ...] = (64, 64),
        features: int = 32,
        **shared: Any,
    ):
        super().__init__(observation_space, action_space, **shared)
        self.target_whitener.clip = CLIP
        hidden = layer_sizes("hidden", hidden)
        with self.random.as_global():
            fixed = network(self.target_size, hidden, features).requires_grad_(False)
            learner = network(self.target_size, (*hidden, *hidden[-1:]), features)
        self.networks = nn.ModuleDict({"fixed": fixed, "learner": learner})
        self.trainer = Trainer(self.networks, self.learning_rate, "the RND bonus")

    def _errors(self, features: Tensor) -> Tensor:
        """Return the mean squared error (B,) of raw features (B, D)."""
        rows = self.target_whitener(features)
        with torch.no_grad():
            goal = self.networks["fixed"](rows)
        error: Tensor = (self.networks["learner"](rows) - goal).square().mean(1)
        return error

    def _score(self, batch: Transitions) -> Tensor:
        return self._errors(batch.target)

    def _fit(self, updates: int) -> dict[str, float]:
        def loss() -> Tensor:
            batch = self.pool.sample(min(self.batch_size, len(self.pool)), self.random.generator)
            return self._errors(batch.target).mean()

        return {"loss": self.trainer.run(updates, loss, self.check_loss)}

    def _model_state(self) -> State:
        return self.trainer.state()

    def _load_model_state(self, state: State) -> None:
        self.trainer.load(state)
