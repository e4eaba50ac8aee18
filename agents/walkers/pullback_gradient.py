"""White box: natural gradient under the decoder's pullback metric, with steps of one length in data space.

The steepest descent of a loss per unit of *data-space* length is dz = -M^-1 g / sqrt(g^T M^-1 g), with M the
pullback metric of the decoder and g the latent gradient [1]_: of all directions it is the one that changes the
answer most for the least change of the frame.

References
----------
.. [1] Pegios, Feragen, Hansen, Arvanitidis, "Counterfactual Explanations via Riemannian Latent Space Traversal",
   2024, section 3.
"""

from __future__ import annotations

from typing import ClassVar

import torch
from torch import Tensor

from agents.walkers.base import Recorder, Walk, select
from agents.walkers.follow import aim
from agents.walkers.planning.refine import refine_last
from agents.walkers.white_box import descent, network
from envs.core.moves import METRIC_FLOOR
from envs.core.state import State
from envs.core.world import World


class PullbackGradientWalker:
    """Pullback natural gradient; each of its steps is a step of the walk.

    Args:
        length: data-space length of a step as a share of the class distance (below the bound on a step, by default
            1/6). closeness: weight of the squared distance to the input (in class distances). refine: most further
            questions an item for a finer last step.
    """

    name: ClassVar[str] = "pullback_gradient"
    white_box: ClassVar[bool] = True

    def __init__(self, length: float = 0.1, closeness: float = 0.5, refine: int = 2) -> None:
        self.length = length
        self.closeness = closeness
        self.refine = refine

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
            ManifoldError: a classifier without gradients, or a manifold without a Jacobian.
        """
        module = network(world, self.name)
        recorder = Recorder(world, state, initial_latent_queries, max_steps)
        length = self.length * world.class_distance
        while len(rows := recorder.active()):
            here = select(recorder.state, rows)
            slope = descent(world, module, here, self.closeness)
            with torch.inference_mode():
                values, vectors = torch.linalg.eigh(world.manifold.metric(here.z))
                values = torch.maximum(values, METRIC_FLOOR * values.mean(1, keepdim=True))
                along = (vectors.transpose(1, 2) @ slope[:, :, None])[:, :, 0]
                natural = (vectors @ (along / values)[:, :, None])[:, :, 0]
                size = (along.square() / values).sum(1, keepdim=True).sqrt().clamp_min(1e-12)
            action, _ = aim(world, here.z, here.z - length * natural / size)
            recorder.step(rows, action)
        refine_last(recorder, self.refine)
        return recorder.walk()
