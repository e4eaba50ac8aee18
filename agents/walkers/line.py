"""The straight latent line to the nearest unlike neighbour: the baseline of every walk."""

from __future__ import annotations

from typing import ClassVar

import torch
from torch import Tensor

from agents.walkers.base import Recorder, Walk, lost_at_the_start, select
from agents.walkers.follow import follow
from agents.walkers.goals import neighbour_goals, queried_goals
from agents.walkers.merge import merge
from agents.walkers.planning.refine import refine_last
from agents.walkers.walker import Walker
from envs.core.state import State
from envs.core.world import World


class LineWalker(Walker):
    """Walks along the latent line to the nearest unlike neighbour, up to the first frame that satisfies the task.

    The nearest unlike neighbour of an input is the nearest reference input (in data space) that the classifier puts into the
    target class. The line leads in latent space from frame 0 to its encoding. The predictions of reference inputs are cached,
    so finding the neighbour costs no query. Where that line does not arrive on a table, the frames at the next nearest
    neighbours are queried, one query each, and the first one that arrives is walked to.

    Args:
        refine: the most further queries per item for a shorter last step.
        arriving: choose among the neighbours whose own decoded frame satisfies the task, where there are any: the line then
            ends where the task is satisfied. False: the plain nearest unlike neighbour.
        tries: the most further neighbours of an item that are queried.

    Example:
        >>> from agents.explain import explain
        >>> from envs import make_world
        >>> explain(make_world(), 0, walker=LineWalker(refine=0)).success
        True
    """

    name: ClassVar[str] = "line"
    to_known_goals: ClassVar[bool] = True
    straight: ClassVar[bool] = True

    def __init__(self, refine: int = 2, arriving: bool = True, tries: int = 16) -> None:
        self.refine = refine
        self.arriving = arriving
        self.tries = tries

    def walk(
        self,
        world: World,
        state: State,
        initial_latent_queries: Tensor,
        generator: torch.Generator,
        max_steps: int | None = None,
    ) -> Walk:
        """See `Walker.walk`."""
        walk = super().walk(world, state, initial_latent_queries, generator, max_steps)
        rows = torch.nonzero(~walk.success & ~lost_at_the_start(state, walk.predictions[0], walk.length)).flatten()
        if not world.units.anchored or not self.arriving or not self.tries or len(rows) == 0:
            return walk
        again = select(state, rows)
        goals, found, queries = queried_goals(world, again, self.tries)
        recorder = Recorder(world, again, queries, max_steps)
        self.towards(recorder, goals, found)
        refine_last(recorder, self.refine)
        return merge(walk, rows, recorder.walk())

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
