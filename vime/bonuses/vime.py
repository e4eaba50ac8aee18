"""VIME: the bonus is the information that a transition gives about the weights of a Bayesian dynamics network."""

from __future__ import annotations

from typing import Any, ClassVar, Literal

import pyro.settings
import torch
from gymnasium import spaces
from pyro.infer import Trace_ELBO
from torch import Tensor

from vime.arguments import layer_sizes, positive_number, whole_number
from vime.bnn.dynamics import DynamicsBNN, empty_guide
from vime.bnn.gaussian_weights import LayerWeights
from vime.bonuses.base import Bonus
from vime.errors import OptionError
from vime.imagined_step import Direction, gradient_step_gain
from vime.information_gain import closed_form_gain, draw_noise, expected_gain
from vime.pool import Transitions
from vime.serialization import State, expect_like, load_optimizer_state, nest, optimizer_state, part_of

Estimator = Literal["closed_form", "gradient_step", "expected"]
EXPECTED_DRAWS = 8
"""Least number of draws of :meth:`VIME.expected_information_gain`; the result is then close to that of 64 draws."""
UNCHECKED = {
    "validate_distributions_pyro": False,
    "validate_distributions_torch": False,
    "validate_infer": False,
    "validate_poutine": False,
}
"""Pyro's checks, off during a fit: they take a tenth of its time, and inputs and losses are checked here. Each setting is
restored by itself (``pyro.validation_enabled`` would overwrite the user's setting of torch)."""


class VIME(Bonus):
    """Information gain of a transition in nats: KL[posterior after it || posterior before it] of a Pyro BNN.

    Reference: Houthooft et al., "VIME: Variational Information Maximizing Exploration", 2016, arXiv:1605.09674, eq. 3.

    Args:
        hidden: Hidden layers; (32, 32) up to about 6 inputs, (64, 64) from about 16.
        prior_sd: See :class:`vime.DynamicsBNN`.
        init_sd: See :class:`vime.DynamicsBNN`.
        noise: "heteroscedastic": the noise is learned, so that unpredictable targets lose their value. A number: fixed
            standard deviation, as in the paper.
        draws: Samples of the network per score, in antithetic pairs. They are the same for all transitions between two fits,
            so that a score depends on the transition alone. Many: less bias (the mean gradient is squared), linear to
            quadratic cost. The code of the paper uses 10 independent ones.
        estimator: "closed_form": second order, a few microseconds per transition. "gradient_step": take the step and measure
            it, about twenty times slower. "expected": BALD, before the next observation is known.
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
        estimator: Estimator = "closed_form",
        direction: Direction = "gain",
        step_length: float = 1.0,
        steps: int = 1,
        unbiased: bool = False,
        updates: int = 50,
        learning_rate: float = 1e-2,
        **shared: Any,
    ):
        super().__init__(observation_space, action_space, updates=updates, learning_rate=learning_rate, **shared)
        if estimator not in ("closed_form", "gradient_step", "expected"):
            raise OptionError(f'estimator must be "closed_form", "gradient_step" or "expected", got {estimator!r}')
        if direction not in ("gain", "compression", "both"):
            raise OptionError(f'direction must be "gain", "compression" or "both", got {direction!r}')
        if direction != "gain" and estimator != "gradient_step":
            raise OptionError(
                f'direction={direction!r} needs estimator="gradient_step": both directions are equal to second order'
            )
        self.estimator, self.direction, self.unbiased = estimator, direction, bool(unbiased)
        self.step_length, self.steps = positive_number("step_length", step_length), whole_number("steps", steps)
        self.draws = whole_number("draws", draws, least=2 if unbiased or estimator == "expected" else 1)
        with self.random.as_global():
            self.bnn = DynamicsBNN(
                self.input_size,
                self.target_size,
                hidden=layer_sizes("hidden", hidden),
                prior_sd=prior_sd,
                init_sd=init_sd,
                noise=noise,
            )
        self.prior_sd = self.bnn.prior_sd
        self.noise = "heteroscedastic" if self.bnn.head.fixed_sd is None else self.bnn.head.fixed_sd
        self.optimizer = torch.optim.Adam(self.bnn.parameters(), lr=self.learning_rate, fused=True)
        self._posterior: list[LayerWeights] = self.bnn.frozen_posterior()
        self._noise: list[Tensor] = []
        self._free_noise: list[Tensor] = []
        self._refresh()

    def _refresh(self) -> None:
        """Copy the posterior after a fit, and draw the noise of the scores until the next fit."""
        self._posterior = self.bnn.frozen_posterior()
        generator = self.random.generator
        self._noise = draw_noise(self._posterior, self.draws, 1, generator, antithetic=not self.unbiased)
        # The expected gain uses a variance over draws: antithetic ones would overestimate it, and 4 are too few.
        draws = self.draws if self.estimator == "expected" else max(self.draws, EXPECTED_DRAWS)
        self._free_noise = draw_noise(self._posterior, draws, 1, generator)

    def _score(self, batch: Transitions) -> Tensor:
        inputs = self.input_whitener(self.inputs(batch))
        if self.estimator == "expected":
            mask = self.target_whitener.varies.to(torch.float32)
            return expected_gain(self._posterior, self.bnn.head, inputs, self._free_noise, mask=mask)
        targets, counts = self.surprising(batch)
        mask = counts.to(torch.float32)
        if self.estimator == "gradient_step":
            return gradient_step_gain(
                self._posterior,
                self.bnn.head,
                inputs,
                targets,
                self._noise,
                mask=mask,
                step_length=self.step_length,
                steps=self.steps,
                direction=self.direction,
            )
        return closed_form_gain(
            self._posterior,
            self.bnn.head,
            inputs,
            targets,
            self._noise,
            mask=mask,
            step_length=self.step_length,
            unbiased=self.unbiased,
        )

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
        elbo = Trace_ELBO()
        mask, population = self.target_whitener.varies, len(self.pool)
        loss = torch.zeros((), dtype=torch.float32)
        with pyro.settings.context(**UNCHECKED):
            for update, (inputs, targets) in enumerate(self.batches(updates)):
                # Divided by the size of the pool, so that steps do not grow with it.
                loss = elbo.differentiable_loss(self.bnn, empty_guide, inputs, targets, mask, population) / population
                self.check_loss(loss, update)
                self.optimizer.zero_grad(set_to_none=True)
                loss.backward()
                self.optimizer.step()
        self._refresh()
        with torch.no_grad():
            scales = torch.cat([k.scale.flatten() for k in self._posterior])
            return {
                "elbo": -float(loss.detach()),
                "kl_posterior_prior": float(self.bnn.kl_to_prior()),
                **before,
                "r2_fitted": self.prediction_target.r2(held_out, self._predicted(held_out), self.target_whitener),
                "sigma_ratio": float(scales.median()) / self.bnn.prior_sd,
            }

    def _predicted(self, batch: Transitions) -> Tensor:
        """Return whitened targets (B, D), predicted with the mean weights."""
        with torch.no_grad():
            means = [LayerWeights(k.mean, torch.zeros_like(k.scale), k.bias) for k in self.bnn.frozen_posterior()]
            return self.bnn.predict_with(means, self.whitened(batch)[0])[0]

    def _model_state(self) -> State:
        noise = self._noise_state()
        return nest(bnn=self.bnn.state_dict(), optimizer=optimizer_state(self.optimizer), noise=noise)

    def _noise_state(self) -> State:
        return {str(i): n for i, n in enumerate(self._noise + self._free_noise)}

    def _load_model_state(self, state: State) -> None:
        weights, noise = part_of(state, "bnn"), part_of(state, "noise")
        expect_like(weights, self.bnn.state_dict(), "the dynamics network")
        expect_like(noise, self._noise_state(), "the noise of the scores (draws=)")
        self.bnn.load_state_dict(weights)
        load_optimizer_state(self.optimizer, part_of(state, "optimizer", required=False), "the dynamics network")
        self._posterior = self.bnn.frozen_posterior()
        both = [noise[str(i)].to(torch.float32, copy=True) for i in range(len(noise))]
        self._noise, self._free_noise = both[: len(both) // 2], both[len(both) // 2 :]
