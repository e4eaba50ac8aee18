"""Merging two walks of the same items: successful retries replace failures, and all queries are added."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn.functional import pad

from agents.walkers.base import Walk


def merge(walk: Walk, rows: Tensor, again: Walk, failed: bool = False) -> Walk:
    """Replace items of a walk by their successful retries.

    Args:
        walk: B items.
        rows: (R,) the items that were walked again.
        again: those R items.
        failed: take the retries that failed, too.

    Returns:
        `walk` with the items for which `again` succeeded taken from it. The queries of both are added for every retried item.
    """
    steps = max(len(walk.actions), len(again.actions))
    old, new = lengthen(walk, steps), lengthen(again, steps)
    better = again.success | failed
    into = rows[better]

    def mixed(a: Tensor, b: Tensor, axis: int) -> Tensor:
        out = a.clone()
        if axis == 0:
            out[into] = b[better]
        else:
            out[:, into] = b[:, better]
        return out

    queries = walk.queries.clone()
    queries.index_add_(0, rows, again.queries)
    both = old.planned is not None and new.planned is not None
    gain = mixed(old.gain, new.gain, 1) if old.gain is not None and new.gain is not None else None
    return Walk(
        z=mixed(old.z, new.z, 1),
        actions=mixed(old.actions, new.actions, 1),
        predictions=mixed(old.predictions, new.predictions, 1),
        rewards=mixed(old.rewards, new.rewards, 1),
        length=mixed(old.length, new.length, 0),
        success=mixed(old.success, new.success, 0),
        queries=queries,
        gain=gain,
        planned=mixed(old.planned, new.planned, 0) if both else None,  # type: ignore[arg-type]
    )


def lengthen(walk: Walk, steps: int) -> Walk:
    """The same walk padded to `steps` steps: the last frame repeated, with zero actions and rewards."""
    extra = steps - len(walk.actions)
    if extra <= 0:
        return walk

    def held(part: Tensor) -> Tensor:
        return torch.cat([part, part[-1:].expand(extra, *part.shape[1:])])

    return walk._replace(
        z=held(walk.z),
        predictions=held(walk.predictions),
        actions=pad(walk.actions, (0, 0, 0, 0, 0, extra)),
        rewards=pad(walk.rewards, (0, 0, 0, extra)),
        gain=None if walk.gain is None else pad(walk.gain, (0, 0, 0, extra)),
    )
