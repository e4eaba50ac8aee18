"""The initial latent of a walk: the input's code, or a code near it whose frame keeps the input's predicted class.

Decoding a code loses part of the input; of a sentence, often the very word that decides the prediction. A walk whose frame 0
has another class already explains nothing. `kept` therefore searches where that happens: along the latent lines to the nearest
reference rows of the input's class whose frames keep it. Candidates are queried in the order of their distance to the input,
so that the first one that keeps the class is the nearest; every queried row is counted. Nothing is random: an input has the
same initial latent alone and in a batch. A new way is one function and one line in `INITIAL_LATENTS`.

Shapes: B inputs, d latent, C candidates an input, K classes.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import torch
from torch import Tensor

from envs.core.nearest import nearest
from envs.core.registry import find
from envs.core.world import World
from envs.errors import ManifoldError
from envs.manifolds.base import Pull

NEIGHBOURS = 6  # reference rows towards which candidates lie
PARTS = 5  # candidates on the line to each


class Entered(NamedTuple):
    """Initial latents.

    Attributes:
        z: (B, d) codes.
        frame: (B, \\*data_shape) frames 0.
        prediction: (B, K) predictions for them.
        queries: (B,) int64.
        pull: the decoder's vector-Jacobian product at z, see `Manifold.linearized`; None: computed on demand.

    Example:
        >>> from envs import make_world
        >>> world = make_world(data="digits")
        >>> code(world, world.held_out.x[:2], world.reference.label[:2]).queries.tolist()
        [1, 1]
    """

    z: Tensor
    frame: Tensor
    prediction: Tensor
    queries: Tensor
    pull: Pull | None = None


def code(world: World, x: Tensor, source: Tensor) -> Entered:
    """The codes of inputs x (B, \\*data_shape), whatever the predictions for their frames; `source` (B,) is not used."""
    z = world.manifold.encode(x)
    decoded, pull = world.linear_decode(z.numpy(), world.factual_of(x))
    frame = torch.from_numpy(decoded)
    return Entered(z, frame, world.classifier.predict_proba(frame), torch.ones(len(x), dtype=torch.int64), pull)


def kept(world: World, x: Tensor, source: Tensor) -> Entered:
    """The codes of inputs x (B, \\*data_shape). If the frame of a code is not predicted as `source` (B,): the candidate
    nearest to the input whose frame is, or the code if there is none."""
    plain = code(world, x, source)
    rows = (plain.prediction.argmax(1) != source).nonzero()[:, 0]
    if not len(rows):
        return plain
    z, frame, prediction, queries = (part.clone() for part in plain[:4])
    options = _candidates(world, x[rows], z[rows], source[rows])
    count = options.shape[1]
    frames = world.decode(options.flatten(0, 1), x[rows].repeat_interleave(count, 0)).unflatten(0, (len(rows), count))
    order, worth = _order(world, x[rows], frames, frame[rows])
    for rank in range(count):
        place = order[:, rank]
        queried = worth.gather(1, place[:, None])[:, 0].nonzero()[:, 0]
        if not len(queried):
            continue
        chosen = frames[queried, place[queried]]
        found = world.classifier.predict_proba(chosen)
        queries[rows[queried]] += 1
        good = found.argmax(1) == source[rows[queried]]
        into = rows[queried[good]]
        z[into], frame[into], prediction[into] = options[queried, place[queried]][good], chosen[good], found[good]
        worth[queried[good]] = False
    return Entered(z, frame, prediction, queries)


InitialLatent = Callable[[World, Tensor, Tensor], Entered]
INITIAL_LATENTS: dict[str, InitialLatent] = {"code": code, "kept": kept}


def make_initial_latent(initial_latent: Any) -> InitialLatent:
    """The function of a key of `INITIAL_LATENTS`, a ``module:object`` name, or a function.

    Raises:
        UnknownNameError, ManifoldError: no such name, or no function.
    """
    found = find("initial latent", initial_latent, INITIAL_LATENTS, ["module:object"])
    if not callable(found):
        raise ManifoldError(f"initial_latent is a function of (world, x, source) or its name, not {found!r:.60}")
    return found


def _candidates(world: World, x: Tensor, z: Tensor, source: Tensor) -> Tensor:
    """Codes (R, C, d) on the lines from codes z (R, d) to the nearest reference rows of their class whose frames keep it."""
    reference, place = world.reference, world.manifold.coordinates(z, x)
    keeping = reference.end_predictions.argmax(1) == reference.label
    goals = z[:, None].repeat(1, min(NEIGHBOURS, len(reference.z)), 1)
    for label in source.unique().tolist():
        items, rows = (source == label).nonzero()[:, 0], ((reference.label == label) & keeping).nonzero()[:, 0]
        if len(rows):
            index = rows[nearest(place[items], reference.coordinates[rows], NEIGHBOURS)[1]]
            goals[items, : index.shape[1]] = reference.z[index]
    share = torch.arange(1, PARTS + 1) / PARTS
    lines = z[:, None, None] + share[:, None] * (goals - z[:, None])[:, :, None]  # (R, neighbours, parts, d)
    return world.manifold.prior.project(lines.flatten(0, 2)).view(len(z), -1, z.shape[1])


def _order(world: World, x: Tensor, frames: Tensor, frame: Tensor) -> tuple[Tensor, Tensor]:
    """Order (R, C) of candidate frames (R, C, \\*data_shape) by their distance to inputs x, and which are worth a query: those
    that differ from frame 0 and from every one before."""
    rows, count = frames.shape[:2]
    flat, gap = frames.reshape(rows, count, -1), world.units.distance(x, frames)
    every = torch.cat((frame.reshape(rows, 1, -1), flat), dim=1)
    same = (every[:, :, None] == every[:, None]).all(3)
    first = ~same.tril(-1).any(2)[:, 1:]
    return gap.argsort(dim=1, stable=True), first
