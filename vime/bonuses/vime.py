"""VIME: the bonus is the information that a transition gives about the weights of a Bayesian dynamics network."""

from __future__ import annotations

from typing import Any, ClassVar

import torch
from gymnasium import spaces
from torch import Tensor

from vime.arguments import layer_sizes, positive_number, python_number, whole_number
from vime.bonuses.base import Bonus
from vime.errors import OptionError
from vime.information_gain.draws import draw_noise
from vime.information_gain.estimators import ESTIMATORS, Draws
from vime.information_gain.gradient_step import Direction
from vime.information_gain.joint import moments_given_prefix
from vime.information_gain.linearized import gain_of_moments
from vime.pool import Transitions
from vime.posteriors import POSTERIORS
from vime.posteriors.base import Architecture
from vime.serialization import State, expect_like, nest, part_of

EXPECTED_DRAWS = 8
"""Least number of draws of :meth:`VIME.expected_information_gain`; the result is then close to that of 64 draws."""


class VIME(Bonus):
    """Information gain of a transition in nats: KL[posterior after it || posterior before it] of a Pyro BNN.

    Reference: Houthooft et al., "VIME: Variational Information Maximizing Exploration", 2016, arXiv:1605.09674, eq. 3.

    Args:
        hidden: Hidden layers; (32, 32) up to about 6 inputs, (64, 64) from about 16.
        prior_sd: See :class:`vime.DynamicsBNN`.
        init_sd: See :class:`vime.DynamicsBNN`.
        noise: "heteroscedastic": the noise is learned, so that unpredictable targets lose their value. "anchored": learned
            too, but typical where nothing was observed, so that an extrapolated noise does not hide what is new. A number:
            fixed standard deviation, as in the paper.
        draws: Samples of the network per score, in antithetic pairs; "linearized" needs none. They are the same for all
            transitions between two fits, so that a score depends on the transition alone. Many: less bias (the mean gradient
            is squared), linear to quadratic cost. The code of the paper uses 10 independent ones.
        posterior: What the gain is about: "mean_field", the Pyro network with independent weights; "last_layer", full
            covariance over the last layer's weights, updated with every transition; "deep_ensemble"; "weight_sites", the
            program with weights as sample sites under one of Pyro's guides.
        posterior_options: Options of that posterior alone: ``members``, or ``guide`` and ``weight_draws``.
        estimator: "linearized": exact for the network linearised in its weights, forward passes alone. "second_order": of one
            natural-gradient step, as in the paper; overestimates where the likelihood is sharp. "gradient_step": take the step
            and measure it, about twenty times slower. "expected": BALD, before the next observation is known.
        joint: Score each transition of a rollout given those before it ("linearized" only): the second visit in one rollout is
            worth less than the first. Single transitions are scored as before.
        direction: Of "gradient_step": "gain" KL[new || old], "compression" KL[old || new], or "both".
        step_length: lambda of section 2.5. At 1 the unit is nats; other values only rescale the closed form.
        steps: Natural-gradient steps of "gradient_step".
        unbiased: See :func:`vime.closed_form_gain`; scores may be slightly negative.
        updates: Adam steps at each fit. On synthetic dynamics with 6 to 18 inputs, held-out R2 grows as fast with the
            default as with 100 steps of 3e-3, at half the cost; steps of 2e-2 are worse from 18 inputs on.
        learning_rate: Step size of Adam.
        shared: Other options of :class:`vime.Bonus`.

    Raises:
        OptionError: An option has an invalid value.

    Example:
        >>> import gymnasium as gym, numpy as np
        >>> from vime import VIME
        >>> env = gym.make("Pendulum-v1")
        >>> bonus = VIME(env.observation_space, env.action_space, min_pool=64, updates=10)
        >>> obs, act, nxt = (np.random.default_rng(0).normal(size=(64, k)) for k in (3, 1, 3))
        >>> bonus.add(obs, act, nxt)
        >>> figures = bonus.fit()
        >>> bonus.score(obs, act, nxt).shape
        torch.Size([64])
    """

    name: ClassVar[str] = "vime"
    score_name: ClassVar[str] = "info_gain_nats"
    units: ClassVar[str] = "nats"
    score_options: ClassVar[tuple[str, ...]] = (
        "prior_sd", "noise", "draws", "unbiased", "estimator", "direction", "step_length", "steps", "first_changes",
        "kind", "joint",
    )  # fmt: skip

    def __init__(
        self,
        observation_space: spaces.Space[Any],
        action_space: spaces.Space[Any],
        *,
        hidden: tuple[int, ...] = (32, 32),
        prior_sd: float = 0.5,
        init_sd: float = 0.05,
        noise: str | float = "heteroscedastic",
        draws: int = 4,
        posterior: str = "mean_field",
        posterior_options: dict[str, Any] | None = None,
        estimator: str = "linearized",
        joint: bool = False,
        direction: Direction = "gain",
        step_length: float = 1.0,
        steps: int = 1,
        unbiased: bool = False,
        updates: int = 50,
        learning_rate: float = 1e-2,
        **shared: Any,
    ):
        super().__init__(observation_space, action_space, updates=updates, learning_rate=learning_rate, **shared)
        for option, value, table in (("estimator", estimator, ESTIMATORS), ("posterior", posterior, POSTERIORS)):
            if value not in table:
                raise OptionError(f"{option} must be one of {', '.join(map(repr, table))}, got {value!r}")
        if direction not in ("gain", "compression", "both"):
            raise OptionError(f'direction must be "gain", "compression" or "both", got {direction!r}')
        if direction != "gain" and estimator != "gradient_step":
            raise OptionError(
                f'direction={direction!r} needs estimator="gradient_step": both directions are equal to second order'
            )
        if joint and estimator != "linearized":
            raise OptionError(f'joint=True needs estimator="linearized", got {estimator!r}')
        entry = ESTIMATORS[estimator]
        self.estimator, self.kind, self.joint = estimator, posterior, bool(joint)
        self.direction, self.unbiased = direction, bool(unbiased)
        self.step_length, self.steps = positive_number("step_length", step_length), whole_number("steps", steps)
        self.draws = whole_number("draws", draws, least=2 if unbiased else entry.least_draws)
        architecture = Architecture(
            self.input_size, self.target_size, layer_sizes("hidden", hidden), prior_sd, init_sd, python_number(noise),
            self.learning_rate, posterior_options or {},
        )  # fmt: skip
        with self.random.as_global():
            self.posterior = POSTERIORS[posterior](architecture)
        if entry.needs_layers and self.posterior.layers is None:
            raise OptionError(
                f'estimator={estimator!r} needs posterior="mean_field" with fixed or "heteroscedastic" noise; for '
                f'posterior={posterior!r} and noise={noise!r} pass estimator="linearized"'
            )
        self.prior_sd = float(prior_sd)
        fixed = self.posterior.head.fixed_sd
        self.noise = fixed if fixed is not None else noise
        self._draws = Draws([], [], self.step_length, self.steps, direction, self.unbiased)
        self._draw()

    @property
    def bnn(self) -> Any:
        """The Pyro network of a mean-field or last-layer posterior."""
        return self.posterior.bnn  # type: ignore[attr-defined]

    @property
    def optimizer(self) -> torch.optim.Optimizer:
        """The optimizer of the network's weights."""
        return self.posterior.optimizer  # type: ignore[attr-defined]

    def _draw(self) -> None:
        """Draw the noise of the scores until the next fit."""
        if (layers := self.posterior.layers) is None:
            return
        generator = self.random.generator
        noise = draw_noise(layers, self.draws, 1, generator, antithetic=not self.unbiased)
        # The expected gain uses a variance over draws: antithetic ones would overestimate it, and 4 are too few.
        draws = max(self.draws, EXPECTED_DRAWS) if ESTIMATORS[self.estimator].sees_next else self.draws
        self._draws = self._draws._replace(noise=noise, free_noise=draw_noise(layers, draws, 1, generator))

    def _asked(self, batch: Transitions) -> tuple[Tensor, Tensor, Tensor]:
        """Return whitened inputs and targets, and the mask of the targets that count."""
        targets, counts = self.surprising(batch)
        return self.input_whitener(self.inputs(batch)), targets, counts.to(torch.float32)

    def _score(self, batch: Transitions) -> Tensor:
        inputs, targets, mask = self._asked(batch)
        entry = ESTIMATORS[self.estimator]
        if entry.sees_next:
            return entry.gain(self.posterior, self._draws, inputs, targets, mask)
        gains = entry.gain(self.posterior, self._draws, inputs, targets, self.target_whitener.varies.to(torch.float32))
        return gains + self._first_ever(batch)

    def _first_ever(self, batch: Transitions) -> Tensor:
        """What a first change of a target is worth to an estimator that does not see it: the surprise of a standard normal
        target in nats, 1/2 ln(1 + c^2) for a change of c deviations."""
        if not self.first_changes:
            return torch.zeros(len(batch.obs), dtype=torch.float32)
        return 0.5 * torch.log1p(self.target_whitener.first_changes(batch.target).square()).sum(1)

    def _score_rollout(self, batch: Transitions) -> Tensor:
        if not self.joint:
            return self._score(batch)
        inputs, targets, mask = self._asked(batch)
        moments = moments_given_prefix(self.posterior.moments(inputs), self.posterior.features(inputs), targets)
        return gain_of_moments(moments, targets, mask=mask)

    def expected_information_gain(self, obs: Any, action: Any) -> Tensor:
        """Expected information gain (BALD) of actions, whatever the estimator of :meth:`score` is. For maps and planning.

        Args:
            obs: B observations.
            action: B actions.

        Returns:
            Expected gains (B,) in nats.

        Raises:
            NotFittedError: Before the first fit.
        """
        batch = self.encode(obs, action, obs)
        estimator, self.estimator = self.estimator, "expected"
        try:
            return self.score_transitions(batch)
        finally:
            self.estimator = estimator

    def _fit(self, updates: int) -> dict[str, float]:
        held_out = self.fresh()
        before = self.prediction_target.evaluate(held_out, self._predicted(held_out), self.target_whitener)
        figures = self.posterior.fit(self.batches(updates), self.target_whitener.varies, len(self.pool), self.check_loss)
        if self.posterior.reads_pool:
            self.posterior.refresh(*self.whitened(self.pool.all()))
        self._draw()
        fitted = self.prediction_target.r2(held_out, self._predicted(held_out), self.target_whitener)
        return figures | before | {"r2_fitted": fitted}

    @torch.inference_mode(False)
    def add_transitions(self, batch: Transitions) -> None:
        """As in :class:`vime.Bonus`; a posterior that learns online learns from them at once."""
        super().add_transitions(batch)
        if self.ready and self.posterior.reads_pool and len(batch.obs):
            with torch.no_grad():
                self.posterior.absorb(*self.whitened(batch))

    def _predicted(self, batch: Transitions) -> Tensor:
        """Return predicted whitened targets (B, D)."""
        if not len(batch.obs):
            return batch.target
        with torch.no_grad():
            return self.posterior.predicted(self.input_whitener(self.inputs(batch)))

    def _model_state(self) -> State:
        return self.posterior.state() | nest(noise=self._noise_state())

    def _noise_state(self) -> State:
        return {str(i): n for i, n in enumerate(self._draws.noise + self._draws.free_noise)}

    def _load_model_state(self, state: State) -> None:
        noise = part_of(state, "noise", required=bool(self._draws.noise))
        expect_like(noise, self._noise_state(), "the noise of the scores (draws=)")
        self.posterior.load({key: value for key, value in state.items() if not key.startswith("noise.")})
        both = [noise[str(i)].to(torch.float32, copy=True) for i in range(len(noise))]
        self._draws = self._draws._replace(noise=both[: len(both) // 2], free_noise=both[len(both) // 2 :])
