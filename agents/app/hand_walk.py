"""A walk that a person takes, step by step: every move is one `envs.core.dynamics.step`; it can be undone, driven by a walker
and taken over again, and it becomes an ordinary `Trajectory`."""

from __future__ import annotations

from typing import Any, NamedTuple

import torch
from torch import Tensor

from agents.app.inputs import Entered
from agents.trajectories.recording import Origin, trajectories_of
from agents.trajectories.trajectory import Trajectory
from agents.walkers.base import Walk, lost_at_the_start
from agents.walkers.walker import Walker
from envs.core import dynamics
from envs.core.state import State, StepInfo
from envs.core.world import World

HAND = "hand"  # walker of the steps that a person takes


class Taken(NamedTuple):
    """One step of the walk.

    Attributes:
        action: (1, d) as given to `dynamics.step`.
        state: (1) after the step.
        info: what the step reported.
        by: `HAND`, or the name of the walker.
    """

    action: Tensor
    state: State
    info: StepInfo
    by: str


class HandWalk:
    """One walk of one person.

    Args:
        world: where to walk.
        entered: the input.
        target: class to reach; None: the task's own rule.

    Attributes:
        steps: all steps, those after the cursor included.
        cursor: the frame that is shown; the next move starts there and replaces the steps after it.
        queries: rows that the classifier was queried with for this walk, undone steps included.

    Example:
        >>> from agents.app.inputs import held_out_row
        >>> from envs import make_world
        >>> world = make_world()
        >>> walk = HandWalk(world, held_out_row(world, 0))
        >>> walk.move(torch.ones(1, 2))
        >>> walk.cursor, walk.queries, walk.trajectory().walker
        (1, 2, 'hand')
    """

    def __init__(self, world: World, entered: Entered, target: int | None = None) -> None:
        self.world, self.entered = world, entered
        requested = None if target is None or not world.task.takes_target else torch.tensor([target])
        self.start, queries = dynamics.enter(world, entered.x, requested, entered.cells)
        self.queries = int(queries)
        self.steps: list[Taken] = []
        self.cursor = 0

    @property
    def state(self) -> State:
        """At the cursor."""
        return self.state_at(self.cursor)

    def state_at(self, frame: int) -> State:
        """At a frame."""
        return self.start if frame == 0 else self.steps[frame - 1].state

    @property
    def shown(self) -> list[Taken]:
        """The steps up to the cursor: the walk as it is saved."""
        return self.steps[: self.cursor]

    @property
    def arrived(self) -> bool:
        """Whether the frame at the cursor satisfies the task by a step of this walk."""
        return self._arrived_at(self.cursor)

    def move(self, action: Tensor, by: str = HAND, known: Tensor | None = None) -> None:
        """Take one step from the cursor; the steps after it are dropped.

        Args:
            action: (1, d).
            by: who takes it.
            known: (1, K) prediction for the new frame, where it was queried before; None: the classifier is queried.
        """
        state, info = dynamics.step(self.world, self.state, action, known, reuse=True)
        self.steps = [*self.shown, Taken(action, state, info, by)]
        self.cursor += 1
        self.queries += int(info.queries)

    def goto(self, frame: int) -> None:
        """Move the cursor; costs no query."""
        self.cursor = min(max(frame, 0), len(self.steps))

    def drive(self, walker: Walker, generator: torch.Generator) -> int:
        """Let a walker go on from the cursor until it arrives or gives up; the cursor stays where it is.

        Args:
            walker: takes the steps.
            generator: of walkers that sample.

        Returns:
            The number of its steps.
        """
        begun = self.cursor
        walk = walker.walk(self.world, self.state, torch.zeros(1, dtype=torch.int64), generator)
        for t in range(int(walk.length[0])):
            self.move(walk.actions[t], walker.name, walk.predictions[t + 1])
        self.queries += int(walk.queries[0])
        taken, self.cursor = self.cursor - begun, begun
        return taken

    def retarget(self, target: int) -> None:
        """Walk the same steps towards another class; what the classifier predicted is known."""
        begun, steps, cursor = self.start, self.steps, self.cursor
        self.start = dynamics.refresh(self.world, begun._replace(target=torch.tensor([target])))
        self.steps, self.cursor = [], 0
        for taken in steps:
            self.move(taken.action, taken.by, taken.state.prediction)
        self.cursor = cursor

    def hesitates(self, frame: int) -> bool:
        """Whether the step to this frame was a walker's and did not raise the target's probability."""
        if frame == 0 or self.steps[frame - 1].by == HAND:
            return False
        before, after = (self.state_at(t).prediction[0, int(self.start.target)] for t in (frame - 1, frame))
        return bool(after <= before)

    def trajectory(self) -> Trajectory:
        """The walk up to the cursor as a path, which costs no query."""
        steps, states = self.shown, [self.state_at(t) for t in range(self.cursor + 1)]
        d = self.world.latent_dim
        walk = Walk(
            z=torch.stack([state.z for state in states]),
            actions=torch.stack([_unit(taken.action) for taken in steps]) if steps else torch.zeros(0, 1, d),
            predictions=torch.stack([state.prediction for state in states]),
            rewards=torch.stack([taken.info.reward for taken in steps]) if steps else torch.zeros(0, 1),
            length=torch.tensor([len(steps)]),
            success=torch.tensor([self.arrived]),
            queries=torch.tensor([self.queries]),
        )
        by = "+".join(dict.fromkeys(taken.by for taken in steps)) or HAND
        own = self.entered
        path = trajectories_of(
            self.world, self.start, walk, Origin(), walker=by,
            index=None if own.held_out is None else [own.held_out], rows=None if own.row is None else [own.row],
        )[0]  # fmt: skip
        first = next((t for t in range(self.cursor + 1) if self._arrived_at(t)), self.cursor)
        path.__dict__.update(world=self.world, beyond=self.cursor - max(first, 1) if self.cursor else 0)
        return path

    def _arrived_at(self, frame: int) -> bool:
        if frame:
            return bool(self.steps[frame - 1].info.is_success)
        lost = lost_at_the_start(self.start, self.start.prediction, torch.zeros(1, dtype=torch.int64))
        return bool(dynamics.arrived(self.world, self.start)) and not bool(lost)


def _unit(action: Tensor) -> Any:
    """The action within the unit ball, as `dynamics.step` takes it."""
    return action / action.norm(dim=1, keepdim=True).clamp_min(1.0)
