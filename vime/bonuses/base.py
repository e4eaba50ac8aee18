"""The protocol that every curiosity bonus follows, and what all of them share: encoding, pool, whitening, state."""

from __future__ import annotations

import time
from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, ClassVar

import torch
from gymnasium import spaces
from torch import Tensor

from vime.arguments import positive_number, whole_number
from vime.bonuses.state import load_whole_state, whole_state
from vime.errors import DivergedError, VimeError
from vime.random_state import FencedRandom
from vime.prediction_target import Predict, Seen
from vime.serialization import State
from vime.spaces import SpaceEncoder, places_of
from vime.pool import PoolTooSmallError, TransitionPool, Transitions
from vime.whitening import Whitener

FORMAT = 2
"""Of saved states."""
GATHERED = 32
"""Minibatches drawn from the pool at once."""


class NotFittedError(VimeError, RuntimeError):
    """A score was asked of a bonus that has not learned anything yet."""


class Bonus(ABC):
    """How new a transition is, for any Gymnasium spaces.

    The order of use is score, add, fit: a transition is judged before the model has seen it.

    Parameters
    ----------
    observation_space, action_space: of a single environment; see :class:`vime.spaces.SpaceEncoder` for the kinds.
    predict, as_change: what of an observation counts as *seen*, and what of that is foretold as a change; see
        :class:`vime.prediction_target.Seen`. Where an action moves part of the observation in a known way (z' = z + a), that part is
        learned at once and nothing stays to be curious about: then predict the rest.
    given: numbers of the flat observation that a dynamics model is given beside the action: a slice or their places;
        None: all. What does not bear on the next observation (a goal, a start) only makes the model learn slower.
    common_scale: whiten what is seen by one scale for all features [False]. For features that are of one kind, such as
        principal components: a scale of its own would make a hardly moving one as important as the first.
    seed: of the generator that this bonus alone uses; torch's and numpy's global ones are never touched.
    pool_size: transitions kept to learn from [100 000]. min_pool: how many must be there before the first fit [500].
    updates, batch_size, learning_rate: Adam steps at every fit, rows in each, step size. More updates: sharper
        predictions, more time; few updates with a large pool: the bonus lags behind. first_updates: steps of the very
        first fit, which starts from nothing [None: ``updates``].
    """

    name: ClassVar[str]
    score_name: ClassVar[str]
    """Name of the score in logs, with its unit where it has one."""
    units: ClassVar[str]
    predicts_change: ClassVar[bool] = True
    """Whether ``target`` is the change of what is seen (dynamics models), or what is seen itself (novelty)."""
    score_options: ClassVar[tuple[str, ...]] = ()
    """Attributes, named as the options are, that decide what a score is worth and that no shape gives away: plain numbers
    and strings. They are saved with the state, and a state of others is refused."""

    def __init__(
        self,
        observation_space: spaces.Space[Any],
        action_space: spaces.Space[Any],
        *,
        predict: Predict = None,
        as_change: slice | None = None,
        given: slice | Sequence[int] | None = None,
        common_scale: bool = False,
        seed: int = 0,
        pool_size: int = 100_000,
        min_pool: int = 500,
        updates: int = 100,
        first_updates: int | None = None,
        batch_size: int = 256,
        learning_rate: float = 1e-3,
    ):
        self.min_pool = whole_number("min_pool", min_pool)
        self.updates = whole_number("updates", updates)
        self.first_updates = self.updates if first_updates is None else whole_number("first_updates", first_updates)
        self.batch_size = whole_number("batch_size", batch_size)
        self.learning_rate = positive_number("learning_rate", learning_rate)
        pool_size = whole_number("pool_size", pool_size)
        if min_pool > pool_size:
            raise ValueError(f"min_pool ({min_pool}) exceeds pool_size ({pool_size}): the bonus could never be fitted")
        self.encode_obs = SpaceEncoder(observation_space, "observation")
        self.encode_action = SpaceEncoder(action_space, "action")
        self.seen = Seen(predict, self.encode_obs.size, as_change, self.predicts_change)
        self.given = places_of(given, self.encode_obs.size)
        self.random = FencedRandom(seed)
        self.fits = 0
        self.unfitted = 0
        self.target_size = self.seen.count
        self.input_size = len(self.given) + self.encode_action.size
        self.pool = TransitionPool(pool_size, (self.encode_obs.size, self.encode_action.size, self.target_size))
        self.input_whitener = Whitener(self.input_size)
        self.target_whitener = Whitener(self.target_size, common_scale=common_scale)

    # ---- encoding -----------------------------------------------------------------------------------------------

    @torch.inference_mode(False)
    def encode(self, obs: Any, action: Any, next_obs: Any) -> Transitions:
        """Batches of B elements of the spaces -> :class:`Transitions`. ValueError for wrong shapes, NaN or infinity."""
        rows = self.encode_obs(obs), self.encode_action(action), self.encode_obs(next_obs)
        if len({len(r) for r in rows}) != 1:
            raise ValueError(f"obs, action and next_obs have different lengths: {[len(r) for r in rows]}")
        return self.with_target(*rows)

    @torch.inference_mode(False)
    def with_target(self, obs: Tensor, action: Tensor, next_obs: Tensor) -> Transitions:
        """Already flat rows (B, O), (B, A), (B, O) -> :class:`Transitions`."""
        return Transitions(obs, action, next_obs, self.seen.target(obs, next_obs))

    # ---- the protocol -------------------------------------------------------------------------------------------

    @property
    def ready(self) -> bool:
        """Whether :meth:`score` may be called: a fit has been done."""
        return self.fits > 0

    @property
    def can_fit(self) -> bool:
        """Whether the pool holds enough for :meth:`fit`."""
        return len(self.pool) >= self.min_pool

    def score(self, obs: Any, action: Any, next_obs: Any) -> Tensor:
        """How new B transitions are, (B,) float32 >= 0 in ``units``; the pool and the model stay as they are.

        obs, action, next_obs: batches of elements of the spaces; next_obs is what truly followed, also at the end of an
        episode. Raises NotFittedError before the first fit, ValueError for bad input, DivergedError where the
        model itself has diverged.
        """
        return self.score_transitions(self.encode(obs, action, next_obs))

    @torch.inference_mode(False)
    def score_transitions(self, batch: Transitions) -> Tensor:
        """:meth:`score` of an encoded batch."""
        if not self.ready:
            raise NotFittedError(
                f"{type(self).__name__} has not been fitted: add() at least {self.min_pool} transitions (it has "
                f"{len(self.pool)}), then call fit(); `ready` tells whether it was"
            )
        with torch.no_grad():
            scores = self._score(batch) if len(batch.obs) else torch.zeros(0, dtype=torch.float32)
        if not torch.isfinite(scores).all():
            raise DivergedError(
                f"{type(self).__name__} scored {int((~torch.isfinite(scores)).sum())} of {len(scores)} transitions as "
                "NaN or "
                f"infinity after {self.fits} fits: its model has diverged; lower learning_rate ({self.learning_rate})"
            )
        return scores.to(torch.float32)

    def add(self, obs: Any, action: Any, next_obs: Any) -> None:
        """Put B transitions into the pool; nothing is learned from them before :meth:`fit`."""
        self.add_transitions(self.encode(obs, action, next_obs))

    @torch.inference_mode(False)
    def add_transitions(self, batch: Transitions) -> None:
        """:meth:`add` of an encoded batch."""
        self.pool.add(batch)
        self.input_whitener.update(self.inputs(batch))
        self.target_whitener.update(batch.target)
        self.unfitted += len(batch.obs)

    @torch.inference_mode(False)
    def fit(self, updates: int | None = None) -> dict[str, float]:
        """Learn from the pool by ``updates`` steps (default: the constructor's, ``first_updates`` the first time).

        Returns figures to log: the model's own, ``fit_seconds`` (wall time) and ``pool`` (transitions in it).

        Raises PoolTooSmallError below ``min_pool`` transitions and DivergedError where the loss is not finite,
        before the step that would spoil the model.
        """
        if not self.can_fit:
            raise PoolTooSmallError(
                f"{type(self).__name__} has {len(self.pool)} transitions and learns from min_pool={self.min_pool} on: "
                "add more, "
                "or lower min_pool"
            )
        started = time.perf_counter()
        self.input_whitener.freeze()
        self.target_whitener.freeze()
        if updates is None:
            updates = self.updates if self.fits else self.first_updates
        with torch.enable_grad(), self.random.as_global():
            figures = self._fit(updates)
        self.fits += 1
        self.unfitted = 0
        return figures | {"fit_seconds": time.perf_counter() - started, "pool": float(len(self.pool))}

    @abstractmethod
    def _score(self, batch: Transitions) -> Tensor:
        """Scores (B,) of an encoded batch, B >= 1; runs without gradients."""

    @abstractmethod
    def _fit(self, updates: int) -> dict[str, float]:
        """Learn; runs with gradients, and with torch's global generator lent by ``self.random``."""

    @abstractmethod
    def _model_state(self) -> State:
        """Tensors of the model and its optimizer."""

    @abstractmethod
    def _load_model_state(self, state: State) -> None:
        """Inverse of :meth:`_model_state`; StateMismatchError for other shapes."""

    # ---- helpers for models of the dynamics ---------------------------------------------------------------------

    def inputs(self, batch: Transitions) -> Tensor:
        """What a dynamics model is given, raw, (B, I): the ``given`` numbers of the observations, then the actions."""
        return torch.cat([batch.obs[:, self.given], batch.action], dim=1)

    def whitened(self, batch: Transitions) -> tuple[Tensor, Tensor]:
        """Model inputs (B, I) and targets (B, D), whitened."""
        return self.input_whitener(self.inputs(batch)), self.target_whitener(batch.target)

    def batches(self, updates: int) -> Iterator[tuple[Tensor, Tensor]]:
        """Whitened inputs and targets of ``updates`` minibatches; within :meth:`_fit`, whose random state they draw on.

        They are gathered and whitened many at once: for networks this small that is a sixth of a step's time.
        """
        count = min(self.batch_size, len(self.pool))
        for done in range(0, updates, GATHERED):
            drawn = self.pool.sample(count * min(GATHERED, updates - done), torch.default_generator)
            inputs, targets = self.whitened(drawn)
            yield from zip(inputs.split(count), targets.split(count), strict=True)

    def fresh(self, limit: int = 2048) -> Transitions:
        """The newest transitions that no fit has used yet (at most ``limit``): held-out data for the model."""
        return self.pool.newest(min(self.unfitted, limit))

    def check_loss(self, loss: Tensor, update: int) -> None:
        """DivergedError unless ``loss`` is finite."""
        if not torch.isfinite(loss):
            raise DivergedError(
                f"the loss of {type(self).__name__} is {loss.item()} at update {update} of fit {self.fits + 1}; lower "
                f"learning_rate (it is {self.learning_rate})"
            )

    # ---- state --------------------------------------------------------------------------------------------------

    def state_dict(self) -> State:
        """Everything that decides later scores, as one flat dict of tensors (safetensors takes it as it is)."""
        return whole_state(self, FORMAT)

    @torch.inference_mode(False)
    def load_state_dict(self, state: Mapping[str, Tensor]) -> None:
        """Go on as the saved bonus would have.

        StateMismatchError, naming what differs or is missing, if the state is incomplete, of another kind or shape, or of
        other options (those of ``score_options``; pool_size, predict, as_change, given, common_scale); this bonus is then
        as before.
        """
        load_whole_state(self, state, FORMAT)
