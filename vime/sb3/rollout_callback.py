"""The callback that pays an on-policy algorithm its bonus at the end of every rollout, and logs ``curiosity/*``."""

from __future__ import annotations

import warnings
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from stable_baselines3.common.buffers import RolloutBuffer
from stable_baselines3.common.callbacks import BaseCallback
from stable_baselines3.common.on_policy_algorithm import OnPolicyAlgorithm
from stable_baselines3.common.utils import obs_as_tensor
from torch import Tensor

from vime.errors import ModeError
from vime.sb3.wrapper_order import check_above

if TYPE_CHECKING:
    from vime.sb3.vec_env_wrapper import CuriosityVecEnvWrapper


class CuriosityCallback(BaseCallback):
    """Belongs to one :class:`CuriosityVecEnvWrapper`; made by its ``callback()`` and given to ``learn``.

    Stable-Baselines3 (2.9) computes returns and advantages before it calls ``on_rollout_end``. Here, then:

    1. score the rollout (n_steps x n_envs transitions) in one batch, by the model of before the rollout;
    2. normalise, squash, centre, times eta; add it to ``rollout_buffer.rewards`` (which by then holds the value
       bootstrap of time limits);
    3. compute returns and advantages again, with the same last values and dones;
    4. put the transitions into the pool and fit.

    An algorithm that has a method ``receive_bonus(bonus)`` (:class:`vime.sb3.TwoValuePPO`) gets the bonus
    (n_steps, n_envs) handed over instead of steps 2 and 3's sum.

    Logged, at every fit: curiosity/<score>_mean and _p95 in the score's units (info_gain_nats for VIME), bonus_mean
    (what was added, about 0 when centred), bonus_size (its mean magnitude), bonus_fraction (share of the bonus in the
    sum of magnitudes), eta, fit_seconds, and the model's own: elbo (nats per transition), kl_posterior_prior (nats), r2
    (of the newest transitions, before they were learned from), sigma_ratio (median posterior over prior deviation).

    With an off-policy algorithm it logs, and tells the wrapper how far the training is, which eta's ``decay`` and schedules
    follow. It also checks what lies above the wrapper, which without it nobody does.

    Raises (from ``learn``): WrapperOrderError, ModeError; while it trains MissingInfoError, DivergedError.
    """

    def __init__(self, wrapper: CuriosityVecEnvWrapper, verbose: int = 0):
        super().__init__(verbose)
        self.wrapper = wrapper
        self.per_rollout = False
        self._rewards: list[np.ndarray] = []

    def _init_callback(self) -> None:
        env = self.model.get_env()
        assert env is not None
        check_above(env, self.wrapper)
        if not self.wrapper.training:
            raise ModeError("the wrapper was made to evaluate (training=False): train on one with training=True")
        on_policy = isinstance(self.model, OnPolicyAlgorithm)
        if self.wrapper.mode == "rollout" and not on_policy:
            raise ModeError(
                f"{type(self.model).__name__} is off-policy and has no rollout to score; make the wrapper with "
                'mode="step"'
            )
        self.per_rollout = on_policy and self.wrapper.mode != "step"
        if hasattr(self.model, "receive_bonus") and not self.per_rollout:
            raise ModeError(
                f'{type(self.model).__name__} takes its bonus per rollout; make the wrapper with mode="auto"'
            )

    def _on_rollout_start(self) -> None:
        self.wrapper.tell_progress(self.model._current_progress_remaining)
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
                f"no bonus was paid: the training ended after {len(bonus.pool)} transitions, before a fit could tell; lower "
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
            raise RuntimeError(
                f"{len(batch.obs)} transitions were collected for a rollout buffer of {shape}: the wrapper was stepped "
                "outside of this training; use another environment for evaluation"
            )
        bonus = np.zeros(shape, dtype=np.float32)
        if wrapper.bonus.ready:
            scores = wrapper.bonus.score_transitions(batch)
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
    """Values (n_envs, 1) of the observations after the rollout, and whether those begin an episode (n_envs,).

    Both as ``collect_rollouts`` had them; recurrent policies (sb3-contrib) are asked with their state.
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
