"""A walk that a person takes, step by step: every move is one `envs.core.dynamics.step`; it can be undone, driven by a walker
and taken over again, and it becomes an ordinary `Trajectory`."""

from __future__ import annotations

import copy
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor

from agents.app.curiosity import SessionSteps
from agents.app.inputs import Entered
from agents.explanation.explain import enter_aimed
from agents.explanation.targets import Aim
from agents.trajectories.goal import recorded_input
from agents.trajectories.recording import Origin, trajectories_of
from agents.trajectories.shown import Shown, shown_of
from agents.trajectories.trajectory import Trajectory
from agents.walkers.base import Walk, lost_at_the_start
from agents.walkers.retarget import to_the_end_class
from agents.walkers.walker import Walker
from envs.core import dynamics
from envs.core.state import State, StepInfo
from envs.core.world import World
from envs.goals import Goal

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
        target: class to reach, or an aim of `agents.explanation.targets.read_aims` with this input alone; None: the task's
            own rule.

    Attributes:
        world: where the steps are taken: of a goal or a group of classes, its own view of the explorer's world.
        steps: all steps, those after the cursor included.
        seen: is shown every step that is taken; None: nobody is.
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

    def __init__(self, world: World, entered: Entered, target: int | Aim | None = None) -> None:
        if not isinstance(target, Aim):
            target = Aim(world, world, [0], None if target is None or not world.task.takes_target else [target])
        self.aim = target
        self.world, self.entered = self.aim.walked_in, entered
        self.start, queries, present = enter_aimed(self.world, entered.x, self.aim.targets, entered.cells)
        self.queries = int(queries) + self.aim.queries
        self.refused = bool(present) and self.aim.requested is not None
        self.seen: SessionSteps | None = None
        self.steps: list[Taken] = []
        self.cursor = 0

    @classmethod
    def of_path(cls, path: Trajectory, world: World) -> HandWalk:
        """The walk of a path, at its last frame; the input is queried again, and what was predicted on the way is known.

        Raises:
            TrajectoryError: it was walked in another world.
        """
        own, x, cells, held = recorded_input(path, world)
        entered = Entered(x, cells, f"the input of {path.name}", path.index, path.row)
        walk = cls(world, entered, Aim(own, own, [0], [path.target], path.requested))
        walk.refused = False
        walk.start = walk.start._replace(source=torch.tensor([path.source]), held=walk.start.held if held is None else held)
        known = np.eye(own.classes, dtype=np.float32)[path.predicted] if path.predictions is None else path.predictions
        for action, prediction in zip(path.actions, known[1:], strict=True):
            walk.move(torch.from_numpy(action)[None], path.walker, torch.from_numpy(prediction)[None])
        return walk

    @property
    def goal(self) -> Goal | None:
        """The goal on a score or on labels; None for classes."""
        return self.world.goal

    @property
    def target(self) -> int:
        """Index of the class or outcome to reach."""
        return int(self.start.target)

    @property
    def class_names(self) -> list[str]:
        """Of the classes, or of the goal's outcomes."""
        return list(map(str, self.world.class_names))

    @property
    def predictions(self) -> np.ndarray:
        """(T+1, K) on all frames, those after the cursor included."""
        return np.concatenate([self.state_at(t).prediction.numpy() for t in range(len(self.steps) + 1)])

    @property
    def scores(self) -> np.ndarray | None:
        """(T+1,) the score of each frame; None for classes and labels."""
        return None if self.goal is None else self.goal.scores(self.predictions)

    @property
    def shown(self) -> Shown:
        """What displays show along the walk: the target's probability, or the score."""
        if (group := self.world.task.group) is not None:
            return Shown(self.predictions[:, group].sum(1), f"p({self.aim.requested})")
        found = shown_of(self)
        assert found is not None
        return found

    @property
    def reference_scores(self) -> list[float]:
        """The least and the largest score of the reference rows; empty without scores."""
        known = None if self.goal is None else self.goal.scores(self.world.reference.prediction.numpy())
        return [] if known is None else [float(known.min()), float(known.max())]

    @property
    def state(self) -> State:
        """At the cursor."""
        return self.state_at(self.cursor)

    def state_at(self, frame: int) -> State:
        """At a frame."""
        return self.start if frame == 0 else self.steps[frame - 1].state

    @property
    def kept(self) -> list[Taken]:
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
        before = self.state
        state, info = dynamics.step(self.world, before, action, known, reuse=True)
        if self.seen is not None:
            self.seen.add(self.world, before, action, state)
        self.steps = [*self.kept, Taken(action, state, info, by)]
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

    def towards(self, aim: Aim) -> HandWalk:
        """The same steps on the way to another target.

        What the classifier predicted is known, so that a class or a group of classes takes no query; with another goal on a
        score or on labels, the input and every step are queried again.
        """
        known = aim.world.classifier is self.world.classifier
        if known:
            other = copy.copy(self)
            other.aim, other.world, begun = aim, aim.walked_in, self.start
            asked = None if aim.targets is None else aim.targets[0]
            place = self.world.manifold.coordinates(begun.z0, begun.factual)
            wanted = begun.source if asked is None else torch.tensor([asked])
            target = other.world.default_target(place, begun.source) if aim.targets is None else wanted
            other.start = dynamics.refresh(other.world, begun._replace(target=target))
            group = other.world.task.group
            other.refused = group is not None and bool(other.world.task.in_group(begun.source))
        else:
            other = HandWalk(self.world, self.entered, aim)
            other.queries += self.queries
        if other.refused:
            return other
        other.steps, other.cursor, other.seen = [], 0, None
        for taken in self.steps:
            other.move(taken.action, taken.by, taken.state.prediction if known else None)
        other.cursor, other.seen = self.cursor, self.seen
        return other

    def hesitates(self, frame: int) -> bool:
        """Whether the step to this frame was a walker's and did not raise the target's probability."""
        if frame == 0 or self.steps[frame - 1].by == HAND:
            return False
        group = self.world.task.group or (self.target,)
        before, after = (self.state_at(t).prediction[0, group].sum() for t in (frame - 1, frame))
        return bool(after <= before)

    def trajectory(self) -> Trajectory:
        """The walk up to the cursor as a path, which costs no query."""
        steps, states = self.kept, [self.state_at(t) for t in range(self.cursor + 1)]
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
        start = self.start
        if self.aim.world is not self.world:
            start, walk = to_the_end_class(self.aim.world, start, walk)
        by = "+".join(dict.fromkeys(taken.by for taken in steps)) or HAND
        own = self.entered
        path = trajectories_of(
            self.aim.world, start, walk, Origin(requested=self.aim.requested), walker=by,
            index=None if own.held_out is None else [own.held_out], rows=None if own.row is None else [own.row],
        )[0]  # fmt: skip
        first = next((t for t in range(self.cursor + 1) if self._arrived_at(t)), self.cursor)
        path.__dict__.update(world=self.aim.world, beyond=self.cursor - max(first, 1) if self.cursor else 0)
        return path

    def _arrived_at(self, frame: int) -> bool:
        if frame:
            return bool(self.steps[frame - 1].info.is_success)
        lost = lost_at_the_start(self.start, self.start.prediction, torch.zeros(1, dtype=torch.int64))
        return bool(dynamics.arrived(self.world, self.start)) and not bool(lost)


def _unit(action: Tensor) -> Any:
    """The action within the unit ball, as `dynamics.step` takes it."""
    return action / action.norm(dim=1, keepdim=True).clamp_min(1.0)
