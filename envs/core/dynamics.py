"""The pure batched step: the one implementation of a walk's physics.

    z' = project(move(z, a));  x' = decode(z');  p' = classifier(x')

Environments, walkers, explanations and replays all call `step`. B walks, latent dimension d, K classes. Tensors are float32
(frames of text: int64) on the CPU. Lengths are measured in `Manifold.coordinates`.
"""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from envs.core.factual import Factual, differs, nothing_held
from envs.core.guidance import appraise
from envs.core.state import State, StepInfo
from envs.core.tasks import scaled_log
from envs.core.world import World
from envs.errors import ManifoldError
from envs.manifolds.base import Pull
from envs.manifolds.networks.arrays import norm

MAX_SHORTENINGS = 30
LARGE = 64  # walks from which torch decodes faster than numpy


def arrived(world: World, state: State) -> Tensor:
    """Whether each walk has arrived at the goal of the task, (B,) bool."""
    return world.task.arrived(world.reference, state, world.task.goal(state))


def start(world: World, index: Tensor, target: Tensor) -> State:
    """States of the reference rows `index` (B,) with targets (B,). No query."""
    rows = index.numpy()
    x, z, frame, prediction, label, cells, base = (torch.from_numpy(part.numpy()[rows]) for part in world.reference.tensors)
    held = nothing_held(x, world.units.anchored)
    return refresh(world, State(z, z.clone(), frame, x, cells, base, held, prediction, label, target, label, label, label))


def enter(world: World, x: Tensor, target: Tensor | None = None, cells: Tensor | None = None) -> tuple[State, Tensor]:
    """States of any inputs, and the queries that each took.

    Args:
        world: gives the manifold, the classifier and the initial latent.
        x: (B, \\*data_shape) inputs.
        target: (B,) classes; None: the nearest other class for tasks that take a target, else the source class.
        cells: (B, C) of the inputs; None: see `World.factual_of`.

    Returns:
        The states, and (B,) queries: one for the input, one for frame 0 unless that is the input itself, and one for every
        candidate if the initial latent is a search (see `envs.core.initial_latent`).

    Raises:
        ManifoldError: a target outside the classes.
    """
    pull: list[Pull | None] = []
    with torch.inference_mode():
        if world.units.anchored or world.manifold.on_graph:  # frame 0 is the input
            z = world.manifold.encode(x)
            factual, frame = world.factual_of(x, z, cells), x
            prediction, queries = world.predictions(x, factual), torch.zeros(len(x), dtype=torch.int64)
            source = torch.from_numpy(prediction.numpy().argmax(1))
        else:
            factual = world.factual_of(x)
            source = torch.from_numpy(world.predictions(x, factual).numpy().argmax(1))
            z, frame, prediction, queries, *pull = world.initial_latent(world, x, source)
        held = nothing_held(x, world.units.anchored)
        if target is None:
            target = world.default_target(world.manifold.coordinates(z, x), source)
        elif int(target.min()) < 0 or int(target.max()) >= world.classes:
            raise ManifoldError(f"targets must be class indices from 0 to {world.classes - 1}, got {target.tolist()}")
        state = refresh(
            world,
            State(
                z, z.clone(), frame, x, factual.cells, factual.base, held, prediction, source, target, target, target, target
            ),
            *pull,
        )
    return state, queries + 1


def refresh(world: World, state: State, pull: Pull | None = None) -> State:
    """The state with cost, guidance and potential computed anew, after a change of target; `pull` as for `appraise`."""
    z = state.z.numpy()
    place = world.manifold.coordinate_arrays(z, state.frame.numpy())
    home = world.manifold.coordinate_arrays(state.z0.numpy(), state.factual.numpy())
    cost, guidance = map(torch.from_numpy, appraise(world, z, place, home, state.target.numpy(), pull))
    potential = world.task.potential(world.reference, state, world.task.goal(state))
    return state._replace(potential=potential, cost=cost, guidance=guidance)


def step(
    world: World, state: State, action: Tensor, known: Tensor | None = None, reuse: bool = False
) -> tuple[State, StepInfo]:
    """One step of every walk. Its arithmetic is on numpy arrays, which share memory with the tensors of the states.

    Args:
        world: the manifold, classifier, move and task.
        state: of B walks.
        action: (B, d); longer actions are shortened to the unit ball.
        known: (B, K) predictions for the new frames; None: the classifier is queried, one row a walk.
        reuse: query no row of a table that holds the same values as the frame before, whose prediction is known.

    Returns:
        The new state, and what the step reports.

    Example:
        >>> import torch
        >>> from envs import make_world
        >>> world = make_world(data="digits")
        >>> state = start(world, torch.tensor([0, 1]), torch.tensor([3, 4]))
        >>> state, info = step(world, state, torch.ones(2, world.latent_dim))
        >>> info.reward.shape
        torch.Size([2])
    """
    manifold, task = world.manifold, world.task
    with torch.inference_mode():
        wanted = action.numpy()
        size = np.sqrt(np.einsum("ij,ij->i", wanted, wanted))  # silent where an action is too long for float32
        taken = torch.from_numpy(wanted / np.maximum(size, 1)[:, None])
        z = manifold.projected(world.move(manifold.near(state.factual), state.z, taken, world.step_length).numpy())
        pull: Pull | None = None
        if manifold.on_graph:  # the code becomes that of the sentence, and a step is one edit
            code, picture = manifold.nearest(torch.from_numpy(z), state.frame, state.factual)
            z, frame = code.numpy(), picture.numpy()
        else:
            frame, pull = _decoded(world, z, state.home)
        before = manifold.coordinate_arrays(state.z.numpy(), state.frame.numpy())
        place = manifold.coordinate_arrays(z, frame)
        length = norm(place - before)
        if world.max_step is not None and not manifold.on_graph and (length > world.max_step).any():
            pull = _shorten(world, state, before, z, frame, length, pull)
            place = manifold.coordinate_arrays(z, frame)
        code, picture = torch.from_numpy(z), torch.from_numpy(frame)
        if known is not None:
            prediction, queried = known, torch.zeros(len(z), dtype=torch.int64)
        elif reuse and world.units.anchored:
            prediction, queried = _predicted(world, state, picture)
        else:
            prediction, queried = world.predictions(picture, state.home), torch.from_numpy(np.ones(len(z), np.int64))
        home = manifold.coordinate_arrays(state.z0.numpy(), state.factual.numpy())
        cost, guidance = map(torch.from_numpy, appraise(world, z, place, home, state.target.numpy(), pull))
        moved = state._replace(z=code, frame=picture, prediction=prediction, cost=cost, guidance=guidance)
        goal = task.goal(moved)
        success = task.arrived(world.reference, moved, goal)
        moved = moved._replace(potential=task.potential(world.reference, moved, goal))
        reward, lengths = _reward(world, state, moved, success, length), torch.from_numpy(length)
        return moved, StepInfo(reward, success, success, lengths, manifold.typicality(code), queried, goal)


def _predicted(world: World, before: State, frame: Tensor) -> tuple[Tensor, Tensor]:
    """Predictions (B, K) for frames, and the queries of each (B,): one for those with another value than the frame before."""
    cells, old = (world.units.exact(part, before.home) for part in (frame, before.frame))
    if cells is None or old is None:
        return world.predictions(frame, before.home), torch.ones(len(frame), dtype=torch.int64)
    new = differs(cells, old).any(1)
    prediction = before.prediction.clone()
    if bool(new.any()):
        prediction[new] = world.classifier.predict_proba(frame[new], cells[new])
    return prediction, new.long()


def _decoded(world: World, z: np.ndarray, factual: Factual) -> tuple[np.ndarray, Pull | None]:
    """Frames (B, \\*data_shape) of codes (B, d), and the decoder's vector-Jacobian product there, where the guidance needs it
    or it costs nothing."""
    if len(z) >= LARGE and not world.guidance:
        return world.decode(torch.from_numpy(z), factual).numpy(), None
    return world.linear_decode(z, factual)


def _reward(world: World, before: State, after: State, success: Tensor, length: np.ndarray) -> Tensor:
    """Reward (B,) of steps of data-space lengths (B,)."""
    weights = world.task.weights
    # Potential-based shaping with Phi = 0 at terminal states: gamma Phi' - Phi.
    reward = np.where(success.numpy(), np.float32(weights.success), after.potential.numpy() * world.gamma)
    reward -= before.potential.numpy()
    reward -= after.cost.numpy()
    reward += before.cost.numpy()
    reward -= weights.step
    if weights.path:
        reward -= (weights.path / world.reference.class_distance) * length
    return torch.from_numpy(reward)


def _shorten(
    world: World, state: State, before: np.ndarray, z: np.ndarray, frame: np.ndarray, length: np.ndarray, pull: Pull | None
) -> Pull | None:
    """Pull codes back along their segments until no frame is further than `max_step` from the last one.

    Args:
        world: gives the bound and the decoder.
        state: before the step.
        before: (B, D) coordinates of its frames.
        z: (B, d) codes, changed in place.
        frame: (B, \\*data_shape) their frames, changed in place.
        length: (B,) data-space lengths of the steps, changed in place.
        pull: the decoder's vector-Jacobian product at z.

    Returns:
        The vector-Jacobian product at the new codes; None where a part of it cannot be replaced.
    """
    assert world.max_step is not None
    first = state.z.numpy()
    rows = np.flatnonzero(length > world.max_step)
    for _ in range(MAX_SHORTENINGS):
        # The decoder is smooth: the linear estimate lands within the bound at once, almost always.
        every = len(rows) == len(z)
        chosen = slice(None) if every else rows
        share = (0.98 * world.max_step / length[chosen])[:, None]
        z[chosen] = nearer = first[chosen] + share * (z[chosen] - first[chosen])
        shorter, part = _decoded(world, nearer, state.home if every else state.home.chosen(torch.from_numpy(rows)))
        if every:
            pull = part
        elif (put := getattr(pull, "put", None)) is not None:
            put(rows, part)
        else:
            pull = None
        frame[chosen] = shorter
        length[chosen] = norm(world.manifold.coordinate_arrays(nearer, shorter) - before[chosen])
        rows = rows[length[rows] > world.max_step]
        if not len(rows):
            return pull
    # A decoder that jumps, or rounds more coarsely than the bound: these walks stay where they are.
    z[rows], frame[rows], length[rows] = first[rows], state.frame.numpy()[rows], 0.0
    return None


def observe(world: World, state: State) -> Tensor:
    """Observations (B, obs_dim): z and z0 divided by the prior's radius, the scaled log prediction, the target one-hot, and
    the guidance features and the static of distractors in a world that has them.

    If the classifier returns only labels, the prediction part is the one-hot label less one: -1 or 0.
    """
    with torch.inference_mode():
        scale = 1 / world.manifold.prior.radius
        z, guidance = state.z.numpy(), state.guidance.numpy()
        rest = (guidance, world.manifold.static(state.z).numpy()) if world.manifold.static_size else (guidance,)
        (n, d), classes = z.shape, state.prediction.shape[1]
        at = 2 * (d + classes)
        out = np.empty((n, at + sum(part.shape[1] for part in rest)), np.float32)
        np.multiply(z, scale, out=out[:, :d])
        np.multiply(state.z0.numpy(), scale, out=out[:, d : 2 * d])
        out[:, 2 * d : at - classes] = scaled_log(state.prediction).numpy()
        out[:, at - classes : at] = world.one_hot.numpy()[state.target.numpy()]
        for part in rest:
            out[:, at : at + part.shape[1]] = part
            at += part.shape[1]
        return torch.from_numpy(out)
