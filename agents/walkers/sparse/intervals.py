"""Which intervals of a series to change, and towards which end: a search that tries one choice after the other.

A choice is an end and an interval, of one channel or of all, in which the input is replaced by the end; later also such an
interval without a part of it. An ensemble of small networks, fitted to known labels (`agents.walkers.planning.ensemble`),
says without a query which choices are likely to convince other classifiers. Of these, the one with the fewest changed points,
weighed by how unlike real series it is, is tried by a query. Each answer corrects how far the explained classifier and the
ensemble differ.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor

from agents.walkers.base import select
from agents.walkers.planning.ensemble import Ensemble
from envs.core.state import State
from envs.core.tasks import log_odds
from envs.core.world import World
from envs.modalities.series import NOTICED

ENDS = 6  # reference series whose codes are ends
MOST = 300  # intervals of an end, about
VALUES = 4_000_000  # of the candidates that are weighed at once


class Chosen(NamedTuple):
    """What a search found for B inputs.

    Attributes:
        end: (B,) int64, index of the end; -1: none.
        free: (B, D) bool, the points that change.
        queries: (B,) int64.

    Example:
        >>> Chosen(torch.tensor([-1]), torch.zeros(1, 4, dtype=torch.bool), torch.tensor([3])).end.tolist()
        [-1]
    """

    end: Tensor
    free: Tensor
    queries: Tensor


def choose(world: World, start: State, frames: Tensor, target: Tensor, budget: int) -> Chosen:
    """Search the fewest points that suffice, for B inputs at once.

    Args:
        world: of series.
        start: (B) states at frame 0.
        frames: (B, E, D) at the ends.
        target: (B,) classes.
        budget: most queries for an input.
    """
    units: Any = world.units
    batch, count, size = frames.shape
    masks = intervals(units.shape, units.group_of)
    chosen = Chosen(
        torch.full((batch,), -1), torch.zeros(batch, size, dtype=torch.bool), torch.zeros(batch, dtype=torch.int64)
    )
    for part in torch.arange(batch).split(max(1, VALUES // (len(masks) * count * size))):
        pools = [_Pool(world, start.factual[i], frames[i], masks, int(target[i])) for i in part.tolist()]
        for stage in range(2):
            if stage:
                for pool in pools:
                    pool.cut()
            _ask(world, start, part, pools, chosen, budget if stage else 2 * budget // 3)
        for i, pool in zip(part.tolist(), pools, strict=True):
            if pool.best is not None:
                chosen.end[i], chosen.free[i] = pool.best
    return chosen


def _ask(world: World, start: State, part: Tensor, pools: list[_Pool], chosen: Chosen, budget: int) -> None:
    """Try choices of the inputs `part` until their budgets are spent or nothing promising is left."""
    while True:
        open_choices = [(i, pool, k) for i, pool in zip(part.tolist(), pools, strict=True)
                 if int(chosen.queries[i]) < budget and (k := pool.next()) is not None]  # fmt: skip
        if not open_choices:
            return
        items = torch.tensor([i for i, _, _ in open_choices])
        here = select(start, items)
        frame = torch.stack([pool.frames[k] for _, pool, k in open_choices])
        seen = here._replace(frame=frame, prediction=world.predictions(frame, here.home))
        chosen.queries[items] += 1
        good = world.task.arrived(world.reference, seen, world.task.goal(seen)).tolist()
        for (_, pool, k), arrived, evidence in zip(open_choices, good, world.task.evidence(seen).tolist(), strict=True):
            pool.learn(k, arrived, evidence)


class _Pool:
    """The candidates of one input: frames, their cost (points changed, times how much further from the target class's series
    they lie than these from each other), and the ensemble's log odds of the target class."""

    def __init__(self, world: World, own: Tensor, ends: Tensor, masks: Tensor, target: int) -> None:
        self.world, self.own, self.ends, self.target = world, own, ends, target
        self.goal = float(log_odds(torch.tensor(world.task.tau)))
        self.usual = usual_distance(world, target)
        self.offset = 0.0
        self.best: tuple[int, Tensor] | None = None
        self.fewest = np.inf
        self.put(torch.arange(len(ends)).repeat_interleave(len(masks)), masks.repeat(len(ends), 1))

    def put(self, end: Tensor, free: Tensor) -> None:
        """Take other candidates: ends (R,), and the points (R, D) that change."""
        units: Any = self.world.units
        self.end, self.free = end, free
        self.frames = units.holding(self.ends[end], self.own.expand(len(end), -1), ~free)
        x, target = self.frames.numpy(), np.full(len(end), self.target)
        points = ((self.frames - self.own).abs() > NOTICED * units.spread).sum(1).numpy()
        self.cost = points * np.maximum(self.world.class_neighbours.near(x, target)[0] / self.usual, 1.0)
        odds = ensemble_of(self.world).odds(x, target)
        self.odds = np.clip(odds, -8.0, 8.0)
        self.tried = self.cost == 0

    def next(self) -> int | None:
        """The candidate to be tried: the cheapest promising one, else, before any has arrived, the most promising one."""
        left = ~self.tried & (self.cost < self.fewest)
        if not left.any():
            return None
        likely = left & (self.odds + self.offset >= self.goal) & (self.odds >= self.goal)
        if likely.any():
            return int(np.where(likely, self.cost - 1e-3 * self.odds, np.inf).argmin())
        return None if self.best is not None else int(np.where(left, self.odds, -np.inf).argmax())

    def learn(self, k: int, arrived: bool, evidence: float) -> None:
        """Take in what the classifier predicted for candidate k."""
        self.tried[k] = True
        self.offset = float(np.clip(evidence, -8.0, 8.0) - self.odds[k])
        if arrived:
            self.best, self.fewest = (int(self.end[k]), self.free[k]), self.cost[k]

    def cut(self) -> None:
        """Go on with the best choice without a part of it."""
        if self.best is None:
            self.tried[:] = True
            return
        end, free = self.best
        rest = torch.unique(free & ~intervals(self.world.units.shape, self.world.units.group_of), dim=0)  # type: ignore[attr-defined]
        self.put(torch.full((len(rest),), end), rest)


def intervals(shape: tuple[int, int], group: Tensor) -> Tensor:
    """Masks (R, C T) of the intervals of every channel, and of all channels together, with borders between the groups of
    points (C T,) that are kept together; of long series with many channels only every other border, or fewer.

    Example:
        >>> intervals((1, 4), torch.tensor([0, 0, 2, 2])).int().tolist()
        [[1, 1, 0, 0], [1, 1, 1, 1], [0, 0, 1, 1]]
    """
    channels, length = shape
    borders = [*group[:length].unique().tolist(), length]
    kinds = channels + 1 if channels > 1 else 1
    pieces = min(len(borders) - 1, max(4, int((2 * MOST / kinds) ** 0.5)))
    borders = [borders[round(k)] for k in np.linspace(0, len(borders) - 1, pieces + 1)]
    at = torch.arange(length)
    one = torch.stack([(at >= a) & (at < b) for i, a in enumerate(borders) for b in borders[i + 1 :]])
    if channels == 1:
        return one
    whole = one[:, None].expand(-1, channels, -1)
    single = one[:, None] & torch.eye(channels, dtype=torch.bool)[:, None, :, None]
    return torch.cat([single.flatten(0, 1), whole]).flatten(1)


def usual_distance(world: World, target: int) -> float:
    """Mean distance of the reference series of a class to their nearest others, as many as in `World.class_neighbours`."""
    found: dict[int, float] = world.reference.__dict__.setdefault("usual_distances", {})
    if target not in found:
        neighbours = world.class_neighbours
        rows = torch.from_numpy(neighbours.points[target][np.isfinite(neighbours.square[target])])
        count = min(neighbours.k + 1, len(rows))
        near = torch.cdist(rows, rows).topk(count, largest=False).values[:, 1:]
        found[target] = float(near.mean()) if near.numel() else 1.0
    return found[target]


def ensemble_of(world: World) -> Ensemble:
    """The ensemble of a world, fitted on first use (a second) and kept with its reference data."""
    kept = world.reference.__dict__
    if "interval_ensemble" not in kept:
        kept["interval_ensemble"] = Ensemble.fit(world)
    found: Ensemble = kept["interval_ensemble"]
    return found
