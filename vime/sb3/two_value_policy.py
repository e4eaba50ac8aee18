"""Actor-critic policies with a second value head, for the intrinsic return."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from stable_baselines3.common.policies import (
    ActorCriticCnnPolicy,
    ActorCriticPolicy,
    BaseModel,
    MultiInputActorCriticPolicy,
)
from torch import Tensor, nn


class TwoValuePolicy(ActorCriticPolicy):
    """Policy, extrinsic value and intrinsic value; the two values share all layers of the critic but the last one."""

    def _build(self, lr_schedule: Any) -> None:
        super()._build(lr_schedule)
        self.intrinsic_value_net = nn.Linear(self.mlp_extractor.latent_dim_vf, 1)
        if self.ortho_init:
            self.intrinsic_value_net.apply(lambda module: self.init_weights(module, gain=1))
        # Made again, because the optimizer of the base class does not contain the new head.
        optimizer_class: Any = self.optimizer_class
        self.optimizer = optimizer_class(self.parameters(), lr=lr_schedule(1), **self.optimizer_kwargs)

    def predict_intrinsic_values(self, obs: Any) -> Tensor:
        """Return the intrinsic values (B, 1) of a batch of observations; :meth:`predict_values` returns the extrinsic ones."""
        features = BaseModel.extract_features(self, obs, self.vf_features_extractor)
        values: Tensor = self.intrinsic_value_net(self.mlp_extractor.forward_critic(features))
        return values

    def evaluate_actions(self, obs: Any, actions: Tensor) -> tuple[Tensor, Tensor, Tensor | None]:
        """Return both values (B, 2), extrinsic first, and log-probabilities (B,) and entropies (B,) of the actions."""
        features = self.extract_features(obs)
        if self.share_features_extractor:
            latent_pi, latent_vf = self.mlp_extractor(features)
        else:
            pi_features, vf_features = features
            latent_pi = self.mlp_extractor.forward_actor(pi_features)
            latent_vf = self.mlp_extractor.forward_critic(vf_features)
        distribution = self._get_action_dist_from_latent(latent_pi)
        values = torch.cat([self.value_net(latent_vf), self.intrinsic_value_net(latent_vf)], dim=1)
        return values, distribution.log_prob(actions), distribution.entropy()


class TwoValueCnnPolicy(TwoValuePolicy, ActorCriticCnnPolicy):
    """:class:`TwoValuePolicy` for images."""


class TwoValueMultiInputPolicy(TwoValuePolicy, MultiInputActorCriticPolicy):
    """:class:`TwoValuePolicy` for Dict observations."""


def non_episodic_advantages(
    rewards: np.ndarray, values: np.ndarray, last_values: np.ndarray, gamma: float, gae_lambda: float
) -> np.ndarray:
    """Generalized advantages of a return that continues across the ends of episodes (Burda et al. 2019, section 2.3).

    The next episode follows the present one, so that the end of an episode does not cost the novelty of later ones.

    Args:
        rewards: (T, N).
        values: (T, N).
        last_values: (N,), of the observations after the last step.
        gamma: Discount.
        gae_lambda: Lambda of generalized advantage estimation.

    Returns:
        Advantages (T, N).
    """
    advantages = np.zeros_like(rewards)
    following, running = last_values, np.zeros_like(last_values)
    for t in reversed(range(len(rewards))):
        running = rewards[t] + gamma * following - values[t] + gamma * gae_lambda * running
        advantages[t] = running
        following = values[t]
    return advantages
