"""How the end of a walk is planned, see `agents.walkers.planning.last_step`."""

from __future__ import annotations

import math
from dataclasses import dataclass

from envs.core.world import World


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
    implausibility: float = 0.85
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
PLANS: dict[str, PlanSettings] = {"near": PlanSettings(), "typical": PlanSettings(implausibility=2.4, confidence=0.95)}
