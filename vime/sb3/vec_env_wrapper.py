"""The vector environment wrapper that adds a bonus to the reward."""

from __future__ import annotations

from typing import Any

import gymnasium
import numpy as np
from stable_baselines3.common.vec_env import VecEnv
from torch import Tensor

from vime.arguments import whole_number
from vime.bonuses import make_bonus
from vime.bonuses.base import Bonus
from vime.errors import OptionError, OptionTypeError, UsageError
from vime.mixer import BonusMixer, Eta
from vime.sb3.episode_ends import successes, true_next, with_extrinsic
from vime.sb3.learner import CuriousVecEnv, Mode
from vime.sb3.rollout_callback import CuriosityCallback
from vime.sb3.wrapper_order import check_below


class CuriosityVecEnvWrapper(CuriousVecEnv):
    """Adds eta times a curiosity bonus to the reward of any Stable-Baselines3 algorithm.

    On-policy algorithms (PPO, A2C, TRPO): pass the wrapper's :meth:`callback` to ``learn``. At the end of a rollout it scores
    all transitions in one batch, adds the bonus and recomputes the advantages; until then rewards are unchanged. The bonus is
    added to the rewards that the algorithm sees, so that under ``VecNormalize`` eta is in normalised units.

    Off-policy algorithms (SAC, TD3, DQN, TQC): the bonus is added at every step, centred by a running mean, and the model is
    fitted every ``fit_every`` transitions. The replay buffer keeps the bonus of the time of collection. The callback logs and
    sets the progress of the training; without it an eta that falls with progress stays at its initial value.

    The last observation of an episode is read from ``infos[i]["terminal_observation"]``. Every info dict gets
    ``extrinsic_reward``, and ``curiosity_bonus`` if the bonus is paid per step. Info dicts are copied, not changed.

    Args:
        venv: A monitored vector environment; :mod:`vime.sb3` states the order of wrappers.
        bonus: A :class:`vime.Bonus` made for the spaces of ``venv``; or, with default options, a name, ``module:object`` or
            class as in :func:`vime.make_bonus`.
        eta: Weight of the bonus, at least 0, or a schedule of the remaining progress, see :class:`vime.BonusMixer`.
        mode: "auto": per rollout if the callback finds an on-policy algorithm, else per step. "step": always per step.
            "rollout": only with the callback; a step without it is an error.
        fit_every: Transitions between two fits. None: 2048 if paid per step, else the bonus's batch_size (which only rollouts
            as short as A2C's do not reach).
        training: False for an environment that only evaluates, as in VecNormalize: rewards are unchanged and nothing is
            learned. May be set between episodes.
        mixing: ``normalize``, ``window``, ``squash``, ``clip``, ``centre``, ``decay``, ``success_decay`` of
            :class:`vime.BonusMixer`.

    Raises:
        WrapperOrderError: Another order of wrappers.
        OptionError: An invalid option, or a bonus that was made for other spaces.
        OptionTypeError: ``venv`` is not a vector environment, or ``bonus`` is not a bonus.

    Example:
        >>> import gymnasium as gym
        >>> from stable_baselines3 import PPO
        >>> from stable_baselines3.common.vec_env import DummyVecEnv, VecMonitor
        >>> import vime
        >>> venv = VecMonitor(DummyVecEnv([lambda: gym.make("Pendulum-v1")]))
        >>> bonus = vime.VIME(venv.observation_space, venv.action_space, min_pool=64, updates=5)
        >>> venv = vime.CuriosityVecEnvWrapper(venv, bonus, eta=0.01, fit_every=64)
        >>> model = PPO("MlpPolicy", venv, n_steps=64, batch_size=64, seed=0).learn(128, callback=venv.callback())
        >>> "info_gain_nats_mean" in venv.figures
        True
    """

    def __init__(
        self,
        venv: VecEnv,
        bonus: Bonus | str | type[Bonus],
        eta: Eta = 0.1,
        *,
        mode: Mode = "auto",
        fit_every: int | None = None,
        training: bool = True,
        **mixing: Any,
    ):
        if isinstance(venv, (gymnasium.Env, gymnasium.vector.VectorEnv)):
            raise OptionTypeError(
                f"venv is a {type(venv).__name__} of Gymnasium, not a vector environment of Stable-Baselines3: pass "
                "VecMonitor(DummyVecEnv([make_env]))"
            )
        check_below(venv, CuriosityVecEnvWrapper)
        if mode not in ("auto", "rollout", "step"):
            raise OptionError(f'mode must be "auto", "rollout" or "step", got {mode!r}')
        fit_every = None if fit_every is None else whole_number("fit_every", fit_every)
        if isinstance(bonus, (str, type)):
            bonus = make_bonus(bonus, venv.observation_space, venv.action_space)
        if not isinstance(bonus, Bonus):
            raise OptionTypeError(
                f"bonus is {bonus!r}; it must be a bonus made for the environment's spaces, such as "
                "vime.VIME(venv.observation_space, venv.action_space), or the name of one"
            )
        for role, own, of_venv in (
            ("observation", bonus.encode_obs.space, venv.observation_space),
            ("action", bonus.encode_action.space, venv.action_space),
        ):
            if own != of_venv:
                raise OptionError(
                    f"the bonus was made for the {role} space {own}, the environment has {of_venv}: make it with "
                    "venv.observation_space and venv.action_space"
                )
        super().__init__(venv, bonus, BonusMixer(eta, **mixing), mode, fit_every, training)
        self._actions: Tensor | None = None

    def reset(self) -> Any:
        """Reset all environments and return their observations."""
        obs = self.venv.reset()
        self._last_obs = self.bonus.encode_obs(obs)
        return obs

    def step_async(self, actions: np.ndarray) -> None:
        """Send the actions to the environments.

        Raises:
            UsageError: Before :meth:`reset`.
            InputError: An action is not finite.
        """
        if self._last_obs is None:
            raise UsageError("step() was called before reset(): call reset() first")
        self._actions = self.bonus.encode_action(actions)
        self.venv.step_async(actions)

    def step_wait(self) -> Any:
        """Return observations, rewards (with the bonus, if it is paid per step), dones and infos.

        Raises:
            UsageError: Without :meth:`step_async`, or if nothing takes the collected rollout.
            MissingInfoError: The infos lack what the bonus needs at the end of an episode.
            DivergedError: The model has diverged.
        """
        obs, rewards, dones, infos = self.venv.step_wait()
        if self._last_obs is None or self._actions is None:
            raise UsageError("step_wait() was called without an action: call step_async() first")
        rows = self.bonus.encode_obs(obs)
        if not self.training:
            self._last_obs, self._actions = rows, None
            return obs, rewards, dones, with_extrinsic(infos, rewards)
        if self.mixer.success_decay is not None:
            self.mixer.note_successes(successes(dones, infos))
        following = true_next(self.bonus.encode_obs, rows, dones, infos)
        transition = (self._last_obs, self._actions, following)
        self._last_obs, self._actions = rows, None
        infos = with_extrinsic(infos, rewards)
        if self._rollout is not None or self.mode == "rollout":
            self._collect(transition)
            return obs, rewards, dones, infos
        bonus = self._pay(transition, rewards)
        for info, paid in zip(infos, bonus.tolist(), strict=True):
            info["curiosity_bonus"] = paid
        return obs, rewards + bonus, dones, infos

    def callback(self, verbose: int = 0) -> CuriosityCallback:
        """Return a new callback for this wrapper, to be passed to ``learn``."""
        return CuriosityCallback(self, verbose)
