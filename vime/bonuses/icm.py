"""The intrinsic curiosity module: prediction error in features that the agent can influence."""

from __future__ import annotations

from typing import Any, ClassVar

import torch
from gymnasium import spaces
from torch import Tensor, nn

from vime.arguments import layer_sizes, whole_number
from vime.bonuses.base import Bonus
from vime.bonuses.deterministic import Trainer, network
from vime.pool import Transitions
from vime.serialization import State

INVERSE_WEIGHT = 0.8
"""Weight of the inverse model's loss, the forward model has the rest (beta = 0.2 in the paper)."""


class ICM(Bonus):
    """Half the squared error of the next features, predicted from the present ones and the action.

    The features are learned by an inverse model, which predicts the action from two successive observations: what the action
    has no part in is left out, so that much noise is.

    Reference: Pathak, Agrawal, Efros, Darrell, "Curiosity-driven Exploration by Self-supervised Prediction", 2017, eq. 2 to 7.

    Args:
        hidden: Hidden layers of the three networks.
        features: Number of features.
        shared: Options of :class:`vime.Bonus`.

    Example:
        >>> import gymnasium as gym, numpy as np
        >>> import vime
        >>> env = gym.make("Pendulum-v1")
        >>> bonus = vime.make_bonus("icm", env.observation_space, env.action_space, min_pool=64, updates=50)
        >>> obs, act, nxt = (np.random.default_rng(0).normal(size=(64, k)) for k in (3, 1, 3))
        >>> bonus.add(obs, act, nxt)
        >>> figures = bonus.fit()
        >>> bool(bonus.score(obs, act, nxt + 9).mean() > bonus.score(obs, act, nxt).mean())
        True
    """

    name: ClassVar[str] = "icm"
    score_name: ClassVar[str] = "icm_error"
    units: ClassVar[str] = "squared features"
    predicts_change: ClassVar[bool] = False
    score_options: ClassVar[tuple[str, ...]] = ("first_changes",)

    def __init__(
        self,
        observation_space: spaces.Space[Any],
        action_space: spaces.Space[Any],
        *,
        hidden: tuple[int, ...] = (32, 32),
        features: int = 16,
        **shared: Any,
    ):
        super().__init__(observation_space, action_space, **shared)
        width, layers = whole_number("features", features), layer_sizes("hidden", hidden)
        actions = self.encode_action.size
        with self.random.as_global():
            self.networks = nn.ModuleDict(
                {
                    "encoder": network(self.target_size, layers, width),
                    "inverse": network(2 * width, layers, actions),
                    "dynamics": network(width + actions, layers, width),
                }
            )
        self.trainer = Trainer(self.networks, self.learning_rate, "the ICM bonus")

    def _parts(self, batch: Transitions) -> tuple[Tensor, Tensor]:
        """Return errors (B,) of the forward model, and of the inverse model."""
        now, following = (
            self.networks["encoder"](self.target_whitener(rows)) for rows in (self.prediction_target(batch.obs), batch.target)
        )
        predicted = self.networks["dynamics"](torch.cat([now.detach(), batch.action], 1))
        action = self.networks["inverse"](torch.cat([now, following], 1))
        forward = 0.5 * (predicted - following.detach()).square().sum(1)
        return forward, (action - batch.action).square().mean(1)

    def _score(self, batch: Transitions) -> Tensor:
        errors = self._parts(batch)[0]
        if self.first_changes:  # as in L2Error
            errors = errors + 0.5 * self.target_whitener.first_changes(batch.target).square().sum(1)
        return errors

    def _fit(self, updates: int) -> dict[str, float]:
        def loss() -> Tensor:
            forward, inverse = self._parts(self.pool.sample(min(self.batch_size, len(self.pool)), self.random.generator))
            return INVERSE_WEIGHT * inverse.mean() + (1.0 - INVERSE_WEIGHT) * forward.mean()

        return {"loss": self.trainer.run(updates, loss, self.check_loss)}

    def _model_state(self) -> State:
        return self.trainer.state()

    def _load_model_state(self, state: State) -> None:
        self.trainer.load(state)
