"""The table of estimators of the information gain. To add one: a function and a line."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

from torch import Tensor

from vime.bnn.gaussian_weights import LayerWeights
from vime.errors import OptionError
from vime.information_gain.expected import expected_gain
from vime.information_gain.gradient_step import Direction, gradient_step_gain
from vime.information_gain.linearized import expected_gain_of_moments, gain_of_moments
from vime.information_gain.second_order import closed_form_gain
from vime.posteriors.base import Posterior


class Draws(NamedTuple):
    """What the estimators that draw networks need beside the transitions.

    Attributes:
        noise: Antithetic draws, one tensor (S, 1, O) for each layer.
        free_noise: Independent draws, for variances over draws.
        step_length: lambda.
        steps: Natural-gradient steps.
        direction: Of the measured KL.
        unbiased: Leave out pairs of a draw with itself.
    """

    noise: list[Tensor]
    free_noise: list[Tensor]
    step_length: float
    steps: int
    direction: Direction
    unbiased: bool


Gain = Callable[[Posterior, Draws, Tensor, Tensor, Tensor], Tensor]
"""(posterior, draws, whitened inputs (B, I), targets (B, D), mask (D,) or (B, D)) -> gains (B,) in nats."""


class Estimator(NamedTuple):
    """An entry of the table.

    Attributes:
        gain: The function.
        summary: One line of help.
        needs_layers: Whether it works on the layers of a mean-field posterior only.
        least_draws: Least number of draws.
        sees_next: Whether it depends on the next observation.
    """

    gain: Gain
    summary: str
    needs_layers: bool
    least_draws: int = 1
    sees_next: bool = True


def _layers(posterior: Posterior) -> list[LayerWeights]:
    if posterior.layers is None:
        raise OptionError(f"{type(posterior).__name__} has no mean-field layers to draw from")
    return posterior.layers


def _linearized(posterior: Posterior, draws: Draws, inputs: Tensor, targets: Tensor, mask: Tensor) -> Tensor:
    return gain_of_moments(posterior.moments(inputs), targets, mask=mask)


def _second_order(posterior: Posterior, draws: Draws, inputs: Tensor, targets: Tensor, mask: Tensor) -> Tensor:
    return closed_form_gain(
        _layers(posterior), posterior.head, inputs, targets, draws.noise, mask=mask, step_length=draws.step_length,
        unbiased=draws.unbiased,
    )  # fmt: skip


def _gradient_step(posterior: Posterior, draws: Draws, inputs: Tensor, targets: Tensor, mask: Tensor) -> Tensor:
    return gradient_step_gain(
        _layers(posterior), posterior.head, inputs, targets, draws.noise, mask=mask, step_length=draws.step_length,
        steps=draws.steps, direction=draws.direction,
    )  # fmt: skip


def _expected(posterior: Posterior, draws: Draws, inputs: Tensor, targets: Tensor, mask: Tensor) -> Tensor:
    if posterior.layers is None:
        return expected_gain_of_moments(posterior.moments(inputs), mask=mask)
    return expected_gain(posterior.layers, posterior.head, inputs, draws.free_noise, mask=mask)


ESTIMATORS: dict[str, Estimator] = {
    "linearized": Estimator(_linearized, "exact for the linearised network, forward passes alone", False),
    "second_order": Estimator(_second_order, "second order in the step; overestimates where the likelihood is sharp", True),
    "gradient_step": Estimator(_gradient_step, "take the steps and measure the KL; some twenty times slower", True),
    "expected": Estimator(_expected, "BALD: before the next observation is known", False, least_draws=2, sees_next=False),
}
"""The estimators by the name that ``VIME(estimator=...)`` takes."""
