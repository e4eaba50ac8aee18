"""The straight latent line to the nearest unlike neighbour: what a walk has to be better than.

The nearest unlike neighbour of an input is the nearest known item (in data space) that the classifier puts into the
class asked for; the line leads in latent space from frame 0 to its encoding and is cut where the task is satisfied.
Known items are the world's start latents, whose answers are cached, so finding one asks nothing.
"""

from __future__ import annotations

from typing import ClassVar

import torch
from torch import Tensor

from agents.walkers.base import Recorder, Walk
from agents.walkers.follow import follow
from agents.walkers.goals import neighbour_goals
from agents.walkers.planning.refine import refine_last
from envs.core.state import State
from envs.core.world import World


class LineWalker:
    """Latent line to the nearest unlike neighbour, cut at success.

    Args:
        refine: most further questions an item for a finer last step.
        arriving: choose among the neighbours whose own decoded frame satisfies the task, where there are any: the
            line then ends where the task is satisfied. False: the plain nearest unlike neighbour.
    """

    name: ClassVar[str] = "line"
    white_box: ClassVar[bool] = False
    uses_starts: ClassVar[bool] = True

    def __init__(self, refine: int = 2, arriving: bool = True) -> None:
        self.refine = refine
        self.arriving = arriving

    def walk(
        self,
        world: World,
        state: State,
        initial_latent_queries: Tensor,
        generator: torch.Generator,
        max_steps: int | None = None,
    ) -> Walk:
        """See `Walker.walk`; draws nothing from `generator`."""
        recorder = Recorder(world, state, initial_latent_queries, max_steps)
        goals, found = neighbour_goals(world, state, self.arriving)
        self._lead(world, recorder, goals, found)
        refine_last(recorder, self.refine)
        return recorder.walk()

    def _lead(self, world: World, recorder: Recorder, goals: Tensor, found: Tensor) -> None:
        """Walk towards the goals (B, d) where there is one, found (B,); other ways there override this."""
        follow(recorder, goals[None], found.to(torch.int64))
        if world.units.anchored and world.task.towards_target:  # frames there are not the known items': try a second one
            follow(recorder, world.reference.z[world.reference.prototypes[recorder.state.target]][None], found.to(torch.int64))
