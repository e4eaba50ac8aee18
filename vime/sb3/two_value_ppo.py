"""PPO with a separate intrinsic return: a second value head, its own discount, and no end at the end of an episode."""

from __future__ import annotations

from collections.abc import Generator
from typing import Any, ClassVar

import numpy as np
import torch
from gymnasium import spaces
from stable_baselines3 import PPO
from stable_baselines3.common.buffers import DictRolloutBuffer, RolloutBuffer
from stable_baselines3.common.policies import BasePolicy
from stable_baselines3.common.utils import explained_variance, obs_as_tensor

from vime.errors import OptionError
from vime.sb3.two_value_policy import (
    TwoValueCnnPolicy,
    TwoValueMultiInputPolicy,
    TwoValuePolicy,
    non_episodic_advantages,
)

CHUNK = 8192


class _IntrinsicReturns(RolloutBuffer):
    """Adds intrinsic values and returns (n_steps, n_envs); samples contain both kinds, (B, 2), flattened.

    ``PPO.train`` flattens the values of ``evaluate_actions`` and compares them with the returns of the sample: with two values
    and two returns per row, its squared error is the mean of the errors of both heads.
    """

    intrinsic_values: np.ndarray
    intrinsic_returns: np.ndarray

    def reset(self) -> None:
        super().reset()
        self.intrinsic_values = np.zeros_like(self.rewards)
        self.intrinsic_returns = np.zeros_like(self.rewards)

    def get(self, batch_size: int | None = None) -> Generator[Any, None, None]:
        if not self.generator_ready:
            self.intrinsic_values = self.swap_and_flatten(self.intrinsic_values)
            self.intrinsic_returns = self.swap_and_flatten(self.intrinsic_returns)
        yield from super().get(batch_size)

    def _get_samples(self, batch_inds: np.ndarray, env: Any = None) -> Any:
        samples = super()._get_samples(batch_inds, env)
        values = self.to_torch(self.intrinsic_values[batch_inds].flatten())
        returns = self.to_torch(self.intrinsic_returns[batch_inds].flatten())
        return samples._replace(
            old_values=torch.stack([samples.old_values, values], dim=1).flatten(),
            returns=torch.stack([samples.returns, returns], dim=1).flatten(),
        )


class TwoValueRolloutBuffer(_IntrinsicReturns):
    """Rollout buffer of :class:`TwoValuePPO` for array observations."""


class TwoValueDictRolloutBuffer(_IntrinsicReturns, DictRolloutBuffer):
    """Rollout buffer of :class:`TwoValuePPO` for Dict observations."""


class TwoValuePPO(PPO):
    """PPO whose advantage is the extrinsic one plus that of a non-episodic intrinsic return.

    The bonus (eta included) comes from :class:`vime.CuriosityCallback`, which must be passed to ``learn``; without a bonus
    this is PPO. The value loss is the sum of both heads' losses; ``train/value_loss`` shows their mean. ``clip_range_vf``
    applies to both.

    Reference: Burda et al., "Exploration by Random Network Distillation", 2019, section 2.3.

    Args:
        policy: Name of a policy, or a subclass of ``TwoValuePolicy``.
        env: A :class:`vime.CuriosityVecEnvWrapper`.
        intrinsic_gamma: Discount of the intrinsic return. The paper uses 0.99 beside an extrinsic 0.999.
        options: Other options of PPO.

    Raises:
        OptionError: ``intrinsic_gamma`` outside [0, 1), or a policy or rollout buffer with one value.

    Example:
        >>> import gymnasium as gym
        >>> from stable_baselines3.common.vec_env import DummyVecEnv, VecMonitor
        >>> import vime
        >>> venv = VecMonitor(DummyVecEnv([lambda: gym.make("Pendulum-v1")]))
        >>> bonus = vime.make_bonus("rnd", venv.observation_space, venv.action_space, min_pool=64, updates=5)
        >>> venv = vime.CuriosityVecEnvWrapper(venv, bonus, eta=0.01, fit_every=64)
        >>> model = vime.sb3.TwoValuePPO("MlpPolicy", venv, n_steps=64, batch_size=64, seed=0)
        >>> model.learn(128, callback=venv.callback()).num_timesteps
        128
    """

    policy_aliases: ClassVar[dict[str, type[BasePolicy]]] = {
        "MlpPolicy": TwoValuePolicy,
        "CnnPolicy": TwoValueCnnPolicy,
        "MultiInputPolicy": TwoValueMultiInputPolicy,
    }
    rollout_buffer: _IntrinsicReturns

    def __init__(self, policy: str | type[TwoValuePolicy], env: Any, *, intrinsic_gamma: float = 0.99, **options: Any):
        if not 0 <= intrinsic_gamma < 1:
            raise OptionError(
                f"intrinsic_gamma must be from 0 to below 1 (the intrinsic return never ends), got {intrinsic_gamma!r}"
            )
        self.intrinsic_gamma = intrinsic_gamma
        super().__init__(policy, env, **options)

    def _setup_model(self) -> None:
        if self.rollout_buffer_class is None:
            is_dict = isinstance(self.observation_space, spaces.Dict)
            self.rollout_buffer_class = TwoValueDictRolloutBuffer if is_dict else TwoValueRolloutBuffer
        super()._setup_model()
        if not isinstance(self.policy, TwoValuePolicy) or not isinstance(self.rollout_buffer, _IntrinsicReturns):
            raise OptionError(
                f"TwoValuePPO needs a TwoValuePolicy and its own rollout buffer, got {type(self.policy).__name__} and "
                f"{type(self.rollout_buffer).__name__}"
            )

    def receive_bonus(self, bonus: np.ndarray) -> None:
        """Take the bonus (n_steps, n_envs) of a rollout and add the intrinsic advantages to those of the buffer."""
        buffer = self.rollout_buffer
        values = self._intrinsic_values(_flat(buffer.observations)).reshape(bonus.shape)
        assert self._last_obs is not None
        last = self._intrinsic_values(self._last_obs)
        advantages = non_episodic_advantages(bonus, values, last, self.intrinsic_gamma, self.gae_lambda)
        buffer.intrinsic_values = values
        buffer.intrinsic_returns = advantages + values
        buffer.advantages = buffer.advantages + advantages
        figure = explained_variance(values.flatten(), buffer.intrinsic_returns.flatten())
        self.logger.record("train/intrinsic_explained_variance", figure)

    def _intrinsic_values(self, obs: Any) -> np.ndarray:
        """Return the intrinsic values (B,) of a batch of observations, computed in chunks."""
        policy = self.policy
        assert isinstance(policy, TwoValuePolicy)
        count = len(next(iter(obs.values()))) if isinstance(obs, dict) else len(obs)
        parts = []
        with torch.no_grad():
            for start in range(0, count, CHUNK):
                rows = slice(start, start + CHUNK)
                part = {k: v[rows] for k, v in obs.items()} if isinstance(obs, dict) else obs[rows]
                parts.append(policy.predict_intrinsic_values(obs_as_tensor(part, self.device)).cpu().numpy().flatten())
        return np.concatenate(parts)

    def train(self) -> None:
        """Run a PPO update on both heads; the mean of two errors times twice ``vf_coef`` is their sum."""
        self.vf_coef *= 2
        try:
            super().train()
        finally:
            self.vf_coef /= 2


def _flat(observations: Any) -> Any:
    """(n_steps, n_envs, ...) -> (n_steps * n_envs, ...), for arrays and dicts of them."""
    if isinstance(observations, dict):
        return {key: _flat(part) for key, part in observations.items()}
    return observations.reshape(-1, *observations.shape[2:])
