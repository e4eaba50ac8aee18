"""Straight latent lines to given codes."""

from __future__ import annotations

import torch
from torch import Tensor

from agents.walkers.base import Recorder
from agents.walkers.line import LineWalker


class TowardsWalker(LineWalker):
    """Walks like the line, towards a code that is given for each input instead of its nearest unlike neighbour.

    Args:
        goals: (B, d) codes, one for each input of the batch.

    Example:
        >>> from agents.explain import explain
        >>> from envs import make_world
        >>> world = make_world(data="digits")
        >>> end = world.reference.z[world.reference.label == 9][:1]
        >>> explain(world, 0, target="9", walker=TowardsWalker(end)).walker
        'line'
    """

    def __init__(self, goals: Tensor) -> None:
        super().__init__(tries=0)
        self.goals = goals

    def steps(self, recorder: Recorder, generator: torch.Generator) -> None:
        """Walk to the codes; draws nothing."""
        self.towards(recorder, self.goals, torch.ones(len(self.goals), dtype=torch.bool))
