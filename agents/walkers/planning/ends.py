"""Possible ends of walks: their cost, estimated without queries, and the cheapest end within reach.

An iteration is a few dozen small products: numpy throughout, because for one walk the overhead of calls dominates.

Symbols: B walks, D coordinates, d latent dimensions.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from agents.walkers.planning.ensemble import Ensemble
from agents.walkers.planning.pictures.ensemble import PictureEnsemble
from agents.walkers.planning.settings import PlanSettings
from agents.walkers.planning.surrogate import Surrogate
from envs.core.factual import Factual
from envs.core.state import State
from envs.core.world import World
from envs.manifolds.base import Pull
from envs.manifolds.networks.arrays import norm

NEAREST = 1e-6  # probabilities are clipped this far from 0 and 1


class Look(NamedTuple):
    """Estimates for frames, without queries.

    Attributes:
        cost: (B,) distance to the input and, weighted, to the target class's own data, plus the cost of the ensemble's doubts.
        uphill: (B, D) its gradient by the frame, without the doubts.
        slack: (B,) log odds above the requirement, by the less confident of surrogate and ensemble; negative: below it.
        normal: (B, D) gradient of these log odds.
        sure: (B,) the slack by the surrogate.
        convinced: (B,) the slack by the ensemble; infinite without one.
    """

    cost: np.ndarray
    uphill: np.ndarray
    slack: np.ndarray
    normal: np.ndarray
    sure: np.ndarray
    convinced: np.ndarray | float


class Ends:
    """Possible ends of a batch of walks: their cost, and the best one within reach.

    Args:
        world: where the items walk.
        end: (B) the states where the walks ended.
        surrogate: of the classifier; None: the ensemble takes its place.
        ensemble: whose doubts add to the cost; None: none.
        settings: of the plan.
        steady: the classifier's log odds must not fall below those at `end`.

    Attributes:
        cost: (B,) of the present ends.
    """

    def __init__(
        self,
        world: World,
        end: State,
        surrogate: Surrogate | None,
        ensemble: Ensemble | PictureEnsemble | None,
        settings: PlanSettings,
        steady: bool = False,
    ) -> None:
        self.world, self.end, self.surrogate, self.ensemble, self.settings = world, end, surrogate, ensemble, settings
        self.home = world.manifold.coordinate_arrays(end.z0.numpy(), end.factual.numpy())
        self.target = end.target.numpy()
        self.doubt = settings.doubt * world.class_distance
        self.enough = settings.enough(world)
        seen = world.task.evidence(end).numpy()
        wanted = _logit(np.float32(world.task.tau)) + settings.margin
        if steady:
            wanted = np.maximum(seen + settings.margin / 2, wanted)
        place = world.manifold.coordinate_arrays(end.z.numpy(), end.frame.numpy())
        self.shift: np.ndarray | float = 0.0
        first = self.look(place)
        # The surrogate's log odds, shifted to the prediction observed at the end, less the requirement.
        self.shift = seen - first.sure - wanted
        sure = first.sure + self.shift
        self.first = first._replace(sure=sure, slack=np.minimum(sure, first.convinced))
        self.cost = self.first.cost

    def look(self, place: np.ndarray) -> Look:
        """Estimates for frames at coordinates `place` (B, D)."""
        implausibility = self.settings.implausibility
        gap = place - self.home
        away = norm(gap)
        distance, outward = self.world.class_neighbours.near(place, self.target)
        cost = away + implausibility * distance
        uphill = gap / np.maximum(away, 0.1)[:, None] + implausibility * outward
        if self.ensemble is not None:
            odds, turn = self.ensemble.judge(place, self.target)
        if self.surrogate is not None:
            margin, normal = self.surrogate.judge(place, self.target)
        else:
            margin, normal = odds, turn(np.arange(len(place)))
        sure = margin + self.shift
        if self.ensemble is None:
            return Look(cost, uphill, sure, normal, sure, np.inf)
        convinced = odds - self.enough
        cost += self.doubt * np.maximum(-convinced, 0)
        reluctant = np.flatnonzero(convinced < sure)
        normal[reluctant] = turn(reluctant)
        return Look(cost, uphill, np.minimum(sure, convinced), normal, sure, convinced)

    def costs(self, state: State, rows: np.ndarray) -> np.ndarray:
        """Costs (R,) of other ends of the items `rows`."""
        place = self.world.manifold.coordinate_arrays(state.z.numpy(), state.frame.numpy())
        distance, _ = self.world.class_neighbours.near(place, self.target[rows])
        cost = norm(place - self.home[rows]) + self.settings.implausibility * distance
        if self.ensemble is not None:
            cost += self.doubt * np.maximum(self.enough - self.ensemble.odds(place, self.target[rows]), 0)
        return cost

    def best(self, before: State) -> tuple[np.ndarray, np.ndarray]:
        """The cheapest ends within one step of `before` that satisfy the task by the surrogate.

        Returns:
            Codes (B, d) and their cost (B,); the present end where none is cheaper.
        """
        settings, look = self.settings, self.first
        z = self.end.z.numpy()
        best, cost = z, look.cost
        start = self.world.manifold.coordinate_arrays(before.z.numpy(), before.frame.numpy())
        _, pull = _places(self.world, z, before.home)
        both = np.empty((2, *look.uphill.shape), np.float32)
        for k in range(settings.iterations):
            # Both gradients by the code in one go through the decoder.
            both[0], both[1] = look.uphill, look.normal
            uphill, normal = pull(both)
            steep = np.maximum(norm(normal), 1e-3)[:, None]
            normal = normal / steep
            # Downhill along the boundary; across it, a Newton step to where the requirement is just met.
            uphill = uphill - np.maximum(np.vecdot(uphill, normal), 0)[:, None] * normal
            across = np.minimum(np.maximum(-look.slack[:, None] / steep, -0.15), 0.15)
            z = z - (settings.rate * (1 - k / settings.iterations)) * uphill + across * normal
            z, place, pull = _within_reach(self.world, before, start, self.world.manifold.projected(z))
            look = self.look(place)
            better = (look.sure >= -0.03) & (look.cost < cost)
            if better.any():
                best, cost = np.where(better[:, None], z, best), np.where(better, look.cost, cost)
        return best, cost


def _within_reach(world: World, before: State, start: np.ndarray, z: np.ndarray) -> tuple[np.ndarray, np.ndarray, Pull]:
    """Shorten steps that are longer than the bound.

    Args:
        world: gives the bound.
        before: (B) states before the step.
        start: (B, D) their coordinates.
        z: (B, d) codes after the step.

    Returns:
        Codes (B, d) within reach, the coordinates (B, D) of their frames, and the pull-back of gradients from there to the
        code (`World.linear_decode`).
    """
    place, pull = _places(world, z, before.home)
    bound = world.max_step
    for _ in range(3 if bound is not None else 0):
        assert bound is not None
        far = norm(place - start)
        if not (far > bound).any():
            break
        first = before.z.numpy()
        z = first + np.minimum(0.999 * bound / np.maximum(far, 1e-9), 1)[:, None] * (z - first)
        place, pull = _places(world, z, before.home)
    return z, place, pull


def _places(world: World, z: np.ndarray, factual: Factual) -> tuple[np.ndarray, Pull]:
    """`World.coordinates_of` codes z (B, d), and the pull-back of gradients from there to the code."""
    if world.units.codes_are_coordinates:
        return z, lambda cotangent: cotangent
    frame, pull = world.linear_decode(z, factual)
    return frame.reshape(len(z), -1), pull


def _logit(p: np.ndarray | np.float32) -> np.ndarray:
    """Log odds of probabilities."""
    p = np.minimum(np.maximum(p, NEAREST), 1 - NEAREST)
    return np.log(p / (1 - p))
