"""What every walker is: a `Walk`, written down step by step, and the `Walker` protocol.

A walker gets a batch of states and returns a `Walk`. Whatever its idea is - a trained policy, a straight line, a
gradient - each step it takes goes through `envs.core.dynamics.step`, the one implementation of a step. So the actions
written down, taken again from frame 0, reproduce the path in the environment, no step is longer than
`world.max_step`, and no code leaves the prior's typical set.

Counting: `queries` of an item is every row asked of the classifier for it: the input and frame 0 (the entry), each
step, each candidate or trial that was looked at, retries. An item that has finished is not asked again.

Symbols: B items, d latent dimensions, K classes, S most steps.
"""

from __future__ import annotations

from typing import ClassVar, NamedTuple, Protocol, runtime_checkable

import numpy as np
import torch
from torch import Tensor

from envs.core import dynamics
from envs.core.state import State, StepInfo
from envs.core.world import World

#: What of a state a step changes; the rest is the walk's own.
MOVING = ("z", "frame", "prediction", "potential", "cost", "guidance")


class Walk(NamedTuple):
    """Paths of a batch of items, one column an item; after its end an item's column repeats its last frame."""

    z: Tensor  # (S+1, B, d) latents, z[0] is frame 0
    actions: Tensor  # (S, B, d) as given to dynamics.step; 0 after the end
    predictions: Tensor  # (S+1, B, K) the classifier's answers on the frames (one-hot where label only)
    rewards: Tensor  # (S, B); 0 after the end
    length: Tensor  # (B,) int64 steps taken: the item has length + 1 frames
    success: Tensor  # (B,) bool: arrived, by a step or at a frame 0 that is called like the input
    queries: Tensor  # (B,) int64 rows asked of the classifier for the item
    gain: Tensor | None = None  # (S, B) information gain in nats, where a curious agent measured it
    planned: Tensor | None = None  # (B,) int64: how many of the last steps were planned (see plan.py), not the policy's own


@runtime_checkable
class Walker(Protocol):
    """A way of walking. `white_box` ones ask the classifier for gradients and say so in their name.

    One that looks at the cached answers of known items has `uses_starts = True`: they were asked for before.
    """

    name: ClassVar[str]
    white_box: ClassVar[bool]

    def walk(
        self,
        world: World,
        state: State,
        initial_latent_queries: Tensor,
        generator: torch.Generator,
        max_steps: int | None = None,
    ) -> Walk:
        """Walk from every state of the batch until success, or `max_steps` (None: as the world says)."""
        ...


def select(state: State, rows: Tensor) -> State:
    """The items `rows` (int64 indices or bool mask) of a batch of states; the state itself where that is all of them."""
    if _all_of(rows, len(state.z)):
        return state
    index = rows.numpy()
    return State(*(torch.from_numpy(part.numpy()[index]) for part in state))


def put(state: State, rows: Tensor, new: State) -> State:
    """`state` with the items `rows` where `new`, a later state of theirs, has them; both arguments stay as they are."""
    if _all_of(rows, len(state.z)):
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
        return bool(rows.all())
    return len(rows) == count and (count == 1 or torch.equal(rows, torch.arange(count)))


def rows_asked_before(walker: Walker, world: World) -> int:
    """Classifier rows that a walker without training rests on: those of each start if it looks at them, else 0.

    Two a start, the second one on frame 0 or on the decoded code, and a third where the manifold leans on the input
    (`World.reference.end_predictions`).
    """
    return (
        (3 if world.manifold.input_conditioned else 2) * len(world.reference.x) if getattr(walker, "uses_starts", False) else 0
    )


def lost_at_the_start(state: State, predictions: Tensor, length: Tensor) -> Tensor:
    """Which items stand at frame 0 and are called otherwise there than their input was, (B,) bool: no walk shows that change.

    Args:
        state: the items at frame 0.
        answers: (B, K) the classifier's answers on frame 0.
        length: (B,) steps taken.
    """
    return (length == 0) & (predictions.argmax(1) != state.source)


class Recorder:
    """Walks a batch and writes it down. Items move independently: each call names the rows that move.

    `trial` asks what an action would lead to (and counts it), `accept` makes a trial the next step, `step` does both.

    Args:
        world: where to walk.
        state: (B) states at frame 0.
        entry_queries: (B,) rows already asked for each item (the input and frame 0; 0 for cached starts).
        max_steps: S, the most steps of an item.
    """

    def __init__(self, world: World, state: State, initial_latent_queries: Tensor, max_steps: int | None = None) -> None:
        self.world = world
        self.max_steps = int(world.max_episode_steps if max_steps is None else max_steps)
        self.state = state
        self.before = state  # each item's state before its latest step
        batch, d = state.z.shape
        self.z = state.z.detach().repeat(self.max_steps + 1, 1, 1)
        self.predictions = state.prediction.detach().repeat(self.max_steps + 1, 1, 1)
        self.actions = torch.zeros(self.max_steps, batch, d)
        self.rewards = torch.zeros(self.max_steps, batch)
        self.length = torch.zeros(batch, dtype=torch.int64)
        self.success = dynamics.arrived(world, state).clone()
        self.planned = torch.zeros(batch, dtype=torch.int64)
        self.queries = torch.as_tensor(initial_latent_queries, dtype=torch.int64).expand(batch).clone()

    def active(self) -> Tensor:
        """Rows that have neither arrived nor used up their steps, int64 (A,)."""
        return torch.from_numpy(np.flatnonzero(~self.success.numpy() & (self.length.numpy() < self.max_steps)))

    def trial(self, rows: Tensor, action: Tensor, factual: State | None = None) -> tuple[State, StepInfo]:
        """What `action` (R, d) would lead to from where `rows` (R, repeats allowed) are, or from `factual`."""
        start = select(self.state, rows) if factual is None else factual
        state, info = dynamics.step(self.world, start, action)
        self.queries.index_add_(0, rows, info.queries.to(torch.int64))
        return state, info

    def accept(self, rows: Tensor, action: Tensor, state: State, info: StepInfo, start: State | None = None) -> None:
        """Write the outcome of a trial, from `start` if that is at hand, down as the next step of `rows` (no repeats)."""
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
        """Put another outcome in the place of the latest step of `rows`."""
        self.state = put(self.state, rows, select(self.before, rows))
        self.length[rows] -= 1
        self.accept(rows, action, state, info)

    def walk(self) -> Walk:
        """What has been written down so far, cut to the longest item."""
        steps = int(self.length.max()) if len(self.length) else 0
        late = torch.arange(steps + 1)[:, None] > self.length[None]  # (steps + 1, B): after the item's end
        columns = torch.arange(len(self.length))
        z, predictions = self.z[: steps + 1].clone(), self.predictions[: steps + 1].clone()
        z = torch.where(late[..., None], z[self.length, columns][None], z)
        predictions = torch.where(late[..., None], predictions[self.length, columns][None], predictions)
        gone = late[1:]
        return Walk(
            z=z,
            actions=self.actions[:steps].masked_fill(gone[..., None], 0.0),
            predictions=predictions,
            rewards=self.rewards[:steps].masked_fill(gone, 0.0),
            length=self.length.clone(),
            success=self.success & ~lost_at_the_start(self.state, self.predictions[0], self.length),
            queries=self.queries.clone(),
            planned=self.planned.clone(),
        )
