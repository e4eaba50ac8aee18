"""The vector environment wrapper that adds a curiosity bonus to the reward."""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import torch
from stable_baselines3.common.vec_env import VecEnv, VecEnvWrapper
from torch import Tensor

from vime.arguments import whole_number
from vime.bonuses import make_bonus
from vime.bonuses.base import Bonus
from vime.metrics import quantile
from vime.mixer import BonusMixer, Eta
from vime.sb3.episode_ends import successes, true_next, with_extrinsic
from vime.sb3.wrapper_order import check_below
from vime.serialization import State, StateMismatchError, nest, number, part_of, whole
from vime.pool import Transitions

if TYPE_CHECKING:
    from vime.sb3.rollout_callback import CuriosityCallback

Mode = Literal["auto", "rollout", "step"]
FIT_EVERY = 2048


class CuriosityVecEnvWrapper(VecEnvWrapper):
    """Adds ``eta`` times a curiosity bonus to the reward of any Stable-Baselines3 algorithm.

    On-policy algorithms (PPO, A2C, TRPO): give ``learn`` the wrapper's :meth:`callback`. It scores the whole rollout in
    one batch at its end, mixes the bonus in and computes the advantages again; until then rewards pass unchanged. The
    bonus is added to the rewards the algorithm sees, so that under ``VecNormalize`` eta counts in normalised units.

    Off-policy algorithms (SAC, TD3, DQN, TQC): the bonus is added at every step, centred by a running mean, and the
    model is fitted every ``fit_every`` transitions. What the replay buffer keeps is the bonus at the time of collection,
    which is what information gain means. The callback then logs, and tells how far the training is: without it an eta
    that falls with the training stays as it is at the start.

    The true last observation of an episode is read from ``infos[i]["terminal_observation"]``. Every info dict
    gets ``extrinsic_reward``, and ``curiosity_bonus`` where the bonus is paid step by step (info dicts are copied,
    never written into: an adapter may share one between environments).

    Parameters
    ----------
    venv: a monitored vector environment; see :mod:`vime.sb3` for the one order of wrappers.
    bonus: a :class:`Bonus` made for ``venv``'s spaces, or the name of one (with its default options).
    eta: weight >= 0, or a schedule of the remaining progress, see :class:`BonusMixer`.
    mode: "auto": per rollout once the callback meets an on-policy algorithm, else per step. "step": always per step.
        "rollout": only with the callback; a step without it is an error.
    fit_every: transitions between two fits [step by step 2048; per rollout the bonus's batch_size, which only rollouts as
        short as A2C's fall below].
    training: False for an environment that only evaluates, as VecNormalize's: rewards pass unchanged and nothing is learned.
        Settable at any time between episodes.
    **mixing: ``normalize``, ``window``, ``squash``, ``clip``, ``centre``, ``decay``, ``success_decay`` of :class:`BonusMixer`.

    Raises WrapperOrderError for any other order of wrappers, ValueError for spaces that are not the bonus's own.
    """

    def __init__(
        self,
        venv: VecEnv,
        bonus: Bonus | str,
        eta: Eta = 0.1,
        *,
        mode: Mode = "auto",
        fit_every: int | None = None,
        training: bool = True,
        **mixing: Any,
    ):
        check_below(venv, CuriosityVecEnvWrapper)
        if mode not in ("auto", "rollout", "step"):
            raise ValueError(f'mode must be "auto", "rollout" or "step", got {mode!r}')
        fit_every = None if fit_every is None else whole_number("fit_every", fit_every)
        if isinstance(bonus, str):
            bonus = make_bonus(bonus, venv.observation_space, venv.action_space)
        if not isinstance(bonus, Bonus):
            raise TypeError(
                f"bonus is {bonus!r}; it must be a bonus made for the environment's spaces, such as "
                "vime.VIME(venv.observation_space, venv.action_space), or the name of one"
            )
        for role, own, of_venv in (
            ("observation", bonus.encode_obs.space, venv.observation_space),
            ("action", bonus.encode_action.space, venv.action_space),
        ):
            if own != of_venv:
                raise ValueError(
                    f"the bonus was made for the {role} space {own}, the environment has {of_venv}: make it with "
                    "venv.observation_space and venv.action_space"
                )
        super().__init__(venv)
        self.bonus = bonus
        self.mixer = BonusMixer(eta, **mixing)
        self.mode: Mode = mode
        self.fit_every = fit_every
        self.training = training
        self.progress_remaining = 1.0
        self.has_paid = False  # whether any transition has earned a bonus yet
        self._progress_is_told = False
        self.figures: dict[str, float] = {}
        self.figures_are_new = False
        self._since_fit = 0
        self._window: list[tuple[Tensor, Tensor, np.ndarray]] = []  # scores, paid bonus, extrinsic since the last fit
        self._last_obs: Tensor | None = None
        self._actions: Tensor | None = None
        self._rollout: list[tuple[Tensor, Tensor, Tensor]] | None = None  # None: pay step by step
        self._rollout_limit = 0

    # ---- environment ----------------------------------------------------------------------------------------------

    def reset(self) -> Any:
        """Reset all environments; returns their observations."""
        obs = self.venv.reset()
        self._last_obs = self.bonus.encode_obs(obs)
        return obs

    def step_async(self, actions: np.ndarray) -> None:
        """Send the actions on; ValueError where one is not finite."""
        if self._last_obs is None:
            raise RuntimeError("step() was called before reset(): call reset() first")
        self._actions = self.bonus.encode_action(actions)
        self.venv.step_async(actions)

    def step_wait(self) -> Any:
        """Observations, rewards (with the bonus, where it is paid step by step), dones, infos."""
        obs, rewards, dones, infos = self.venv.step_wait()
        if self._last_obs is None or self._actions is None:
            raise RuntimeError("step_wait() was called without an action: call step_async() first")
        rows = self.bonus.encode_obs(obs)
        if not self.training:
            self._last_obs, self._actions = rows, None
            return obs, rewards, dones, with_extrinsic(infos, rewards)
        if self.mixer.success_decay is not None:
            self.mixer.note_successes(successes(dones, infos))
        following = true_next(self.bonus.encode_obs, rows, dones, infos)
        transition = (self._last_obs, self._actions, following)
        self._last_obs, self._actions = rows, None
        if self._rollout is not None or self.mode == "rollout":
            self._collect(transition)
            return obs, rewards, dones, with_extrinsic(infos, rewards)
        bonus = self._pay(transition, rewards)
        told = with_extrinsic(infos, rewards)
        for info, paid in zip(told, bonus.tolist(), strict=True):
            info["curiosity_bonus"] = paid
        return obs, rewards + bonus, dones, told

    # ---- step by step -----------------------------------------------------------------------------------------------

    def _pay(self, transition: tuple[Tensor, Tensor, Tensor], rewards: np.ndarray) -> np.ndarray:
        """Score before adding, so that a transition is judged by a model that has not seen it; (n_envs,) float32."""
        batch = self.bonus.with_target(*transition)
        paid = torch.zeros(self.num_envs, dtype=torch.float32)
        if self.bonus.ready:
            scores = self.bonus.score_transitions(batch)
            paid = self.mixer.step(scores, self.progress_remaining)
            self._window.append((scores, paid, rewards))
            self.has_paid |= bool(paid.any())
        self.bonus.add_transitions(batch)
        self._since_fit += self.num_envs
        if self._since_fit >= self.transitions_between_fits(per_rollout=False) and self.bonus.can_fit:
            self._fit_window()
        return paid.numpy()

    def _fit_window(self) -> None:
        if self.mixer.follows_training and not self._progress_is_told:
            warnings.warn(
                "eta falls with the training, and nobody tells how far it is: pass callback=wrapper.callback() to learn()",
                stacklevel=2,
            )
            self._progress_is_told = True
        self.mixer.close_window()
        if self._window:
            scores, paid, extrinsic = zip(*self._window, strict=True)
            self.record(torch.cat(scores), torch.cat(paid), np.concatenate(extrinsic))
        self._window = []
        self._since_fit = 0
        self.fit()

    def tell_progress(self, remaining: float) -> None:
        """How much of the training is left, from 1 to 0: what eta's schedules follow."""
        self.progress_remaining, self._progress_is_told = remaining, True

    # ---- rollout by rollout -----------------------------------------------------------------------------------------

    def start_rollout(self, steps: int) -> None:
        """From now on collect transitions, up to ``steps`` of every environment, for the callback to take."""
        self._rollout = []
        self._rollout_limit = steps

    def end_collecting(self) -> None:
        """Pay step by step again."""
        self._rollout = None

    def _collect(self, transition: tuple[Tensor, Tensor, Tensor]) -> None:
        if self._rollout is None or len(self._rollout) >= self._rollout_limit:
            raise RuntimeError(
                "nothing takes the collected transitions: pass callback=wrapper.callback() to every learn(), "
                'or make the wrapper with mode="step"'
            )
        self._rollout.append(transition)

    def take_rollout(self) -> Transitions:
        """The collected transitions, rows ordered by step and then by environment; collecting starts anew."""
        if not self._rollout:
            raise RuntimeError("no rollout was collected: call start_rollout() and step the environment first")
        obs, actions, next_obs = (torch.cat(parts) for parts in zip(*self._rollout, strict=True))
        self._rollout = []
        return self.bonus.with_target(obs, actions, next_obs)

    def learn_rollout(self, batch: Transitions) -> None:
        """Put a rollout into the pool, and fit where enough has come since the last fit."""
        self.bonus.add_transitions(batch)
        self._since_fit += len(batch.obs)
        if self._since_fit >= self.transitions_between_fits(per_rollout=True) and self.bonus.can_fit:
            self._since_fit = 0
            self.fit()

    # ---- learning and logging ---------------------------------------------------------------------------------------

    def transitions_between_fits(self, *, per_rollout: bool) -> int:
        """``fit_every``, or what it is by default."""
        return self.fit_every or (self.bonus.batch_size if per_rollout else FIT_EVERY)

    def fit(self) -> None:
        """Fit the bonus where its pool allows, and note the figures."""
        if self.bonus.can_fit:
            self.figures |= self.bonus.fit()
            self.figures_are_new = True

    def record(self, scores: Tensor, paid: Tensor, extrinsic: np.ndarray) -> None:
        """Note the figures of a batch: raw scores, the bonus paid for them, the rewards it was added to."""
        name, size = self.bonus.score_name, float(paid.abs().sum())
        self.has_paid |= size > 0
        together = size + float(np.abs(extrinsic).sum())
        self.figures |= {
            f"{name}_mean": float(scores.mean()),
            f"{name}_p95": quantile(scores, 0.95),
            "bonus_mean": float(paid.mean()),
            "bonus_size": float(paid.abs().mean()),
            "bonus_fraction": size / together if together > 0 else 0.0,
        }
        self.figures_are_new = True

    def callback(self, verbose: int = 0) -> CuriosityCallback:
        """The callback that belongs to this wrapper; a new one for every ``learn``."""
        from vime.sb3.rollout_callback import CuriosityCallback

        return CuriosityCallback(self, verbose)

    # ---- state ------------------------------------------------------------------------------------------------------

    def state_dict(self) -> State:
        """Bonus, mixer and the last observation: after loading, training goes on exactly from a rollout's boundary."""
        own = {"since_fit": number(self._since_fit)}
        if self._last_obs is not None:
            own["last_obs"] = self._last_obs
        if self._window:
            scores, paid, extrinsic = zip(*self._window, strict=True)
            own["window"] = torch.stack(
                [torch.cat(scores), torch.cat(paid), torch.from_numpy(np.concatenate(extrinsic))]
            )
        return nest(wrapper=own, bonus=self.bonus.state_dict(), mixer=self.mixer.state_dict())

    def load_state_dict(self, state: Mapping[str, Tensor]) -> None:
        """Inverse of :meth:`state_dict`.

        StateMismatchError for other spaces, options or numbers of environments and for an incomplete state; wrapper, mixer
        and bonus are then as before.
        """
        own, of_bonus, of_mixer = (part_of(state, part) for part in ("wrapper", "bonus", "mixer"))
        since_fit, last, window = whole(own, "since_fit", "the wrapper"), own.get("last_obs"), own.get("window")
        shape = (self.num_envs, self.bonus.encode_obs.size)
        if last is not None and tuple(last.shape) != shape:
            raise StateMismatchError(
                f"the state was saved with observations of shape {tuple(last.shape)}, this environment gives {shape}: "
                "make it with as many environments as the saved one"
            )
        if window is not None and (window.ndim != 2 or len(window) != 3):
            raise StateMismatchError(
                f"the state was saved with a window of shape {tuple(window.shape)}, expected (3, N): scores, bonus, reward"
            )
        mixer_before = self.mixer.state_dict()
        self.mixer.load_state_dict(of_mixer)
        try:
            self.bonus.load_state_dict(of_bonus)  # the last that can fail
        except Exception:
            self.mixer.load_state_dict(mixer_before)
            raise
        self._since_fit = since_fit
        self._last_obs = None if last is None else last.clone()
        self._window = [] if window is None else [(window[0].clone(), window[1].clone(), window[2].numpy().copy())]
