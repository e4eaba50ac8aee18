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
from torch import Tensor

from agents.walkers.base import Recorder, Walk, select
from agents.walkers.follow import aim, latent_step
from agents.walkers.planning.refine import refine_last
from agents.walkers.white_box import descent, network
from envs.core.state import State
from envs.core.world import World


class GradientWalker:
    """Adam in the latent space; each of its steps is a step of the walk.

    Args:
        rate: Adam's learning rate as a share of a full action spread evenly over the coordinates.
        closeness: weight of the squared distance to the input (in class distances).
        refine: most further questions an item for a finer last step.
        betas: Adam's decay rates.
    """

    name: ClassVar[str] = "gradient"
    white_box: ClassVar[bool] = True

    def __init__(
        self, rate: float = 0.8, closeness: float = 0.5, refine: int = 2, betas: tuple[float, float] = (0.9, 0.999)
    ) -> None:
        self.rate = rate
        self.closeness = closeness
        self.refine = refine
        self.betas = betas

    def walk(
        self,
        world: World,
        state: State,
        initial_latent_queries: Tensor,
        generator: torch.Generator,
        max_steps: int | None = None,
    ) -> Walk:
        """See `Walker.walk`; draws nothing from `generator`.

        Raises:
            ManifoldError: a classifier without gradients.
        """
        module = network(world, self.name)
        recorder = Recorder(world, state, initial_latent_queries, max_steps)
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
        refine_last(recorder, self.refine)
        return recorder.walk()
