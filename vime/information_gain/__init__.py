"""Information gain of transitions in nats: how far a posterior moves if it learns from a transition.

The estimators are files of this folder: exact for the linearised network (``linearized``, and ``joint`` for whole rollouts),
second order (``second_order``), measured after imagined gradient steps (``gradient_step``), and before the next observation
is known (``expected``). The table of their names is :data:`vime.information_gain.estimators.ESTIMATORS`.
"""

from vime.information_gain.draws import draw_noise
from vime.information_gain.expected import expected_gain
from vime.information_gain.gradient_step import gradient_step_gain
from vime.information_gain.joint import Prefix, given_prefix, moments_given_prefix
from vime.information_gain.linearized import (
    Moments,
    expected_gain_of_moments,
    gain_of_moments,
    hidden_features,
    linearized_gain,
    mean_field_moments,
)
from vime.information_gain.second_order import closed_form_gain

__all__ = [
    "Moments",
    "Prefix",
    "closed_form_gain",
    "draw_noise",
    "expected_gain",
    "expected_gain_of_moments",
    "gain_of_moments",
    "given_prefix",
    "gradient_step_gain",
    "hidden_features",
    "linearized_gain",
    "mean_field_moments",
    "moments_given_prefix",
]
