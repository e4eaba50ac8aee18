"""The callback that pays an on-policy algorithm its bonus at the end of each rollout, and logs ``curiosity/*``."""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np
import torch
from stable_baselines3.common.buffers import RolloutBuffer
from stable_baselines3.common.callbacks import BaseCallback
from stable_baselines3.common.off_policy_algorithm import OffPolicyAlgorithm
from stable_baselines3.common.on_policy_algorithm import OnPolicyAlgorithm
from stable_baselines3.common.utils import obs_as_tensor
from stable_baselines3.her.her_replay_buffer import HerReplayBuffer
from torch import Tensor

from vime.errors import ModeError, UsageError, WrapperOrderError
from vime.sb3.learner import CuriousVecEnv
from vime.sb3.wrapper_order import chain, check_above


class CuriosityCallback(BaseCallback):
    """Pays and logs the bonus of a :class:`vime.CuriosityVecEnvWrapper`; pass it to ``learn``.

    Stable-Baselines3 (2.9) computes returns and advantages before it calls ``on_rollout_end``. Therefore the callback then

    1. scores the rollout (n_steps x n_envs transitions) in one batch, with the model from before the rollout;
    2. normalises, squashes and centres the scores, multiplies them by eta, and adds them to ``rollout_buffer.rewards`` (which
       at that time contain the value bootstrap of time limits);
    3. recomputes returns and advantages with the same last values and dones;
    4. adds the transitions to the pool and fits.

    An algorithm with a method ``receive_bonus(bonus)`` (:class:`vime.sb3.TwoValuePPO`) receives the bonus (n_steps, n_envs)
    instead of steps 2 and 3.

    At every fit it logs curiosity/<score>_mean and _p95 in the score's units (info_gain_nats for VIME), bonus_mean (what was
    added, about 0 if centred), bonus_size (mean magnitude), bonus_fraction (share of the bonus in the sum of magnitudes), eta,
    fit_seconds, and the model's own statistics: elbo (nats per transition), kl_posterior_prior (nats), r2 (of the newest
    transitions, before the model learned from them), sigma_ratio (median posterior over prior standard deviation).

    With an off-policy algorithm the wrapper pays per step; the callback logs, and sets the progress of the training, which
    ``decay`` and schedules of eta depend on. It also checks the wrappers above the curiosity.

    Args:
        wrapper: The wrapper that pays. None: the one in the model's environment.
        verbose: As in Stable-Baselines3.

    Raises:
        WrapperOrderError: From ``learn``: the wrapper is not in the model's environment, or a VecMonitor is above it.
        ModeError: From ``learn``: the algorithm cannot be paid in this mode.
        MissingInfoError: During training: an info dict lacks an entry.
        DivergedError: During training: the model has diverged.

    Example:
        >>> import gymnasium as gym
        >>> from stable_baselines3 import A2C
        >>> from stable_baselines3.common.vec_env import DummyVecEnv, VecMonitor
        >>> import vime
        >>> venv = VecMonitor(DummyVecEnv([lambda: gym.make("Pendulum-v1")]))
        >>> bonus = vime.make_bonus("rnd", venv.observation_space, venv.action_space, min_pool=64, updates=5, batch_size=64)
        >>> venv = vime.CuriosityVecEnvWrapper(venv, bonus, eta=0.01)
        >>> model = A2C("MlpPolicy", venv, seed=0).learn(200, callback=vime.CuriosityCallback())
        >>> venv.has_paid
        True
    """

    wrapper: CuriousVecEnv

    def __init__(self, wrapper: CuriousVecEnv | None = None, verbose: int = 0):
        super().__init__(verbose)
        self._given = wrapper
        if wrapper is not None:
            self.wrapper = wrapper
        self.per_rollout = False
        self._rewards: list[np.ndarray] = []

    def _init_callback(self) -> None:
        env = self.model.get_env()
        assert env is not None
        found = [layer for layer in chain(env) if isinstance(layer, CuriousVecEnv)]
        if self._given is None and not found:
            raise WrapperOrderError("the model's environment has no CuriosityVecEnvWrapper: wrap it before the model is made")
        self.wrapper = found[0] if self._given is None else self._given
        check_above(env, self.wrapper)
        self._check_algorithm()
        on_policy = isinstance(self.model, OnPolicyAlgorithm)
        self.per_rollout = on_policy and self.wrapper.mode != "step"
        if hasattr(self.model, "receive_bonus") and not self.per_rollout:
            raise ModeError(f'{type(self.model).__name__} takes its bonus per rollout; make the wrapper with mode="auto"')

    def _check_algorithm(self) -> None:
        name = type(self.model).__name__
        if not self.wrapper.training:
            raise ModeError("the wrapper was made to evaluate (training=False): train on one with training=True")
        if not isinstance(self.model, (OnPolicyAlgorithm, OffPolicyAlgorithm)):
            raise ModeError(
                f"{name} is neither on-policy nor off-policy: it learns from the returns of VecMonitor, which contain no bonus"
            )
        if self.wrapper.mode == "rollout" and not isinstance(self.model, OnPolicyAlgorithm):
            raise ModeError(f'{name} is off-policy and has no rollout to score; make the wrapper with mode="step"')
        if isinstance(getattr(self.model, "replay_buffer", None), HerReplayBuffer):
            warnings.warn(
                "HerReplayBuffer recomputes the rewards of relabelled transitions, which then contain no bonus: only the "
                "others are paid",
                stacklevel=2,
            )

    def _on_rollout_start(self) -> None:
        self.wrapper.set_progress(self.model._current_progress_remaining)
        self._rewards = []
        if self.per_rollout:
            self.wrapper.start_rollout(self._buffer().buffer_size)

    def _on_step(self) -> bool:
        if self.per_rollout:  # copied, because the value bootstrap of time limits is added to them afterwards
            self._rewards.append(np.array(self.locals["rewards"], dtype=np.float32))
        return True

    def _on_training_end(self) -> None:
        self.wrapper.end_collecting()
        if not self.wrapper.has_paid and self.wrapper.mixer.eta(self.wrapper.progress_remaining) > 0:
            bonus = self.wrapper.bonus
            warnings.warn(
                f"no bonus was paid: the training ended after {len(bonus.pool)} transitions, before the first score; lower "
                f"min_pool ({bonus.min_pool}) or fit_every "
                f"({self.wrapper.transitions_between_fits(per_rollout=self.per_rollout)})",
                stacklevel=2,
            )

    def _buffer(self) -> RolloutBuffer:
        assert isinstance(self.model, OnPolicyAlgorithm)
        return self.model.rollout_buffer

    def _on_rollout_end(self) -> None:
        if self.per_rollout:
            self._pay_rollout()
        if self.wrapper.figures_are_new:
            for key, value in self.wrapper.figures.items():
                self.logger.record(f"curiosity/{key}", value)
            self.logger.record("curiosity/eta", self.wrapper.mixer.eta(self.wrapper.progress_remaining))
            self.wrapper.figures_are_new = False

    def _pay_rollout(self) -> None:
        wrapper, buffer = self.wrapper, self._buffer()
        batch = wrapper.take_rollout()
        shape = buffer.rewards.shape
        if len(batch.obs) != buffer.rewards.size:
            raise UsageError(
                f"{len(batch.obs)} transitions were collected for a rollout buffer of {shape}: the wrapper was stepped "
                "outside of this training; use another environment for evaluation"
            )
        bonus = np.zeros(shape, dtype=np.float32)
        if wrapper.bonus.ready:
            scores = wrapper.bonus.score_rollout(batch)
            paid = wrapper.mixer.rollout(scores, wrapper.progress_remaining)
            wrapper.record(scores, paid, np.concatenate(self._rewards))
            bonus = paid.numpy().reshape(shape)
        if hasattr(self.model, "receive_bonus"):
            self.model.receive_bonus(bonus)
        else:
            buffer.rewards += bonus
            values, dones = last_values(self.model)
            buffer.compute_returns_and_advantage(last_values=values, dones=dones)
        wrapper.learn_rollout(batch)


def last_values(model: Any) -> tuple[Tensor, np.ndarray]:
    """Return values (n_envs, 1) of the observations after the rollout, and whether those start an episode (n_envs,).

    Both are as in ``collect_rollouts``; recurrent policies (sb3-contrib) are evaluated with their state.
    """
    dones = np.asarray(model._last_episode_starts)
    with torch.no_grad():
        obs = obs_as_tensor(model._last_obs, model.device)
        states = getattr(model, "_last_lstm_states", None)
        if states is None:
            values = model.policy.predict_values(obs)
        else:
            starts = torch.as_tensor(dones, dtype=torch.float32, device=model.device)
            values = model.policy.predict_values(obs, states.vf, starts)
    return values, dones
