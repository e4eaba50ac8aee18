"""A random walk: the lower baseline."""

from __future__ import annotations

from typing import ClassVar

import torch

from agents.walkers.base import Recorder
from agents.walkers.walker import Walker


class RandomWalker(Walker):
    """Takes full actions in directions drawn uniformly from the unit sphere, until success or the step limit.

    Example:
        >>> from agents.explain import explain
        >>> from envs import make_world
        >>> explain(make_world(), 0, walker=RandomWalker(), seed=0).success
        True
    """

    name: ClassVar[str] = "random"

    def steps(self, recorder: Recorder, generator: torch.Generator) -> None:
        """Walk at random; draws (B, d) normal numbers a step."""
        batch, d = recorder.state.z.shape
        while len(rows := recorder.active()):
            # Drawn for the whole batch: the walk of an item does not depend on when the others finish.
            direction = torch.randn(batch, d, generator=generator)[rows]
            recorder.step(rows, direction / direction.norm(dim=1, keepdim=True).clamp_min(1e-12))
