"""Rivals of walks through series: the nearest unlike neighbour, and a native guide.

Source: Delaney, Greene and Keane, "Instance-based Counterfactual Explanations for Time Series Classification", ICCBR 2021. The
original places the interval by class activations; a black box has none, so every place is tried.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

from envs import World

PLACES = 24  # places of an interval of one length, at most
LENGTHS = 24  # lengths of intervals, at most


class Ends(NamedTuple):
    """What a way found for B inputs.

    Attributes:
        x: (B, D) ends.
        success: (B,) whether the decision changed.
        queries: (B,) made.

    Example:
        >>> Ends(torch.zeros(1, 4), torch.ones(1, dtype=torch.bool), torch.ones(1)).x.shape
        torch.Size([1, 4])
    """

    x: Tensor
    success: Tensor
    queries: Tensor


def unlike(world: World, rows: list[int], tau: float | None) -> tuple[Tensor, Tensor, Tensor]:
    """Classes (B,) of the inputs, and their nearest reference series (B, D) that satisfy the task, with their classes (B,)."""
    x, reference = world.held_out.x[rows], world.reference
    source = world.answers_held_out(rows).argmax(1)
    sure = reference.prediction.amax(1) >= (tau or 0.0)
    away = torch.cdist(x, reference.x).masked_fill_(source[:, None] == reference.label[None], torch.inf)
    near = away.masked_fill(~sure[None], torch.inf)
    near = torch.where(near.isinf().all(1, keepdim=True), away, near).argmin(1)
    return source, reference.x[near], reference.label[near]


def neighbours(world: World, rows: list[int], tau: float | None) -> Ends:
    """The nearest unlike neighbours; one query, for the input."""
    _, ends, _ = unlike(world, rows, tau)
    return Ends(ends, _satisfied(world, ends, unlike(world, rows, tau), tau), torch.ones(len(rows)))


def native_guide(world: World, rows: list[int], tau: float | None) -> Ends:
    """The shortest interval of the nearest unlike neighbour that changes the decision when it is put into the input."""
    x, found = world.held_out.x[rows], unlike(world, rows, tau)
    guide = found[1]
    ends, success, queries = guide.clone(), torch.zeros(len(rows), dtype=torch.bool), torch.ones(len(rows))
    length = x.shape[1]
    step = max(1, -(-length // LENGTHS))
    for size in range(step, length + step, step):
        size = min(size, length)
        left = torch.nonzero(~success).flatten()
        if not len(left):
            break
        starts = torch.linspace(0, length - size, min(PLACES, length - size + 1)).round().long().unique()
        at = torch.arange(length)
        inside = (at[None] >= starts[:, None]) & (at[None] < starts[:, None] + size)  # (P, D)
        tried = torch.where(inside[None], guide[left, None], x[left, None])
        count = len(starts)
        told = tuple(part[left].repeat_interleave(count, 0) for part in found)
        good = _satisfied(world, tried.flatten(0, 1), told, tau).view(len(left), count)
        queries[left] += count
        first = good.float().argmax(1)
        some = good.any(1)
        ends[left[some]], success[left[some]] = tried[some, first[some]], True
    return Ends(ends, success, queries)


def _satisfied(world: World, x: Tensor, found: tuple[Tensor, ...], tau: float | None) -> Tensor:
    """Whether series (B, D) satisfy the task: another class, with at least probability `tau` if there is one."""
    source, _, target = found
    p = world.classifier.predict_proba(x, world.units.exact(x, None))
    if tau is None:
        return p.argmax(1) != source
    return p.gather(1, target[:, None])[:, 0] >= tau
