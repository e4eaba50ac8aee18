"""A planned last step: where within reach of the last frame but one does the walk best end?

A walk stops at the first frame that satisfies the task, and that frame is seldom the best one it could have stepped to. A
stand-in for the classifier (`agents.walkers.stand_in`) tells roughly where the boundary runs. Its log odds are shifted to the
one answer seen at the crossing, and projected gradient descent looks for the cheapest end point - near the input, near the
target class's own data - on the right side of the boundary and within one bounded step. The classifier is then asked: the
planned step replaces the last one only if it arrives; otherwise a shorter change is tried. This is optimisation on a
surrogate, not reinforcement learning, and is reported beside the walk without it.

Where second opinions are given (`agents.walkers.opinions`) an end that they doubt costs by how much they do, and where no end
within reach convinces them one more step is planned from the end: an end that nobody but the explained classifier would put
into the class asked for explains its quirks, not the class.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor

from agents.walkers.base import Recorder, select
from agents.walkers.follow import aim
from agents.walkers.opinions import Opinions
from agents.walkers.stand_in import StandIn
from envs.compass import distance
from envs.dynamics import State
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
        confidence: p(target) at which second opinions are convinced (no more than the task asks of the classifier).
        doubt: what each log odd that they lack costs, in class distances.
        further: most steps that are planned beyond the walk's end for ends that they doubt.
    """

    iterations: int = 8
    rate: float = 0.4
    margin: float = 0.1
    atypical: float = 0.85
    shares: tuple[float, ...] = (1.0, 0.6)
    gain: float = 0.0025
    confidence: float = 0.85
    doubt: float = 0.5
    further: int = 1

    def enough(self, world: World) -> float:
        """`confidence` in log odds."""
        share = min(self.confidence, world.task.tau, 1 - 1e-6)
        return math.log(share / (1 - share))


#: What an end may cost, by name. `near`: little change. `typical`: ends further among the target class's own data, which
#: second opinions are surer of, at the price of distance.
PLANS: dict[str, PlanSettings] = {"near": PlanSettings(), "typical": PlanSettings(atypical=2.4, confidence=0.95)}


def plan_last(
    recorder: Recorder, stand_in: StandIn, opinions: Opinions | None = None, settings: PlanSettings | None = None
) -> None:
    """Replace the last step of items that arrived by a better one, with one or two further questions an item; and where
    `opinions` doubt every end within reach, add a step on which p(target) does not fall.

    Only for walks that reach another class by its probability; others stay as they are.
    """
    settings = settings or PlanSettings()
    world = recorder.world
    if world.label_only or not world.task.towards_target:
        return
    reached = recorder.success & (recorder.length > 0) & (recorder.state.target != recorder.state.source)
    items = torch.nonzero(reached).flatten()
    with torch.inference_mode():
        _replan(recorder, items, stand_in, opinions, settings, further=False)
        for _ in range(settings.further if opinions is not None else 0):
            assert opinions is not None
            items = items[recorder.length[items] < recorder.max_steps]
            end = select(recorder.state, items)
            odds = opinions.margin(world.manifold.coordinates(end.z, end.frame), end.target)
            items = items[odds < settings.enough(world)]
            _replan(recorder, items, stand_in, opinions, settings, further=True)


def _replan(
    recorder: Recorder, items: Tensor, stand_in: StandIn, opinions: Opinions | None, settings: PlanSettings, further: bool
) -> None:
    """Plan the last step of `items` anew, or a `further` one, and take it where the classifier lets it arrive."""
    if len(items) == 0:
        return
    world = recorder.world
    end = select(recorder.state, items)
    before = end if further else select(recorder.before, items)
    ends = _Ends(world, end, stand_in, opinions, settings, steady=further)
    goal, cost = ends.best(before)
    worth = cost < ends.first.cost - settings.gain * world.class_distance
    for share in settings.shares:
        rows = torch.nonzero(worth).flatten()
        if len(rows) == 0:
            return
        start = select(before, rows)
        action, _ = aim(world, start.z, torch.lerp(end.z[rows], goal[rows], share))
        state, info = recorder.trial(items[rows], action, start)
        good = info.is_success & (ends.costs(state, rows) < ends.first.cost[rows])
        if further:  # p(target) rises all the way
            good &= info.goal >= world.task.goal(end)[rows]
        if bool(good.any()):
            part = type(info)(*(value[good] for value in info))
            done = items[rows[good]]
            recorder.planned[done] = recorder.planned[done] + 1 if further else 1
            (recorder.accept if further else recorder.replace_last)(done, action[good], select(state, good), part)
        worth[rows[good]] = False


class _Look(NamedTuple):
    """What is known of frames without asking the classifier.

    Attributes:
        cost: (B,) distance to the input and, weighted, to the target class's own data, and what doubts cost.
        uphill: (B, D) its gradient by the frame, doubts left out.
        slack: (B,) log odds by which the more reluctant of stand-in and opinions is convinced, negative: not.
        normal: (B, D) gradient of that one's log odds.
        sure: (B,) the stand-in's slack.
        convinced: (B,) the opinions' slack, infinite without any.
    """

    cost: Tensor
    uphill: Tensor
    slack: Tensor
    normal: Tensor
    sure: Tensor
    convinced: Tensor


class _Ends:
    """Possible ends of a batch of walks: what they cost, and the best within reach.

    Args:
        end: (B) the states where the walks ended.
        steady: the classifier's log odds must not fall below those at `end`.
    """

    def __init__(
        self, world: World, end: State, stand_in: StandIn, opinions: Opinions | None, settings: PlanSettings,
        steady: bool = False,
    ) -> None:
        self.world, self.end, self.stand_in, self.opinions, self.settings = world, end, stand_in, opinions, settings
        self.home = world.manifold.coordinates(end.z0, end.origin)
        place = world.manifold.coordinates(end.z, end.frame)
        tau, target = min(world.task.tau, 1 - 1e-6), end.target
        self.shift = torch.zeros(len(target))
        self.doubt = settings.doubt * world.class_distance
        self.enough = settings.enough(world)
        seen = torch.logit(end.answer.gather(1, target[:, None])[:, 0].clamp(1e-6, 1 - 1e-6))
        least = math.log(tau / (1 - tau)) + settings.margin
        wanted = torch.maximum(seen + settings.margin / 2, torch.tensor(least)) if steady else torch.full_like(seen, least)
        self.first = self.look(place)
        # The stand-in's log odds, shifted to the answer that was seen at the end, less what is wanted.
        self.shift = seen - self.first.sure - wanted
        self.first = self._shifted(self.first)

    def _shifted(self, look: _Look) -> _Look:
        return look._replace(sure=look.sure + self.shift, slack=torch.minimum(look.sure + self.shift, look.convinced))

    def look(self, place: Tensor) -> _Look:
        """What is known of frames at coordinates `place` (B, D)."""
        target, settings = self.end.target, self.settings
        gap = place - self.home
        away = torch.linalg.vector_norm(gap, dim=1)
        near = self.world.class_neighbours(place, target)
        cost = away + settings.atypical * near.distance
        uphill = gap / away[:, None].clamp_min(0.1) + settings.atypical * near.gradient
        margin, normal = self.stand_in.look(place, target)
        sure = margin + self.shift
        if self.opinions is None:
            return _Look(cost, uphill, sure, normal, sure, torch.full_like(sure, math.inf))
        odds, turn = self.opinions.look(place, target)
        convinced = odds - self.enough
        cost = cost + self.doubt * (-convinced).clamp_min(0)
        reluctant = convinced < sure
        normal = torch.where(reluctant[:, None], turn, normal)
        return _Look(cost, uphill, torch.minimum(sure, convinced), normal, sure, convinced)

    def costs(self, state: State, rows: Tensor) -> Tensor:
        """Costs (R,) of other ends of the items `rows`."""
        world = self.world
        place = world.manifold.coordinates(state.z, state.frame)
        away = distance(place, self.home[rows])
        cost = away + self.settings.atypical * world.class_neighbours(place, state.target).distance
        if self.opinions is not None:
            cost = cost + self.doubt * (self.enough - self.opinions.margin(place, state.target)).clamp_min(0)
        return cost

    def best(self, before: State) -> tuple[Tensor, Tensor]:
        """The cheapest end codes (B, d) within one step of `before` that the stand-in lets through, and their cost (B,);
        the present end where none is cheaper."""
        manifold, settings = self.world.manifold, self.settings
        look, z = self.first, self.end.z
        best, cost = z, look.cost
        start = manifold.coordinates(before.z, before.frame)
        for k in range(settings.iterations):
            # Both gradients by the code in one go through the decoder.
            both = manifold.vjp(torch.cat((z, z)), torch.cat((look.uphill, look.normal)))
            uphill, normal = both[: len(z)], both[len(z) :]
            steep = torch.linalg.vector_norm(normal, dim=1, keepdim=True).clamp_min(1e-3)
            normal = normal / steep
            # Along the boundary go downhill; across it, a Newton step to where both say "just enough".
            uphill = uphill - (uphill * normal).sum(1, keepdim=True).clamp_min(0) * normal
            across = (-look.slack[:, None] / steep).clamp(-0.15, 0.15)
            z = torch.addcmul(torch.add(z, uphill, alpha=-settings.rate * (1 - k / settings.iterations)), normal, across)
            z, place = _within_reach(self.world, before, start, manifold.prior.project(z))
            look = self.look(place)
            better = (look.sure >= -0.03) & (look.cost < cost)
            best, cost = torch.where(better[:, None], z, best), torch.where(better, look.cost, cost)
        return best, cost


def _within_reach(world: World, before: State, start: Tensor, z: Tensor) -> tuple[Tensor, Tensor]:
    """Codes pulled back towards the frame before, at coordinates `start`, until one bounded step leads there; and their
    frames' coordinates."""
    place = world.place_of(z, before.origin)
    bound = world.max_step
    for _ in range(3 if bound is not None else 0):
        assert bound is not None
        far = distance(place, start)
        if float(far.max()) <= bound:
            break
        z = torch.lerp(before.z, z, (0.999 * bound / far.clamp_min(1e-9)).clamp_max(1.0)[:, None])
        place = world.place_of(z, before.origin)
    return z, place
