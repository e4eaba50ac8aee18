"""The record of a walk: `Walk`, and the `Recorder` that writes it down step by step.

A walker gets a batch of states and returns a `Walk`. Whatever its strategy, each step goes through `envs.core.dynamics.step`,
the one implementation of a step. So the recorded actions, taken again from frame 0, reproduce the path in the environment, no
step is longer than `world.max_step`, and no code leaves the prior's typical set.

Queries: `queries` of an item counts every row that the classifier predicted for it: the input and frame 0 (the initial
    latent),
each step, each candidate that was tried, retries. An item that has finished costs no further query.

Symbols: B items, d latent dimensions, K classes, S step limit.
"""

from __future__ import annotations

from typing import NamedTuple, TypeVar

import numpy as np
import torch
from torch import Tensor

from envs.core import dynamics
from envs.core.state import State, StepInfo
from envs.core.world import World

PartsT = TypeVar("PartsT", State, StepInfo)
#: The parts of a state that a step changes; the others stay as they are throughout a walk.
MOVING = ("z", "frame", "prediction", "potential", "cost", "guidance")


class Walk(NamedTuple):
    """Paths of a batch of items, one column per item; after its end an item's column repeats its last frame.

    Example:
        >>> import torch
        >>> from agents.walkers import make_walker
        >>> from envs import make_world
        >>> from envs.core import dynamics
        >>> world = make_world()
        >>> state, queries = dynamics.enter(world, world.held_out.x[:2])
        >>> walk = make_walker("line").walk(world, state, queries, torch.Generator())
        >>> walk.z.shape[1:]
        torch.Size([2, 2])
    """

    z: Tensor  # (S+1, B, d) latents, z[0] is frame 0
    actions: Tensor  # (S, B, d) as given to dynamics.step; 0 after the end
    predictions: Tensor  # (S+1, B, K) the classifier's probabilities on the frames (one-hot where label only)
    rewards: Tensor  # (S, B); 0 after the end
    length: Tensor  # (B,) int64 steps taken: the item has length + 1 frames
    success: Tensor  # (B,) bool: the task is satisfied, by a step or at a frame 0 of the input's own class
    queries: Tensor  # (B,) int64 classifier queries for the item
    gain: Tensor | None = None  # (S, B) information gain in nats, where a curious agent measured it
    planned: Tensor | None = None  # (B,) int64: how many of the last steps were planned, see planning.last_step


def select(parts: PartsT, rows: Tensor) -> PartsT:
    """The items `rows` (int64 indices or bool mask) of a batch of states or step infos; all of them: the batch itself."""
    if _all_of(rows, parts[0].shape[0]):
        return parts
    index = rows.numpy()
    return type(parts)(*(torch.from_numpy(part.numpy()[index]) for part in parts))


def put(state: State, rows: Tensor, new: State) -> State:
    """`state` with its items `rows` replaced by `new`, a later state of those items; the arguments are not changed."""
    if _all_of(rows, state.z.shape[0]):
        return new

    index = rows.numpy()

    def replaced(old: Tensor, part: Tensor) -> Tensor:
        out = old.numpy().copy()
        out[index] = part.numpy()
        return torch.from_numpy(out)

    moving = {name: replaced(getattr(state, name), getattr(new, name)) for name in MOVING}
    return state._replace(**moving)


def _all_of(rows: Tensor, count: int) -> bool:
    """Whether `rows` are all of `count` items, in order."""
    if rows.dtype == torch.bool:
        return bool(rows.numpy().all())
    return rows.shape[0] == count and (count == 1 or bool((rows.numpy() == np.arange(count)).all()))


def lost_at_the_start(state: State, predictions: Tensor, length: Tensor) -> Tensor:
    """Items that ended at frame 0, where the reconstruction is of another class than the input, (B,) bool.

    No step of a walk made that change, so these items are not successes.

    Args:
        state: (B) the items at frame 0.
        predictions: (B, K) the classifier's probabilities on frame 0.
        length: (B,) steps taken.
    """
    still = length.numpy() == 0
    return torch.from_numpy(still & (predictions.numpy().argmax(1) != state.source.numpy()) if still.any() else still)


class Recorder:
    """Takes the steps of a batch and records them. Items move independently: each call names the rows that move.

    `trial` computes what an action leads to (and counts the query), `accept` records a trial as the next step, `step` does
    both.

    Args:
        world: where to walk.
        state: (B) states at frame 0.
        initial_latent_queries: (B,) queries made for each item so far (the input and frame 0; 0 for cached ones).
        max_steps: S, the step limit; None: the world's own.

    Example:
        >>> import torch
        >>> from envs import make_world
        >>> from envs.core import dynamics
        >>> world = make_world(data="digits")
        >>> recorder = Recorder(world, *dynamics.enter(world, world.held_out.x[:2]), max_steps=1)
        >>> _ = recorder.step(recorder.active(), torch.zeros(2, world.latent_dim))
        >>> recorder.walk().queries.tolist()
        [3, 3]
    """

    def __init__(self, world: World, state: State, initial_latent_queries: Tensor, max_steps: int | None = None) -> None:
        self.world = world
        self.max_steps = int(world.max_episode_steps if max_steps is None else max_steps)
        self.state = state
        self.before = state  # the state of each item before its latest step
        batch, d = state.z.shape
        self.z, self.predictions = (
            torch.from_numpy(np.repeat(part.detach().numpy()[None], self.max_steps + 1, axis=0))
            for part in (state.z, state.prediction)
        )
        self.actions = torch.zeros(self.max_steps, batch, d)
        self.rewards = torch.zeros(self.max_steps, batch)
        self.length = torch.zeros(batch, dtype=torch.int64)
        self.success = torch.from_numpy(dynamics.arrived(world, state).numpy().copy())
        self.planned = torch.zeros(batch, dtype=torch.int64)
        self.queries = torch.as_tensor(initial_latent_queries, dtype=torch.int64).expand(batch).clone()

    @classmethod
    def resumed(cls, world: World, start: State, walk: Walk, max_steps: int | None = None) -> Recorder:
        """A recorder at the ends of a walk, which can go on from there; costs no query.

        Args:
            world: where to go on.
            start: (B) the states at frame 0, with the targets to go on to.
            walk: of these items.
            max_steps: S, the step limit, the walk's own steps included; None: the world's own.
        """
        limit = world.max_episode_steps if max_steps is None else max_steps
        found = cls(world, start, walk.queries, max(limit, len(walk.actions)))
        steps, items = len(walk.actions), torch.arange(len(walk.length))
        found.z[: steps + 1], found.predictions[: steps + 1] = walk.z, walk.predictions
        found.actions[:steps], found.rewards[:steps] = walk.actions, walk.rewards
        found.length, found.success = walk.length.clone(), walk.success.clone()
        found.planned = torch.zeros_like(walk.length) if walk.planned is None else walk.planned.clone()

        def at(index: Tensor) -> State:
            z, prediction = walk.z[index, items].clone(), walk.predictions[index, items].clone()
            with torch.inference_mode():
                frame = torch.where(
                    (index == 0).view(-1, *[1] * (start.frame.ndim - 1)), start.frame, world.decode(z, start.home)
                )
                return dynamics.refresh(world, start._replace(z=z, frame=frame, prediction=prediction))

        found.state, found.before = at(walk.length), at((walk.length - 1).clamp_min(0))
        return found

    def active(self) -> Tensor:
        """Items that have neither succeeded nor reached the step limit, int64 (A,)."""
        return torch.from_numpy(np.flatnonzero(~self.success.numpy() & (self.length.numpy() < self.max_steps)))

    def trial(self, rows: Tensor, action: Tensor, factual: State | None = None) -> tuple[State, StepInfo]:
        """The outcome of an action, without taking the step; counts its queries.

        Args:
            rows: (R,) items, repeats allowed.
            action: (R, d) an action for each.
            factual: (R) states to start from; None: where the items are.
        """
        start = select(self.state, rows) if factual is None else factual
        state, info = dynamics.step(self.world, start, action, reuse=True)
        np.add.at(self.queries.numpy(), rows.numpy(), info.queries.numpy())
        return state, info

    def accept(self, rows: Tensor, action: Tensor, state: State, info: StepInfo, start: State | None = None) -> None:
        """Record the outcome of a trial as the next step.

        Args:
            rows: (R,) items, no repeats.
            action: (R, d) the actions tried.
            state: (R) the states they led to.
            info: of the trial.
            start: (R) the states before, if at hand.
        """
        self.before = put(self.before, rows, select(self.state, rows) if start is None else start)
        self.state = put(self.state, rows, state)
        index, length = rows.numpy(), self.length.numpy()
        at = length[index]
        self.actions.numpy()[at, index] = action.detach().numpy()
        self.rewards.numpy()[at, index] = info.reward.numpy()
        self.z.numpy()[at + 1, index] = state.z.detach().numpy()
        self.predictions.numpy()[at + 1, index] = state.prediction.numpy()
        length[index] = at + 1
        self.success.numpy()[index] = info.is_success.numpy()

    def step(self, rows: Tensor, action: Tensor) -> StepInfo:
        """One step of the items `rows` (R,) with `action` (R, d)."""
        start = select(self.state, rows)
        state, info = self.trial(rows, action, start)
        self.accept(rows, action, state, info, start)
        return info

    def replace_last(self, rows: Tensor, action: Tensor, state: State, info: StepInfo) -> None:
        """Replace the latest step of the items `rows` (R,) by another outcome; arguments as in `accept`."""
        self.state = put(self.state, rows, select(self.before, rows))
        self.length.numpy()[rows.numpy()] -= 1
        self.accept(rows, action, state, info)

    def walk(self) -> Walk:
        """The record so far, cut to the longest item."""
        length = self.length.numpy()
        steps = int(length.max(initial=0))
        z, predictions = (part.numpy()[: steps + 1].copy() for part in (self.z, self.predictions))
        actions, rewards = (part.numpy()[:steps].copy() for part in (self.actions, self.rewards))
        step, item = np.nonzero(np.arange(1, steps + 1)[:, None] > length)  # after the item's end
        for part in (z, predictions):
            part[step + 1, item] = part[length[item], item]
        actions[step, item], rewards[step, item] = 0.0, 0.0
        return Walk(
            z=torch.from_numpy(z),
            actions=torch.from_numpy(actions),
            predictions=torch.from_numpy(predictions),
            rewards=torch.from_numpy(rewards),
            length=self.length.clone(),
            success=self.success & ~lost_at_the_start(self.state, self.predictions[0], self.length),
            queries=self.queries.clone(),
            planned=self.planned.clone(),
        )
