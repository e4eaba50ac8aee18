"""From raw scores to what is added to the reward: normalise, squash, clip, centre, times eta."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Literal

import torch
from torch import Tensor

from vime.arguments import is_real
from vime.normalizer import MedianNormalizer
from vime.serialization import (
    OPTIONS,
    State,
    StateMismatchError,
    entry,
    expect_options,
    nest,
    number,
    options_as_text,
    part_of,
    scalar,
    whole,
)

Eta = float | Callable[[float], float]
SUCCESS_HORIZON = 50
"""Episodes over which the success rate forgets."""
CENTRE_HORIZON = 2_000
"""Transitions over which the running mean of the step-by-step bonus forgets."""


def linear_eta(start: float, end: float = 0.0) -> Callable[[float], float]:
    """Schedule eta(progress_remaining) that goes from ``start`` (progress 1) to ``end`` (progress 0) in a line."""
    first, last = check_eta(start), check_eta(end)
    return lambda progress_remaining: last + (first - last) * progress_remaining


def check_eta(eta: float) -> float:
    """``eta`` as a float; ValueError unless it is finite and >= 0."""
    if not is_real(eta) or not math.isfinite(eta) or eta < 0:
        raise ValueError(
            f"eta must be a finite number >= 0, got {eta!r}: 0 switches the bonus off, a negative one would pay for "
            "boredom"
        )
    return float(eta)


class BonusMixer:
    """Turns scores into rewards; the same for every kind of bonus.

    Parameters
    ----------
    eta: weight of the bonus against the reward it is added to; a number >= 0, or a schedule of the remaining
        progress (1 at the start, 0 at the end). Too large: the agent forgets its task; too small: no effect. Search
        1e-3 to 1 on a logarithmic grid.
    normalize: "median" (:class:`MedianNormalizer`) or None: the raw units, nats for VIME.
    window: of the normalizer.
    squash: "log1p" (gains have a heavy tail, and the closed form overestimates its far end) or None.
    clip: largest bonus after squashing, before centring [10]. Under "log1p" that is 22 025 times the typical score
        (e^10 - 1): a guard against a score that overflows once it is divided, not a limit that is met. Without squashing
        it is what holds back the heavy tail.
    decay: share of the training after which the bonus is gone: eta falls in a line to zero at that point. None: never.
    success_decay: success rate of the episodes at which the bonus is gone: eta falls in a line, to zero where so large a share of
        the recent episodes succeeded, and rises again where success is lost. None: success does not matter. What curiosity
        is for is finding the reward; once it is found, a bonus leads away from it. See :meth:`note_successes`.
    centre: subtract the mean (of the rollout; step by step the running mean of the past), so that a step as such earns
        nothing and the bonus never pays for merely staying alive. Without it an agent learns to avoid success.
    """

    def __init__(
        self,
        eta: Eta = 0.1,
        *,
        normalize: Literal["median"] | None = "median",
        window: int = 10,
        squash: Literal["log1p"] | None = "log1p",
        clip: float = 10.0,
        centre: bool = True,
        decay: float | None = None,
        success_decay: float | None = None,
    ):
        if normalize not in ("median", None):
            raise ValueError(f'normalize must be "median" or None, got {normalize!r}')
        if squash not in ("log1p", None):
            raise ValueError(f'squash must be "log1p" or None, got {squash!r}')
        if not is_real(clip) or not clip > 0:
            raise ValueError(f"clip must be positive, got {clip!r}")
        for name, share in (("decay", decay), ("success_decay", success_decay)):
            if share is not None and not (is_real(share) and 0 < share <= 1):
                raise ValueError(f"{name} is a share above 0 and up to 1, or None, got {share!r}")
        self.decay = None if decay is None else float(decay)
        self.success_decay = None if success_decay is None else float(success_decay)
        self.success_rate = 0.0
        self._eta: Eta = eta if callable(eta) else check_eta(eta)
        self.normalizer = MedianNormalizer(window) if normalize else None
        self.squash = squash
        self.clip = float(clip)
        self.centre = bool(centre)
        self.running_mean = 0.0
        self.running_count = 0
        self._open_window: list[Tensor] = []

    def eta(self, progress_remaining: float = 1.0) -> float:
        """The weight at this point of the training.

        ValueError where a schedule returns a negative or non-finite one.
        """
        eta = check_eta(float(self._eta(progress_remaining))) if callable(self._eta) else self._eta
        if self.decay is not None:
            eta *= max(0.0, 1.0 - (1.0 - progress_remaining) / self.decay)
        if self.success_decay is not None:
            eta *= max(0.0, 1.0 - self.success_rate / self.success_decay)
        return eta

    @property
    def follows_training(self) -> bool:
        """Whether eta hangs on how far the training is."""
        return callable(self._eta) or self.decay is not None

    def note_successes(self, successes: Sequence[bool]) -> None:
        """Episodes that ended: an exponential mean with the weight of the last :data:`SUCCESS_HORIZON` episodes."""
        for success in successes:
            self.success_rate += (float(success) - self.success_rate) / SUCCESS_HORIZON

    def _shape(self, scores: Tensor) -> Tensor:
        if self.normalizer is not None:
            scores = self.normalizer(scores)
        if self.squash == "log1p":
            scores = torch.log1p(scores.clamp(min=0.0))
        return scores.clamp(max=self.clip)

    def rollout(self, scores: Tensor, progress_remaining: float = 1.0) -> Tensor:
        """Rewards to add, the shape of ``scores`` (any), for a whole rollout at once.

        Closes the normalizer's window.
        """
        flat = scores.reshape(-1)
        bonus = self._shape(flat)
        if self.normalizer is not None:
            self.normalizer.update(flat)
        if self.centre and bonus.numel():
            bonus = bonus - bonus.mean()
        return (self.eta(progress_remaining) * bonus).reshape(scores.shape)

    def step(self, scores: Tensor, progress_remaining: float = 1.0) -> Tensor:
        """Rewards to add for one step of B environments, (B,). Call :meth:`close_window` at every fit.

        Nothing is paid before the first window is closed: until then the scores' scale is unknown.
        """
        if self.normalizer is not None:
            self._open_window.append(scores.clone())
            if not self.normalizer.medians:
                return torch.zeros_like(scores)
        bonus = self._shape(scores)
        if not self.centre:
            return self.eta(progress_remaining) * bonus
        mean = self.running_mean if self.running_count else float(bonus.mean())
        self._update_mean(bonus)
        return self.eta(progress_remaining) * (bonus - mean)

    def _update_mean(self, bonus: Tensor) -> None:
        """Plain mean of the first transitions, later an exponential one of the stated horizon."""
        count = len(bonus)
        self.running_count += count
        share = count / min(self.running_count, max(CENTRE_HORIZON, count))
        self.running_mean += share * (float(bonus.mean()) - self.running_mean)

    def close_window(self) -> None:
        """End the present window of :meth:`step` scores."""
        if self.normalizer is not None and self._open_window:
            self.normalizer.update(torch.cat(self._open_window))
        self._open_window = []

    def state_dict(self) -> State:
        """Normalizer, running mean, scores of the open window, and the options that say what a bonus is worth."""
        window = torch.cat(self._open_window) if self._open_window else torch.zeros(0, dtype=torch.float32)
        own = {"mean": number(float(self.running_mean)), "count": number(self.running_count), "window": window}
        own |= {"success_rate": number(float(self.success_rate)), OPTIONS: options_as_text(self._options())}
        past = self.normalizer.state_dict() if self.normalizer is not None else {}
        return nest(running=own, normalizer=past)

    def _options(self) -> dict[str, Any]:
        """What decides how a score becomes a bonus. Not eta, ``decay`` and ``success_decay``, which may change on resuming."""
        normalize = None if self.normalizer is None else "median"
        return {"normalize": normalize, "squash": self.squash, "clip": self.clip, "centre": self.centre}

    def load_state_dict(self, state: Mapping[str, Tensor]) -> None:
        """Inverse of :meth:`state_dict`.

        StateMismatchError, and no change, for other options (but eta, ``decay`` and ``success_decay``) or an incomplete state.
        """
        own = part_of(state, "running")
        expect_options(own, self._options(), "the mixer")
        mean, count = scalar(own, "mean", "the mixer"), whole(own, "count", "the mixer")
        success_rate = scalar(own, "success_rate", "the mixer") if "success_rate" in own else 0.0  # older ones do not know
        window = entry(own, "window", "the mixer").to(torch.float32, copy=True)
        if window.ndim != 1:
            raise StateMismatchError(f"the mixer's open window has shape {tuple(window.shape)}, expected scores in a row")
        past = part_of(state, "normalizer", required=self.normalizer is not None)
        if self.normalizer is not None:
            self.normalizer.load_state_dict(past)
        elif past:
            raise StateMismatchError(
                'the state was saved by a mixer with normalize="median", this one has None: build it with normalize="median"'
            )
        self.running_mean, self.running_count, self.success_rate = float(mean), count, float(success_rate)
        self._open_window = [window] if window.numel() else []
