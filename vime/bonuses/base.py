"""The base class of every bonus: the protocol, and the encoding, pool, whitening and state that all bonuses share."""

from __future__ import annotations

import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, ClassVar

import torch
from gymnasium import spaces
from torch import Tensor

from vime.arguments import positive_number, whole_number
from vime.bonuses.state import load_whole_state, whole_state
from vime.encoders import Encoder, observation_encoder
from vime.errors import DivergedError, InputError, NotFittedError, OptionError, OptionTypeError, PoolTooSmallError
from vime.pool import TransitionPool, Transitions
from vime.prediction_target import Predict, PredictionTarget
from vime.random_state import FencedRandom
from vime.serialization import State
from vime.spaces import SpaceEncoder, indices_of
from vime.whitening import Whitener

FORMAT = 2
"""Version of saved states."""
GATHERED = 32
"""Number of minibatches that are drawn from the pool at once."""


class Bonus(ABC):
    """Scores how new a transition is, for any Gymnasium spaces.

    The order of use is score, add, fit: a transition is scored before the model has learned from it.

    A subclass has the class attributes ``name``, ``score_name`` and ``units``, and the methods :meth:`_score`, :meth:`_fit`,
    :meth:`_model_state` and :meth:`_load_model_state`.

    Args:
        observation_space: Of a single environment; see :class:`vime.spaces.SpaceEncoder` for the kinds.
        action_space: Of a single environment.
        encoder: Features that stand for an observation in the pool and in every model: None, the flat observation;
            "random_conv", a frozen random network for images; or a function of a batch of observations -> (B, m).
        predict: Which features of an observation are predicted, see :class:`vime.PredictionTarget`. If an action moves part
            of the observation in a known way (z' = z + a), the model soon predicts that part without error and its gain
            vanishes; then predict the rest.
        as_change: Which of the features are predicted as changes, see :class:`vime.PredictionTarget`.
        given: Which numbers of the flat observation are inputs of a dynamics model, beside the action: a slice or their
            indices; None: all. Leave out what does not affect the next observation (a goal, a start).
        common_scale: Whiten all features by one scale. Use it for features of one kind, such as principal components, of
            which those that hardly move should stay small.
        first_changes: Score the first change of a feature that never varied before. False: features that never varied do not
            count, and the first use of a key is worth as little as any other step.
        seed: Seed of the bonus's own generator; the global generators of torch and numpy are not changed.
        pool_size: Number of transitions that are kept.
        min_pool: Number of transitions before the first fit.
        updates: Adam steps at each fit. Many: sharper predictions, more time. Few, with a large pool: the bonus lags behind.
        update_every: Transitions for each Adam step, instead of ``updates`` at each fit: the model then learns as much from a
            transition, and costs as much, with 8 environments as with 128. None: ``updates`` at each fit.
        first_updates: Adam steps at the first fit; None: ``updates``.
        batch_size: Transitions in each Adam step.
        learning_rate: Step size of Adam.

    Raises:
        OptionError: An option has an invalid value.
        OptionTypeError: An option or a space has the wrong type.

    Example:
        A novelty bonus that pays the distance to the mean observation:

        >>> import gymnasium as gym, numpy as np
        >>> from vime import Bonus
        >>> class Distance(Bonus):
        ...     name, score_name, units, predicts_change = "distance", "distance", "standard deviations", False
        ...     def _score(self, batch):
        ...         return self.whitened(batch)[1].norm(dim=1)
        ...     def _fit(self, updates):
        ...         return {}  # the whitening is fitted by the base class
        ...     def _model_state(self):
        ...         return {}
        ...     def _load_model_state(self, state):
        ...         pass
        >>> env = gym.make("Pendulum-v1")
        >>> bonus = Distance(env.observation_space, env.action_space, min_pool=64)
        >>> obs, act, nxt = (np.random.default_rng(0).normal(size=(64, k)) for k in (3, 1, 3))
        >>> bonus.add(obs, act, nxt)
        >>> int(bonus.fit()["pool"]), bonus.score(obs, act, nxt).shape
        (64, torch.Size([64]))
    """

    name: ClassVar[str]
    """Name of the bonus, as it is saved with its state."""
    score_name: ClassVar[str]
    """Name of the score in logs, with its unit if it has one."""
    units: ClassVar[str]
    """Units of the score."""
    predicts_change: ClassVar[bool] = True
    """Whether the targets may be changes of features (dynamics models), or are the features themselves (novelty bonuses)."""
    score_options: ClassVar[tuple[str, ...]] = ()
    """Names of options (and attributes) that change a score without changing a shape: plain numbers and strings. They are
    saved with the state, and a state with other values is refused."""

    def __init__(
        self,
        observation_space: spaces.Space[Any],
        action_space: spaces.Space[Any],
        *,
        encoder: str | Encoder | None = None,
        predict: Predict = None,
        as_change: slice | None = None,
        given: slice | Sequence[int] | None = None,
        common_scale: bool = False,
        first_changes: bool = True,
        seed: int = 0,
        pool_size: int = 100_000,
        min_pool: int = 500,
        updates: int = 100,
        update_every: int | None = None,
        first_updates: int | None = None,
        batch_size: int = 256,
        learning_rate: float = 1e-3,
    ):
        if missing := [key for key in ("name", "score_name", "units") if not hasattr(type(self), key)]:
            raise OptionTypeError(f"the bonus class {type(self).__name__} lacks the class attributes {missing}: define them")
        self.min_pool = whole_number("min_pool", min_pool)
        self.updates = whole_number("updates", updates)
        self.update_every = None if update_every is None else whole_number("update_every", update_every)
        self.first_updates = self.updates if first_updates is None else whole_number("first_updates", first_updates)
        self.batch_size = whole_number("batch_size", batch_size)
        self.learning_rate = positive_number("learning_rate", learning_rate)
        pool_size = whole_number("pool_size", pool_size)
        if min_pool > pool_size:
            raise OptionError(f"min_pool ({min_pool}) exceeds pool_size ({pool_size}): the bonus could never be fitted")
        self.encode_obs = observation_encoder(observation_space, encoder)
        self.encode_action = SpaceEncoder(action_space, "action")
        self.prediction_target = PredictionTarget(predict, self.encode_obs.size, as_change, self.predicts_change)
        self.given = indices_of(given, self.encode_obs.size)
        self.first_changes = bool(first_changes)
        self.random = FencedRandom(seed)
        self.fits = 0
        self.unfitted = 0
        self.owed = 0
        self.target_size = self.prediction_target.count
        self.input_size = len(self.given) + self.encode_action.size
        self.pool = TransitionPool(pool_size, (self.encode_obs.size, self.encode_action.size, self.target_size))
        self.input_whitener = Whitener(self.input_size)
        self.target_whitener = Whitener(self.target_size, common_scale=common_scale)

    # ---- encoding -----------------------------------------------------------------------------------------------

    @torch.inference_mode(False)
    def encode(self, obs: Any, action: Any, next_obs: Any) -> Transitions:
        """Encode batches of B elements of the spaces.

        Raises:
            InputError: Wrong shapes, NaN or infinity.
        """
        rows = self.encode_obs(obs), self.encode_action(action), self.encode_obs(next_obs)
        if len({len(r) for r in rows}) != 1:
            raise InputError(f"obs, action and next_obs have different lengths: {[len(r) for r in rows]}")
        return self.with_target(*rows)

    @torch.inference_mode(False)
    def with_target(self, obs: Tensor, action: Tensor, next_obs: Tensor) -> Transitions:
        """Return :class:`Transitions` of flat rows (B, O), (B, A), (B, O)."""
        return Transitions(obs, action, next_obs, self.prediction_target.target(obs, next_obs))

    # ---- score, add, fit ----------------------------------------------------------------------------------------

    @property
    def ready(self) -> bool:
        """Whether :meth:`score` may be called, that is, whether the bonus has been fitted."""
        return self.fits > 0

    @property
    def can_fit(self) -> bool:
        """Whether the pool holds enough transitions for :meth:`fit`."""
        return len(self.pool) >= self.min_pool

    def score(self, obs: Any, action: Any, next_obs: Any) -> Tensor:
        """Score B transitions; the pool and the model are not changed.

        Args:
            obs: B observations.
            action: B actions.
            next_obs: The B observations that followed; at the end of an episode its last one, not the reset's.

        Returns:
            Scores (B,) in ``units``, float32. At least 0, unless the bonus says otherwise.

        Raises:
            NotFittedError: Before the first fit.
            InputError: Wrong shapes, NaN or infinity.
            DivergedError: The model has diverged.
        """
        return self.score_transitions(self.encode(obs, action, next_obs))

    def score_transitions(self, batch: Transitions) -> Tensor:
        """:meth:`score` of an encoded batch."""
        return self._checked(self._score, batch)

    def score_rollout(self, batch: Transitions) -> Tensor:
        """Score an encoded batch that is one rollout, in the order of time.

        Unless a bonus says otherwise (``VIME(joint=True)``) it is :meth:`score_transitions`.
        """
        return self._checked(self._score_rollout, batch)

    @torch.inference_mode(False)
    def _checked(self, score: Callable[[Transitions], Tensor], batch: Transitions) -> Tensor:
        if not self.ready:
            raise NotFittedError(
                f"{type(self).__name__} has not been fitted: add() at least {self.min_pool} transitions (it has "
                f"{len(self.pool)}), then call fit(); `ready` is True afterwards"
            )
        with torch.no_grad():
            scores = score(batch) if len(batch.obs) else torch.zeros(0, dtype=torch.float32)
        if not torch.isfinite(scores).all():
            raise DivergedError(
                f"{type(self).__name__} scored {int((~torch.isfinite(scores)).sum())} of {len(scores)} transitions as "
                f"NaN or infinity after {self.fits} fits: its model has diverged; lower learning_rate ({self.learning_rate})"
            )
        return scores.to(torch.float32)

    def add(self, obs: Any, action: Any, next_obs: Any) -> None:
        """Add B transitions to the pool; the model learns from them at the next :meth:`fit`. Arguments as in :meth:`score`."""
        self.add_transitions(self.encode(obs, action, next_obs))

    @torch.inference_mode(False)
    def add_transitions(self, batch: Transitions) -> None:
        """:meth:`add` of an encoded batch."""
        self.pool.add(batch)
        self.input_whitener.update(self.inputs(batch))
        self.target_whitener.update(batch.target, self.prediction_target.magnitude(batch.next_obs))
        self.unfitted += len(batch.obs)

    @torch.inference_mode(False)
    def fit(self, updates: int | None = None) -> dict[str, float]:
        """Learn from the pool.

        Args:
            updates: Number of steps; None: ``first_updates`` the first time, then ``updates``, or one for every
                ``update_every`` transitions since the last fit.

        Returns:
            Statistics to log: the model's own, ``fit_seconds`` (wall time) and ``pool`` (number of transitions).

        Raises:
            PoolTooSmallError: The pool holds fewer than ``min_pool`` transitions.
            DivergedError: The loss is not finite; raised before the step that would spoil the model.
        """
        if not self.can_fit:
            raise PoolTooSmallError(
                f"{type(self).__name__} has {len(self.pool)} transitions and needs min_pool={self.min_pool} for a fit: "
                "add more, or lower min_pool"
            )
        started = time.perf_counter()
        self.input_whitener.freeze()
        self.target_whitener.freeze()
        if updates is None:
            updates = self._updates_due()
        with torch.enable_grad(), self.random.as_global():
            figures = self._fit(updates)
        self.fits += 1
        self.unfitted = 0
        return figures | {"fit_seconds": time.perf_counter() - started, "pool": float(len(self.pool))}

    def _updates_due(self) -> int:
        """Steps of the fit that is due. Transitions short of a whole step are owed to the next fit."""
        if not self.fits:
            return self.first_updates
        if self.update_every is None:
            return self.updates
        updates, self.owed = divmod(self.unfitted + self.owed, self.update_every)
        return updates

    @abstractmethod
    def _score(self, batch: Transitions) -> Tensor:
        """Return scores (B,) of an encoded batch, B >= 1. Runs without gradients."""

    def _score_rollout(self, batch: Transitions) -> Tensor:
        """Return scores (B,) of a rollout, each given those before it if the bonus can tell; by default :meth:`_score`."""
        return self._score(batch)

    @abstractmethod
    def _fit(self, updates: int) -> dict[str, float]:
        """Learn, and return statistics to log. Runs with gradients; torch's global generator is ``self.random`` meanwhile."""

    @abstractmethod
    def _model_state(self) -> State:
        """Return the tensors of the model and its optimizer, a flat dict."""

    @abstractmethod
    def _load_model_state(self, state: State) -> None:
        """Inverse of :meth:`_model_state`; raises StateMismatchError for other shapes."""

    # ---- for subclasses -----------------------------------------------------------------------------------------

    def inputs(self, batch: Transitions) -> Tensor:
        """Return the raw inputs (B, I) of a dynamics model: the ``given`` numbers of the observations, then the actions."""
        return torch.cat([batch.obs[:, self.given], batch.action], dim=1)

    def whitened(self, batch: Transitions) -> tuple[Tensor, Tensor]:
        """Return the whitened inputs (B, I) and targets (B, D) of a model."""
        return self.input_whitener(self.inputs(batch)), self.target_whitener(batch.target)

    def surprising(self, batch: Transitions) -> tuple[Tensor, Tensor]:
        """Return whitened targets (B, D) for a score, and which of them count, (D,) or (B, D) bool.

        A target that never varied does not count, because the model predicts it perfectly. With ``first_changes`` it counts
        where it changes for the first time, see :meth:`vime.whitening.Whitener.first_changes`.
        """
        targets, varies = self.target_whitener(batch.target), self.target_whitener.varies
        if not self.first_changes or bool(varies.all()):
            return targets, varies
        first = self.target_whitener.first_changes(batch.target)
        changed = first != 0
        return (torch.where(changed, first, targets), varies | changed) if changed.any() else (targets, varies)

    def batches(self, updates: int) -> Iterator[tuple[Tensor, Tensor]]:
        """Yield whitened inputs and targets of ``updates`` minibatches, for use in :meth:`_fit`.

        Many minibatches are gathered and whitened at once, which saves a sixth of a step's time for small networks.
        """
        count = min(self.batch_size, len(self.pool))
        for done in range(0, updates, GATHERED):
            drawn = self.pool.sample(count * min(GATHERED, updates - done), torch.default_generator)
            inputs, targets = self.whitened(drawn)
            yield from zip(inputs.split(count), targets.split(count), strict=True)

    def fresh(self, limit: int = 2048) -> Transitions:
        """Return the newest transitions that no fit has used yet (at most ``limit``): held-out data for the model."""
        return self.pool.newest(min(self.unfitted, limit))

    def check_loss(self, loss: Tensor, update: int) -> None:
        """Raise DivergedError unless ``loss`` is finite."""
        if not torch.isfinite(loss):
            raise DivergedError(
                f"the loss of {type(self).__name__} is {loss.item()} at update {update} of fit {self.fits + 1}; lower "
                f"learning_rate (it is {self.learning_rate})"
            )

    # ---- state --------------------------------------------------------------------------------------------------

    def state_dict(self) -> State:
        """Return everything that later scores depend on, as one flat dict of tensors (safetensors can save it)."""
        return whole_state(self, FORMAT)

    @torch.inference_mode(False)
    def load_state_dict(self, state: Mapping[str, Tensor]) -> None:
        """Continue exactly as the saved bonus would have.

        Raises:
            StateMismatchError: The state is incomplete, or belongs to a bonus of another kind, shape or options
                (``score_options``, pool_size, predict, as_change, given, common_scale). The message names the difference, and
                this bonus is not changed.
        """
        load_whole_state(self, state, FORMAT)
