"""The mean action of a plain actor, computed straight from its layers.

stable-baselines3's `predict` sets modes, checks, converts and builds a distribution on every call; for one small observation
that costs several times the layers themselves. Its result, and the one here, is the clipped mean of the Gaussian.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from torch import Tensor

from envs.manifolds.networks.arrays import on_arrays

Actor = Callable[[Tensor], Tensor]


def actor_of(model: Any) -> Actor:
    """Deterministic actions (B, d) for observations (B, obs_dim), as `model.predict(..., deterministic=True)` gives them.

    A plain stable-baselines3 actor (flat observations, a Gaussian that is not squashed, on the CPU) is computed by its layers;
    for any other model, `predict` is called. The layers are shared with the model, so later training takes effect.
    """
    layers = _plain_layers(getattr(model, "policy", None))
    network = None if layers is None else on_arrays(layers)
    if network is None:
        return lambda observation: torch.as_tensor(
            np.asarray(model.predict(observation.numpy(), deterministic=True)[0]), dtype=torch.float32
        )
    space = model.policy.action_space
    return lambda observation: torch.from_numpy(np.minimum(np.maximum(network(observation.numpy()), space.low), space.high))


def _plain_layers(policy: Any) -> list[torch.nn.Module] | None:
    """The layers from observation to mean action; None where the policy is more than these layers."""
    if policy is None:
        return None
    from gymnasium.spaces import Box
    from stable_baselines3.common.distributions import DiagGaussianDistribution
    from stable_baselines3.common.policies import ActorCriticPolicy
    from stable_baselines3.common.torch_layers import FlattenExtractor, MlpExtractor

    plain = (
        type(policy) is ActorCriticPolicy
        and type(policy.pi_features_extractor) is FlattenExtractor
        and type(policy.mlp_extractor) is MlpExtractor
        and type(policy.action_dist) is DiagGaussianDistribution
        and isinstance(policy.action_space, Box)
        and isinstance(policy.observation_space, Box)
        and policy.observation_space.dtype == np.float32
        and len(policy.observation_space.shape or ()) == 1
        and policy.device.type == "cpu"
    )
    return [*policy.mlp_extractor.policy_net, policy.action_net] if plain else None
