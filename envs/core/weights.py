"""Weights of the reward of a task."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Weights:
    """Weights of the reward. Lengths count as shares of the class distance, so the defaults need no tuning for a data set.

    The *cost* of a state is `distance` times its distance to the input, plus `implausibility` times its mean distance to the
    five nearest reference rows of the target class. A step pays the change of the cost, so that a whole walk pays the cost of
    its end point, whatever path led there.

    Args:
        success: reward for arriving.
        step: cost of a step.
        path: cost of walking one class distance.
        distance: cost of being one class distance away from the input.
        implausibility: cost of being one class distance away from the target class's own data.
        progress: height of the potential, the scaled log probability of the target.

    Example:
        >>> Weights(distance=1.0).success
        4.0
    """

    success: float = 4.0
    step: float = 0.05
    path: float = 0.0
    distance: float = 2.0
    implausibility: float = 0.0
    progress: float = 2.3
