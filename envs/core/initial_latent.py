"""Where a walk enters the manifold: an input's code, or a code near it whose frame is still called what the input is.

Decoding a code loses something of the input, and for sentences often the very word that the classifier goes by. A walk that
begins where the answer has changed already explains nothing. `kept` therefore looks further where the code's own frame is
called otherwise: along the latent lines to the nearest starts of the input's class whose frames keep it, which lie where real
data do. Candidates are asked in the order of their distance to the input, so that the first one that keeps the class is the
nearest one; every row asked is counted. Nothing is drawn: the same input enters at the same place, alone or in a batch.

Shapes: B inputs, d latent, C candidates an input, K classes.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, NamedTuple

import torch
from torch import Tensor

from envs.modalities.alignment import edit_distances
from envs.modalities.vocabulary import PAD

if TYPE_CHECKING:
    from envs.core.world import World

NEIGHBOURS = 6  # starts towards which is looked
PARTS = 5  # places on the way to each


class Entered(NamedTuple):
    """Codes z (B, d), frames 0 (B, \\*data_shape), the classifier's answers (B, K) on them, and the rows asked (B,)."""

    z: Tensor
    frame: Tensor
    prediction: Tensor
    queries: Tensor


def code(world: World, x: Tensor, source: Tensor) -> Entered:
    """At the code of inputs x (B, \\*data_shape), whatever the classifier says of its frame: `source` (B,) is not read."""
    z = world.manifold.encode(x)
    frame = world.decode(z, x)
    return Entered(z, frame, world.classifier.predict_proba(frame), torch.ones(len(x), dtype=torch.int64))


def kept(world: World, x: Tensor, source: Tensor) -> Entered:
    """At the code of inputs x (B, \\*data_shape), or, where its frame is not called `source` (B,), at the candidate nearest to
    the input that is; at the code where none is."""
    found = code(world, x, source)
    rows = (found.prediction.argmax(1) != source).nonzero()[:, 0]
    if not len(rows):
        return found
    z, frame, prediction, queries = (part.clone() for part in found)
    options = _candidates(world, x[rows], z[rows], source[rows])
    count = options.shape[1]
    frames = world.decode(options.flatten(0, 1), x[rows].repeat_interleave(count, 0)).unflatten(0, (len(rows), count))
    order, worth = _order(x[rows], frames, frame[rows])
    for rank in range(count):
        place = order[:, rank]
        asked = worth.gather(1, place[:, None])[:, 0].nonzero()[:, 0]
        if not len(asked):
            continue
        chosen = frames[asked, place[asked]]
        said = world.classifier.predict_proba(chosen)
        queries[rows[asked]] += 1
        good = said.argmax(1) == source[rows[asked]]
        into = rows[asked[good]]
        z[into], frame[into], prediction[into] = options[asked, place[asked]][good], chosen[good], said[good]
        worth[asked[good]] = False
    return Entered(z, frame, prediction, queries)


INITIAL_LATENTS: dict[str, Callable[[World, Tensor, Tensor], Entered]] = {"code": code, "kept": kept}


def _candidates(world: World, x: Tensor, z: Tensor, source: Tensor) -> Tensor:
    """Codes (R, C, d) on the lines from codes z (R, d) to the nearest starts of their class whose own frames keep it."""
    reference = world.reference
    like = (reference.label[None] == source[:, None]) & (world.reference_predictions.argmax(1) == reference.label)[None]
    gaps = torch.cdist(world.manifold.coordinates(z, x), world.reference_coordinates).masked_fill_(~like, torch.inf)
    gap, nearest = gaps.topk(min(NEIGHBOURS, len(reference.z)), dim=1, largest=False)
    goals = torch.where(torch.isfinite(gap)[..., None], reference.z[nearest], z[:, None])
    share = torch.arange(1, PARTS + 1) / PARTS
    lines = z[:, None, None] + share[:, None] * (goals - z[:, None])[:, :, None]  # (R, neighbours, parts, d)
    return world.manifold.prior.project(lines.flatten(0, 2)).view(len(z), -1, z.shape[1])


def _order(x: Tensor, frames: Tensor, frame: Tensor) -> tuple[Tensor, Tensor]:
    """Order (R, C) of candidate frames (R, C, \\*data_shape) by their distance to inputs x, and which are worth a question:
    those that differ from frame 0 and from every one before."""
    rows, count = frames.shape[:2]
    flat = frames.reshape(rows, count, -1)
    if frames.is_floating_point():
        gap = (flat - x.reshape(rows, 1, -1)).norm(dim=2)
    else:
        told = edit_distances(x.repeat_interleave(count, 0).numpy(), flat.flatten(0, 1).numpy(), PAD)
        gap = torch.from_numpy(told).view(rows, count)
    every = torch.cat((frame.reshape(rows, 1, -1), flat), dim=1)
    same = (every[:, :, None] == every[:, None]).all(3)
    first = ~same.tril(-1).any(2)[:, 1:]
    return gap.argsort(dim=1, stable=True), first
