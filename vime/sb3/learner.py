"""What the wrapper and its callback share: a vector environment that has a bonus, collects transitions and fits."""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from typing import Literal

import numpy as np
import torch
from stable_baselines3.common.vec_env import VecEnv, VecEnvWrapper
from torch import Tensor

from vime.bonuses.base import Bonus
from vime.errors import StateMismatchError, UsageError
from vime.metrics import quantile
from vime.mixer import BonusMixer
from vime.pool import Transitions
from vime.serialization import State, nest, number, part_of, whole

Mode = Literal["auto", "rollout", "step"]
FIT_EVERY = 2048
"""Default number of transitions between two fits, if the bonus is paid per step."""

DROWNED = 1e-4
"""Share of the bonus in the sum of magnitudes below which a warning says that it has no effect."""

FlatTransition = tuple[Tensor, Tensor, Tensor]


class CuriousVecEnv(VecEnvWrapper):
    """Base class of :class:`vime.CuriosityVecEnvWrapper`: bonus, mixer, collected transitions, fits, statistics and state.

    Args:
        venv: The wrapped vector environment.
        bonus: The bonus.
        mixer: Turns scores into rewards.
        mode: See :class:`vime.CuriosityVecEnvWrapper`.
        fit_every: See :class:`vime.CuriosityVecEnvWrapper`.
        training: See :class:`vime.CuriosityVecEnvWrapper`.
    """

    def __init__(self, venv: VecEnv, bonus: Bonus, mixer: BonusMixer, mode: Mode, fit_every: int | None, training: bool):
        super().__init__(venv)
        self.bonus = bonus
        self.mixer = mixer
        self.mode: Mode = mode
        self.fit_every = fit_every
        self.training = training
        self.progress_remaining = 1.0
        self.has_paid = False  # whether any transition has earned a bonus yet
        self._progress_is_known = False
        self._drowned = False  # whether the warning was given
        self.figures: dict[str, float] = {}
        self.figures_are_new = False
        self._since_fit = 0
        self._window: list[tuple[Tensor, Tensor, np.ndarray]] = []  # scores, paid bonus, extrinsic since the last fit
        self._last_obs: Tensor | None = None
        self._rollout: list[FlatTransition] | None = None  # None: pay per step
        self._rollout_limit = 0

    # ---- per step ---------------------------------------------------------------------------------------------------

    def _pay(self, transition: FlatTransition, rewards: np.ndarray) -> np.ndarray:
        """Score a transition before adding it, so that the model has not learned from it; bonus (n_envs,) float32."""
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
        if self.mixer.follows_training and not self._progress_is_known:
            warnings.warn(
                "eta depends on the progress of the training, which is unknown: pass callback=wrapper.callback() to learn()",
                stacklevel=2,
            )
            self._progress_is_known = True
        self.mixer.close_window()
        if self._window:
            scores, paid, extrinsic = zip(*self._window, strict=True)
            self.record(torch.cat(scores), torch.cat(paid), np.concatenate(extrinsic))
        self._window = []
        self._since_fit = 0
        self.fit()

    def set_progress(self, remaining: float) -> None:
        """Set the share of the training that is left, from 1 to 0; schedules of eta depend on it."""
        self.progress_remaining, self._progress_is_known = remaining, True

    # ---- per rollout ------------------------------------------------------------------------------------------------

    def start_rollout(self, steps: int) -> None:
        """Collect transitions from now on, up to ``steps`` of each environment, instead of paying per step."""
        self._rollout = []
        self._rollout_limit = steps

    def end_collecting(self) -> None:
        """Pay per step again."""
        self._rollout = None

    def _collect(self, transition: FlatTransition) -> None:
        if self._rollout is None or len(self._rollout) >= self._rollout_limit:
            raise UsageError(
                "nothing takes the collected transitions: pass callback=wrapper.callback() to every learn(), "
                'or make the wrapper with mode="step"'
            )
        self._rollout.append(transition)

    def take_rollout(self) -> Transitions:
        """Return the collected transitions, ordered by step and then by environment, and start a new collection.

        Raises:
            UsageError: Nothing was collected.
        """
        if not self._rollout:
            raise UsageError("no rollout was collected: call start_rollout() and step the environment first")
        obs, actions, next_obs = (torch.cat(parts) for parts in zip(*self._rollout, strict=True))
        self._rollout = []
        return self.bonus.with_target(obs, actions, next_obs)

    def learn_rollout(self, batch: Transitions) -> None:
        """Add a rollout to the pool, and fit if enough transitions have come since the last fit."""
        self.bonus.add_transitions(batch)
        self._since_fit += len(batch.obs)
        if self._since_fit >= self.transitions_between_fits(per_rollout=True) and self.bonus.can_fit:
            self._since_fit = 0
            self.fit()

    # ---- fits and statistics ----------------------------------------------------------------------------------------

    def transitions_between_fits(self, *, per_rollout: bool) -> int:
        """Return ``fit_every``, or its default."""
        return self.fit_every or (self.bonus.batch_size if per_rollout else FIT_EVERY)

    def fit(self) -> None:
        """Fit the bonus if its pool is large enough, and keep the statistics in ``figures``."""
        if self.bonus.can_fit:
            self.figures |= self.bonus.fit()
            self.figures_are_new = True

    def record(self, scores: Tensor, paid: Tensor, extrinsic: np.ndarray) -> None:
        """Keep the statistics of a batch: scores, the bonus paid for them, and the rewards without the bonus."""
        name, size = self.bonus.score_name, float(paid.abs().sum())
        self.has_paid |= size > 0
        together = size + float(np.abs(extrinsic).sum())
        if 0 < size < DROWNED * together and not self.mixer.falls and not self._drowned:
            self._drowned = True
            warnings.warn(
                f"the bonus is {size / together:.2g} of what the agent is paid: beside rewards of this size it has no effect; "
                f"raise eta ({self.mixer.eta(self.progress_remaining):g}), or scale the rewards",
                stacklevel=2,
            )
        self.figures |= {
            f"{name}_mean": float(scores.mean()),
            f"{name}_p95": quantile(scores, 0.95),
            "bonus_mean": float(paid.mean()),
            "bonus_size": float(paid.abs().mean()),
            "bonus_fraction": size / together if together > 0 else 0.0,
        }
        self.figures_are_new = True

    # ---- state ------------------------------------------------------------------------------------------------------

    def state_dict(self) -> State:
        """Return bonus, mixer and last observation: a training continues exactly from the boundary of a rollout."""
        own = {"since_fit": number(self._since_fit)}
        if self._last_obs is not None:
            own["last_obs"] = self._last_obs
        if self._window:
            scores, paid, extrinsic = zip(*self._window, strict=True)
            own["window"] = torch.stack([torch.cat(scores), torch.cat(paid), torch.from_numpy(np.concatenate(extrinsic))])
        return nest(wrapper=own, bonus=self.bonus.state_dict(), mixer=self.mixer.state_dict())

    def load_state_dict(self, state: Mapping[str, Tensor]) -> None:
        """Inverse of :meth:`state_dict`.

        Raises:
            StateMismatchError: Other spaces, options or number of environments, or an incomplete state. Wrapper, mixer and
                bonus are then unchanged.
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
            self.bonus.load_state_dict(of_bonus)  # the last step that can fail
        except Exception:
            self.mixer.load_state_dict(mixer_before)
            raise
        self._since_fit = since_fit
        self._last_obs = None if last is None else last.clone()
        self._window = [] if window is None else [(window[0].clone(), window[1].clone(), window[2].numpy().copy())]
