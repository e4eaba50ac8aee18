"""From scores to rewards: normalise, squash, clip, centre, multiply by eta."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Literal

import torch
from torch import Tensor

from vime.arguments import is_real, python_number
from vime.errors import OptionError, StateMismatchError
from vime.normalizer import MedianNormalizer
from vime.serialization import (
    OPTIONS,
    State,
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
"""Time constant of the success rate, in episodes."""
CENTRE_HORIZON = 2_000
"""Time constant of the running mean of the bonus that is paid per step, in transitions."""


def linear_eta(start: float, end: float = 0.0) -> Callable[[float], float]:
    """Return a linear schedule eta(progress_remaining).

    Args:
        start: Eta at the start of the training (progress_remaining 1).
        end: Eta at its end (progress_remaining 0).

    Raises:
        OptionError: A value is negative or not finite.

    Example:
        >>> from vime import linear_eta
        >>> schedule = linear_eta(0.2)
        >>> schedule(1.0), schedule(0.5)
        (0.2, 0.1)
    """
    first, last = check_eta(start), check_eta(end)
    return lambda progress_remaining: last + (first - last) * progress_remaining


def check_eta(eta: float) -> float:
    """Return ``eta`` as a float, or raise OptionError unless it is finite and at least 0."""
    eta = python_number(eta)
    if not is_real(eta) or not math.isfinite(eta) or eta < 0:
        raise OptionError(
            f"eta must be a finite number >= 0, got {eta!r}: 0 switches the bonus off, a negative eta would reward what is "
            "already known"
        )
    return float(eta)


class BonusMixer:
    """Turns scores into rewards, in the same way for every kind of bonus.

    A score is divided by the typical score of the past, squashed, clipped, centred and multiplied by eta.

    Args:
        eta: Weight of the bonus against the reward: a number of at least 0, or a schedule of the remaining progress (1 at
            the start of the training, 0 at its end). Too large: the agent ignores its task. Too small: no effect. Search
            1e-3 to 1 on a logarithmic grid.
        normalize: "median": divide by past medians, see :class:`MedianNormalizer`. None: keep the units of the score (nats
            for VIME).
        window: Window of the normalizer.
        squash: "log1p": compress the heavy tail of the scores. None: do not.
        clip: Largest bonus after squashing and before centring. With "log1p" the default corresponds to 22 025 times the
            typical score (e^10 - 1) and only guards against overflow. Without squashing it limits the heavy tail.
        centre: Subtract the mean (of the rollout; per step the running mean of the past), so that the bonus does not pay the
            agent for staying alive. Without it an agent learns to avoid success if success ends the episode.
        decay: Share of the training after which the bonus is zero; eta falls to it linearly. None: eta does not fall.
        success_decay: Success rate at which the bonus is zero. Eta falls linearly with the success rate of recent episodes
            and rises again if the rate falls. A bonus helps to find the reward; afterwards it distracts from it. None: eta
            does not depend on success. See :meth:`note_successes`.

    Raises:
        OptionError: An option has an invalid value.

    Example:
        >>> import torch
        >>> from vime import BonusMixer
        >>> mixer = BonusMixer(eta=0.1, squash=None)
        >>> mixer.rollout(torch.tensor([1.0, 2.0, 3.0]))
        tensor([-0.0500,  0.0000,  0.0500])
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
            raise OptionError(f'normalize must be "median" or None, got {normalize!r}')
        if squash not in ("log1p", None):
            raise OptionError(f'squash must be "log1p" or None, got {squash!r}')
        clip, decay, success_decay = python_number(clip), python_number(decay), python_number(success_decay)
        if not is_real(clip) or not clip > 0:
            raise OptionError(f"clip must be positive, got {clip!r}")
        for name, share in (("decay", decay), ("success_decay", success_decay)):
            if share is not None and not (is_real(share) and 0 < share <= 1):
                raise OptionError(f"{name} must be None, or above 0 and at most 1, got {share!r}")
        self.decay = None if decay is None else float(decay)
        self.success_decay = None if success_decay is None else float(success_decay)
        self.success_rate = 0.0
        eta = python_number(eta)
        self._eta: Eta = eta if callable(eta) else check_eta(eta)
        self.normalizer = MedianNormalizer(window) if normalize else None
        self.squash = squash
        self.clip = float(clip)
        self.centre = bool(centre)
        self.running_mean = 0.0
        self.running_count = 0
        self._open_window: list[Tensor] = []

    def eta(self, progress_remaining: float = 1.0) -> float:
        """Return eta at this point of the training.

        Raises:
            OptionError: A schedule returned a negative or non-finite number.
        """
        eta = check_eta(float(self._eta(progress_remaining))) if callable(self._eta) else self._eta
        if self.decay is not None:
            eta *= max(0.0, 1.0 - (1.0 - progress_remaining) / self.decay)
        if self.success_decay is not None:
            eta *= max(0.0, 1.0 - self.success_rate / self.success_decay)
        return eta

    @property
    def follows_training(self) -> bool:
        """Whether eta depends on the progress of the training."""
        return callable(self._eta) or self.decay is not None

    @property
    def falls(self) -> bool:
        """Whether eta is meant to fall, so that a small bonus is not a mistake."""
        return callable(self._eta) or self.decay is not None or self.success_decay is not None

    def note_successes(self, successes: Sequence[bool]) -> None:
        """Update the success rate, an exponential mean over about :data:`SUCCESS_HORIZON` finished episodes."""
        for success in successes:
            self.success_rate += (float(success) - self.success_rate) / SUCCESS_HORIZON

    def _shape(self, scores: Tensor) -> Tensor:
        if self.normalizer is not None:
            scores = self.normalizer(scores)
        if self.squash == "log1p":
            scores = torch.log1p(scores.clamp(min=0.0))
        return scores.clamp(max=self.clip)

    def rollout(self, scores: Tensor, progress_remaining: float = 1.0) -> Tensor:
        """Return the rewards to add for a whole rollout, and close the normalizer's window.

        Args:
            scores: Scores of any shape.
            progress_remaining: From 1 (start of the training) to 0.

        Returns:
            Rewards in the shape of ``scores``.
        """
        flat = scores.reshape(-1)
        bonus = self._shape(flat)
        if self.normalizer is not None:
            self.normalizer.update(flat)
        if self.centre and bonus.numel():
            bonus = bonus - bonus.mean()
        return (self.eta(progress_remaining) * bonus).reshape(scores.shape)

    def step(self, scores: Tensor, progress_remaining: float = 1.0) -> Tensor:
        """Return the rewards (B,) to add for one step of B environments. Call :meth:`close_window` at every fit.

        They are zero until the first window is closed, because the scale of the scores is unknown until then.
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
        """Update the mean: arithmetic over the first transitions, exponential over CENTRE_HORIZON later."""
        count = len(bonus)
        self.running_count += count
        share = count / min(self.running_count, max(CENTRE_HORIZON, count))
        self.running_mean += share * (float(bonus.mean()) - self.running_mean)

    def close_window(self) -> None:
        """Close the window of :meth:`step` scores."""
        if self.normalizer is not None and self._open_window:
            self.normalizer.update(torch.cat(self._open_window))
        self._open_window = []

    def state_dict(self) -> State:
        """Return the normalizer, the running mean, the scores of the open window and the options that change a bonus."""
        window = torch.cat(self._open_window) if self._open_window else torch.zeros(0, dtype=torch.float32)
        own = {"mean": number(float(self.running_mean)), "count": number(self.running_count), "window": window}
        own |= {"success_rate": number(float(self.success_rate)), OPTIONS: options_as_text(self._options())}
        past = self.normalizer.state_dict() if self.normalizer is not None else {}
        return nest(running=own, normalizer=past)

    def _options(self) -> dict[str, Any]:
        """Options that change a bonus. Eta, ``decay`` and ``success_decay`` are left out; they may change on resuming."""
        normalize = None if self.normalizer is None else "median"
        return {"normalize": normalize, "squash": self.squash, "clip": self.clip, "centre": self.centre}

    def load_state_dict(self, state: Mapping[str, Tensor]) -> None:
        """Inverse of :meth:`state_dict`.

        Raises:
            StateMismatchError: Other options (eta, ``decay`` and ``success_decay`` may differ) or an incomplete state; nothing
                is changed.
        """
        own = part_of(state, "running")
        expect_options(own, self._options(), "the mixer")
        mean, count = scalar(own, "mean", "the mixer"), whole(own, "count", "the mixer")
        success_rate = scalar(own, "success_rate", "the mixer") if "success_rate" in own else 0.0  # older states lack it
        window = entry(own, "window", "the mixer").to(torch.float32, copy=True)
        if window.ndim != 1:
            raise StateMismatchError(f"the mixer's open window has shape {tuple(window.shape)}, expected one row of scores")
        past = part_of(state, "normalizer", required=self.normalizer is not None)
        if self.normalizer is not None:
            self.normalizer.load_state_dict(past)
        elif past:
            raise StateMismatchError(
                'the state was saved by a mixer with normalize="median", this one has None: pass normalize="median"'
            )
        self.running_mean, self.running_count, self.success_rate = float(mean), count, float(success_rate)
        self._open_window = [window] if window.numel() else []
