"""The straight latent line to the nearest unlike neighbour: the baseline of every walk."""

from __future__ import annotations

from typing import ClassVar

import torch
from torch import Tensor

from agents.walkers.base import Recorder
from agents.walkers.follow import follow
from agents.walkers.goals import neighbour_goals
from agents.walkers.walker import Walker


class LineWalker(Walker):
    """Walks along the latent line to the nearest unlike neighbour, up to the first frame that satisfies the task.

    The nearest unlike neighbour of an input is the nearest reference input (in data space) that the classifier puts into the
    target class. The line leads in latent space from frame 0 to its encoding. The predictions of reference inputs are cached,
    so finding the neighbour costs no query.

    Args:
        refine: the most further queries per item for a shorter last step.
        arriving: choose among the neighbours whose own decoded frame satisfies the task, where there are any: the line then
            ends where the task is satisfied. False: the plain nearest unlike neighbour.

    Example:
        >>> from agents.explain import explain
        >>> from envs import make_world
        >>> explain(make_world(), 0, walker=LineWalker(refine=0)).success
        True
    """

    name: ClassVar[str] = "line"
    to_known_goals: ClassVar[bool] = True
    straight: ClassVar[bool] = True

    def __init__(self, refine: int = 2, arriving: bool = True) -> None:
        self.refine = refine
        self.arriving = arriving

    def steps(self, recorder: Recorder, generator: torch.Generator) -> None:
        """Walk to the goals; draws nothing."""
        goals, found = neighbour_goals(recorder.world, recorder.state, self.arriving)
        self.towards(recorder, goals, found)

    def towards(self, recorder: Recorder, goals: Tensor, found: Tensor) -> None:
        """Walk towards the latents `goals` (B, d) of the items that have one, `found` (B,) bool; subclasses take other
        ways."""
        world = recorder.world
        follow(recorder, goals[None], found.to(torch.int64))
        if world.units.anchored and world.task.towards_target:  # frames there are not the reference inputs': try a second goal
            follow(recorder, world.reference.z[world.reference.prototypes[recorder.state.target]][None], found.to(torch.int64))
