"""Settings of the planned last step, see `agents.walkers.planning.last_step`."""

from __future__ import annotations

import math
from dataclasses import dataclass

from envs.core.world import World


@dataclass(frozen=True)
class PlanSettings:
    """How the end point is planned.

    Attributes:
        iterations: gradient steps.
        rate: latent length of the first step along a unit gradient; it falls linearly to zero.
        margin: how far beyond the threshold to aim, in log odds: an allowance for the surrogate's error.
        implausibility: weight of the distance to the target class's own data against the distance to the input.
        shares: parts of the planned change that are queried, one after the other, until one succeeds.
        gain: smallest planned improvement that is worth a query, as a share of the class distance.
        confidence: p(target) that the ensemble must reach.
        doubt: cost of each log odd below that, in class distances.
        capped: the ensemble need not be surer than the task requires of the classifier.
        further: the most steps planned beyond the end of a walk that the ensemble doubts.

    Example:
        >>> PlanSettings(margin=0.2).iterations
        8
    """

    iterations: int = 8
    rate: float = 0.4
    margin: float = 0.1
    implausibility: float = 0.85
    shares: tuple[float, ...] = (1.0, 0.6)
    gain: float = 0.0025
    confidence: float = 0.85
    doubt: float = 0.5
    capped: bool = True
    further: int = 1

    def enough(self, world: World) -> float:
        """`confidence` in log odds."""
        share = min(self.confidence, world.task.tau if self.capped else 1.0, 1 - 1e-6)
        return math.log(share / (1 - share))


#: Settings by name. `near`: little change. `typical`: ends deeper among the target class's own data, where the ensemble is
#: more confident, at a larger distance from the input. `convincing`: the walk continues until an ensemble predicts the target.
PLANS: dict[str, PlanSettings] = {
    "near": PlanSettings(),
    "typical": PlanSettings(implausibility=2.4, confidence=0.95),
    "convincing": PlanSettings(iterations=12, implausibility=0.6, confidence=0.96, capped=False, further=4),
}
