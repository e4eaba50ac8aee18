"""The pure batched step: the one implementation of a walk's physics.

    z' = project(move(z, a));  x' = decode(z');  answer' = classifier(x')

Environments, walkers, explaining and replaying all call `step`. B walks, latent dimension d, K classes; tensors are float32
(frames of text: int64) and live on the CPU unless said. Lengths are measured in `Manifold.coordinates`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import torch
from torch import Tensor

from envs.core.factual import Factual
from envs.core.guidance import appraise
from envs.core.initial_latent import INITIAL_LATENTS
from envs.core.tasks import scaled_log
from envs.errors import ManifoldError
from envs.manifolds.networks.arrays import norm

if TYPE_CHECKING:
    from envs.core.world import World


MAX_SHORTENINGS = 30


class State(NamedTuple):
    """What a walk carries on.

    Attributes:
        z: (B, d) present code.
        z0: (B, d) code of frame 0.
        frame: (B, \\*data_shape) decoded z, as the classifier saw it.
        origin: (B, \\*data_shape) the input that is explained.
        cells, base: of the input, see `envs.core.factual.Factual`.
        answer: (B, K) the classifier's answer on `frame`; the one-hot label where only labels are shown.
        source: (B,) class of the classifier's answer on `factual`.
        target: (B,) class asked for.
        potential: (B,) shaping potential of this state.
        cost: (B,) what the reward counts against it; see `envs.core.tasks.Weights`.
        guidance: (B, 2 d) which way the known costs fall, (B, 0) in a world without one.
    """

    z: Tensor
    z0: Tensor
    frame: Tensor
    factual: Tensor
    cells: Tensor
    base: Tensor
    prediction: Tensor
    source: Tensor
    target: Tensor
    potential: Tensor
    cost: Tensor
    guidance: Tensor

    @property
    def home(self) -> Factual:
        """The inputs as frames are made of them."""
        return Factual(self.factual, self.cells, self.base)


class StepInfo(NamedTuple):
    """What one step tells.

    Attributes:
        reward: (B,).
        terminated: (B,) bool, the task's end.
        is_success: (B,) bool.
        step_length: (B,) data-space distance between the two frames.
        typicality: (B,) see `Manifold.typicality`.
        queries: (B,) int64, classifier rows asked in this step.
        goal: (B,) probability asked for (0 or 1 where only labels are shown).
    """

    reward: Tensor
    terminated: Tensor
    is_success: Tensor
    step_length: Tensor
    typicality: Tensor
    queries: Tensor
    goal: Tensor


def arrived(world: World, state: State) -> Tensor:
    """Whether each walk has reached what its task asks, (B,) bool."""
    return world.task.arrived(world, state, world.task.goal(state))


def start(world: World, index: Tensor, target: Tensor) -> State:
    """States of cached starts `index` (B,) with targets (B,); asks the classifier nothing."""
    rows = index.numpy()
    x, z, frame, prediction, label, cells, base = (torch.from_numpy(part.numpy()[rows]) for part in world.reference)
    return refresh(world, State(z, z.clone(), frame, x, cells, base, prediction, label, target, label, label, label))


def enter(world: World, x: Tensor, target: Tensor | None = None, cells: Tensor | None = None) -> tuple[State, Tensor]:
    """States of any inputs x (B, \\*data_shape), and the rows asked for each (B,): one for the input, one for frame 0 where
    that is not the input itself, and one for every candidate that was looked at where the world's entry is a search (see
    `envs.core.initial_latent`).

    Without a target: whichever other class is nearest for tasks that reach one, else the source class. Without the inputs'
    cells (B, C), see `World.factual_of`.

    Raises:
        ManifoldError: a target outside the classes.
    """
    with torch.inference_mode():
        if world.units.anchored:
            z = world.manifold.encode(x)
            factual, frame = world.factual_of(x, z, cells), x
            prediction, queries = world.predictions(x, factual), torch.zeros(len(x), dtype=torch.int64)
            source = prediction.argmax(1)
        else:
            factual = world.factual_of(x)
            source = world.predictions(x, factual).argmax(1)
            z, frame, prediction, queries = INITIAL_LATENTS[world.entry](world, x, source)
        if target is None:
            target = world.default_target(world.manifold.coordinates(z, x), source)
        elif int(target.min()) < 0 or int(target.max()) >= world.classes:
            raise ManifoldError(f"targets must be class indices from 0 to {world.classes - 1}, got {target.tolist()}")
        state = refresh(world, State(z, z.clone(), frame, *factual, prediction, source, target, target, target, target))
    return state, queries + 1


def refresh(world: World, state: State) -> State:
    """The state with what follows from it computed anew, after a change of target."""
    place, home = (world.manifold.coordinates(*pair) for pair in ((state.z, state.frame), (state.z0, state.factual)))
    cost, guidance = appraise(world, state.z, place, home, state.target)
    potential = world.task.potential(world, state, world.task.goal(state))
    return state._replace(potential=potential, cost=cost, guidance=guidance)


def step(world: World, state: State, action: Tensor, known: Tensor | None = None) -> tuple[State, StepInfo]:
    """One step of every walk with actions (B, d); longer ones are shortened to the unit ball. One classifier row a walk, none
    where the answers (B, K) on the new frames are `known`."""
    manifold, task = world.manifold, world.task
    with torch.inference_mode():
        given = action.numpy()
        size = np.sqrt(np.einsum("ij,ij->i", given, given))  # silent where an action is too long for float32
        action = torch.from_numpy(given / np.maximum(size, 1)[:, None])
        z = manifold.prior.project(world.move(manifold, state.z, action, world.step_length))
        frame = _decoded(world, z, state.home)
        before, home = manifold.coordinates(state.z, state.frame), manifold.coordinates(state.z0, state.factual)
        length = torch.from_numpy(norm((manifold.coordinates(z, frame) - before).numpy()))
        if world.max_step is not None:
            z, frame, length = _shortened(world, state, z, frame, length)
        prediction = world.predictions(frame, state.home) if known is None else known
        cost, guidance = appraise(world, z, manifold.coordinates(z, frame), home, state.target)
        moved = state._replace(z=z, frame=frame, prediction=prediction, cost=cost, guidance=guidance)
        goal = task.goal(moved)
        success = task.arrived(world, moved, goal)
        moved = moved._replace(potential=task.potential(world, moved, goal))
        reward = _reward(world, state, moved, success, length)
        queries = torch.full((len(z),), int(known is None), dtype=torch.int64)
        return moved, StepInfo(reward, success, success, length, manifold.typicality(z), queries, goal)


def _decoded(world: World, z: Tensor, factual: Factual) -> Tensor:
    """`World.decode`, the way that is quicker for a row and no slower for many."""
    return torch.from_numpy(world.linear_decode(z.numpy(), factual)[0])


def _reward(world: World, before: State, after: State, success: Tensor, length: Tensor) -> Tensor:
    """Reward (B,) of steps of these data-space lengths."""
    weights, over = world.task.weights, success.numpy()
    # Potential-based shaping with Phi = 0 at terminal states: gamma Phi' - Phi.
    reward = np.where(over, np.float32(weights.success), after.potential.numpy() * world.gamma) - before.potential.numpy()
    reward -= after.cost.numpy() - before.cost.numpy()
    reward -= weights.step
    if weights.path:
        reward -= (weights.path / world.class_distance) * length.numpy()
    return torch.from_numpy(reward)


def _shortened(world: World, state: State, z: Tensor, frame: Tensor, length: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Pull codes back along their segments until no frame is further than `max_step` from the last: a path has no jumps."""
    assert world.max_step is not None
    # Views: what is written to them is written to the tensors.
    code, picture, far, first, start = (part.numpy() for part in (z, frame, length, state.z, state.frame))
    rows = np.flatnonzero(far > world.max_step)
    for _ in range(MAX_SHORTENINGS):
        if not len(rows):
            return z, frame, length
        # The decoder is smooth: the linear estimate lands within the bound at once, almost always.
        share = (0.98 * world.max_step / far[rows])[:, None]
        code[rows] = nearer = first[rows] + share * (code[rows] - first[rows])
        shorter = _decoded(world, torch.from_numpy(nearer), state.home.chosen(torch.from_numpy(rows)))
        picture[rows] = shorter.numpy()
        before, after = (
            world.manifold.coordinates(torch.from_numpy(a), b).numpy()
            for a, b in ((first[rows], torch.from_numpy(start[rows])), (nearer, shorter))
        )
        far[rows] = norm(after - before)
        rows = rows[far[rows] > world.max_step]
    # A decoder that jumps, or rounds more coarsely than the bound: these walks stay where they are.
    code[rows], picture[rows], far[rows] = first[rows], start[rows], 0.0
    return z, frame, length


def observe(world: World, state: State) -> Tensor:
    """Observation (B, obs_dim): z and z0 as shares of the prior's radius, the scaled log answer, the target one-hot; and the
    compass in a world that has one.

    Where only labels are shown the answer part holds the one-hot label less one: -1 or 0.
    """
    with torch.inference_mode():
        scale = 1 / world.manifold.prior.radius
        codes = state.z.numpy() * scale, state.z0.numpy() * scale
        target_one_hot = world.one_hot.numpy()[state.target.numpy()]
        parts = (*codes, scaled_log(state.prediction).numpy(), target_one_hot, state.guidance.numpy())
        return torch.from_numpy(np.concatenate(parts, axis=1))
