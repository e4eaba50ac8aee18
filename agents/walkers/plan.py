"""A planned last step: where within reach of the last frame but one does the walk best end?

A walk stops at the first frame that satisfies the task, and that frame is seldom the best one it could have stepped to. A
stand-in for the classifier (`agents.walkers.stand_in`) tells roughly where the boundary runs. Its log odds are shifted to the
one answer seen at the crossing, and projected gradient descent looks for the cheapest end point - near the input, near the
target class's own data - on the right side of the boundary and within one bounded step. The classifier is then asked: the
planned step replaces the last one only if it arrives; otherwise a shorter change is tried. This is optimisation on a
surrogate, not reinforcement learning, and is reported beside the walk without it.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor

from agents.walkers.base import Recorder, select
from agents.walkers.follow import aim
from agents.walkers.stand_in import StandIn
from envs.compass import distance
from envs.dynamics import State
from envs.typicality import Near
from envs.world import World


@dataclass(frozen=True)
class PlanSettings:
    """How the end point is planned.

    Attributes:
        iterations: gradient steps.
        rate: latent length of a unit gradient's first step; falls linearly to zero.
        margin: how far beyond the threshold to aim, in log odds: what the stand-in's error may cost.
        atypical: weight of the distance to the target class's own data against that to the input.
        shares: parts of the planned change that are asked, one after the other, until one arrives.
        gain: smallest planned improvement, as a share of the class distance, that is worth a question.
    """

    iterations: int = 15
    rate: float = 0.4
    margin: float = 0.1
    atypical: float = 0.85
    shares: tuple[float, ...] = (1.0, 0.6)
    gain: float = 0.0025


def plan_last(recorder: Recorder, stand_in: StandIn, settings: PlanSettings | None = None) -> None:
    """Replace the last step of items that arrived by a better one, with one or two further questions an item.

    Only for walks that reach another class by its probability; others stay as they are.
    """
    settings = settings or PlanSettings()
    world = recorder.world
    if world.label_only or not world.task.towards_target:
        return
    reached = recorder.success & (recorder.length > 0) & (recorder.state.target != recorder.state.source)
    items = torch.nonzero(reached).flatten()
    if len(items) == 0:
        return
    before, end = select(recorder.before, items), select(recorder.state, items)
    with torch.no_grad():
        goal, cost = _planned(world, stand_in, before, end, settings)
        worth = (cost < _cost(world, _place(world, end), end, settings) - settings.gain * world.class_distance).clone()
    for share in settings.shares:
        rows = torch.nonzero(worth).flatten()
        if len(rows) == 0:
            return
        start = select(before, rows)
        action, _ = aim(world, start.z, torch.lerp(end.z[rows], goal[rows], share))
        state, info = recorder.trial(items[rows], action, start)
        better = _cost(world, _place(world, state), state, settings) < _cost(world, _place(world, end)[rows], state, settings)
        good = info.is_success & better
        if bool(good.any()):
            part = type(info)(*(value[good] for value in info))
            recorder.planned[items[rows[good]]] = True
            recorder.replace_last(items[rows[good]], action[good], select(state, good), part)
        worth[rows[good]] = False


class _Look(NamedTuple):
    """What is known of frames without asking the classifier.

    Attributes:
        place: (B, D) their coordinates.
        away: (B,) distance to the input.
        near: distance to the target class's own data, and its gradient.
        margin: (B,) the stand-in's log odds of the target.
        cost: (B,) see `_cost`.
    """

    place: Tensor
    away: Tensor
    near: Near
    margin: Tensor
    cost: Tensor


def _look(world: World, stand_in: StandIn, place: Tensor, item: State, settings: PlanSettings) -> _Look:
    away, near = distance(place, _home(world, item)), world.class_neighbours(place, item.target)
    return _Look(place, away, near, stand_in.margin(place, item.target), away + settings.atypical * near.distance)


def _place(world: World, item: State) -> Tensor:
    """Coordinates (B, D) of the frames."""
    return world.manifold.coordinates(item.z, item.frame)


def _home(world: World, item: State) -> Tensor:
    """Coordinates (B, D) of the inputs."""
    return world.manifold.coordinates(item.z0, item.origin)


def _cost(world: World, place: Tensor, item: State, settings: PlanSettings) -> Tensor:
    """What an end at coordinates `place` costs, (B,): its distance to the input and, weighted, to the target class's data."""
    near = world.class_neighbours(place, item.target)
    return distance(place, _home(world, item)) + settings.atypical * near.distance


def _planned(world: World, stand_in: StandIn, before: State, end: State, settings: PlanSettings) -> tuple[Tensor, Tensor]:
    """The best end codes (B, d) that the stand-in lets through, and their cost (B,); `end` itself where none is better."""
    manifold, target = world.manifold, end.target
    seen = end.answer.gather(1, target[:, None])[:, 0].clamp(1e-6, 1 - 1e-6)
    look = _look(world, stand_in, _place(world, end), end, settings)
    shift = torch.logit(seen) - look.margin
    wanted = math.log(world.task.tau / (1 - world.task.tau)) + settings.margin if world.task.tau < 1 else math.inf
    z, best, cost, home = end.z.clone(), end.z.clone(), look.cost, _home(world, end)
    for k in range(settings.iterations):
        away = (look.place - home) / look.away[:, None].clamp_min(0.1)
        uphill = manifold.vjp(z, away + settings.atypical * look.near.gradient)
        normal = manifold.vjp(z, stand_in.margin_gradient(look.place, target))
        steep = normal.norm(dim=1, keepdim=True).clamp_min(1e-3)
        normal = normal / steep
        # Along the boundary go downhill; across it, a Newton step to where the stand-in says "just enough".
        uphill = uphill - (uphill * normal).sum(1, keepdim=True).clamp_min(0) * normal
        lacking = (wanted - look.margin - shift)[:, None]
        z = z - settings.rate * (1 - k / settings.iterations) * uphill + normal * (lacking / steep).clamp(-0.15, 0.15)
        z, place = _within_reach(world, before, manifold.prior.project(z))
        look = _look(world, stand_in, place, end, settings)
        better = (look.margin + shift >= wanted - 0.03) & (look.cost < cost)
        best, cost = torch.where(better[:, None], z, best), torch.where(better, look.cost, cost)
    return best, cost


def _within_reach(world: World, before: State, z: Tensor) -> tuple[Tensor, Tensor]:
    """Codes pulled back towards the frame before until one bounded step leads there, and their frames' coordinates."""
    place, start = world.place_of(z, before.origin), _place(world, before)
    bound = world.max_step
    for _ in range(3 if bound is not None else 0):
        assert bound is not None
        share = (0.999 * bound / distance(place, start).clamp_min(1e-9)).clamp_max(1.0)
        if bool((share >= 1).all()):
            break
        z = torch.lerp(before.z, z, share[:, None])
        place = world.place_of(z, before.origin)
    return z, place
