"""White box: Adam on the latent code until the task is satisfied (REVISE [1]_; Latent-CF [2]_).

References
----------
.. [1] Joshi, Koyejo, Vijitbenjaronk, Kim, Ghosh, "Towards Realistic Individual Recourse and Actionable Explanations
   in Black-Box Decision Making Systems", 2019, algorithm 1.
.. [2] Balasubramanian, Sharpe, Barr, Wittenbach, Bruss, "Latent-CF: A Simple Baseline for Reverse Counterfactual
   Explanations", 2020.
"""

from __future__ import annotations

from typing import ClassVar

import torch

from agents.walkers.base import Recorder, select
from agents.walkers.follow import aim, latent_step
from agents.walkers.walker import Walker
from agents.walkers.white_box import descent, network


class GradientWalker(Walker):
    """Minimises the loss of `agents.walkers.white_box.descent` with Adam in the latent space; each step is a step of the walk.

    Args:
        rate: Adam's learning rate as a share of a full action spread evenly over the coordinates.
        closeness: weight of the squared distance to the input (in class distances).
        refine: the most further queries per item for a shorter last step.
        betas: Adam's decay rates.

    Raises:
        ManifoldError: (on walking) a classifier without gradients.

    Example:
        >>> from agents.explain import explain
        >>> from envs import make_world
        >>> explain(make_world(data="digits"), 0, walker=GradientWalker()).success
        True
    """

    name: ClassVar[str] = "gradient"
    needs_gradient: ClassVar[bool] = True

    def __init__(
        self, rate: float = 0.8, closeness: float = 0.5, refine: int = 2, betas: tuple[float, float] = (0.9, 0.999)
    ) -> None:
        self.rate = rate
        self.closeness = closeness
        self.refine = refine
        self.betas = betas

    def steps(self, recorder: Recorder, generator: torch.Generator) -> None:
        """Follow the gradient; draws nothing."""
        world, state = recorder.world, recorder.state
        module = network(world, self)
        first, second = torch.zeros(state.z.shape), torch.zeros(state.z.shape)
        rate = self.rate * latent_step(world) / state.z.shape[1] ** 0.5
        count = 0
        while len(rows := recorder.active()):
            count += 1
            here = select(recorder.state, rows)
            slope = descent(world, module, here, self.closeness)
            first[rows] = self.betas[0] * first[rows] + (1 - self.betas[0]) * slope
            second[rows] = self.betas[1] * second[rows] + (1 - self.betas[1]) * slope.square()
            mean = first[rows] / (1 - self.betas[0] ** count)
            scale = (second[rows] / (1 - self.betas[1] ** count)).sqrt() + 1e-8
            action, _ = aim(world, here.z, here.z - rate * mean / scale)
            recorder.step(rows, action)
