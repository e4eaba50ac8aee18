"""White box: natural gradient under the decoder's pullback metric, with steps of one length in data space.

The steepest descent of a loss per unit of *data-space* length is dz = -M^-1 g / sqrt(g^T M^-1 g), with M the
pullback metric of the decoder and g the latent gradient [1]_: of all directions the one that changes the prediction
most for the least change of the frame.

References
----------
.. [1] Pegios, Feragen, Hansen, Arvanitidis, "Counterfactual Explanations via Riemannian Latent Space Traversal",
   2024, section 3.
"""

from __future__ import annotations

from typing import ClassVar

import torch

from agents.walkers.base import Recorder, select
from agents.walkers.follow import aim
from agents.walkers.walker import Walker
from agents.walkers.white_box import descent, network
from envs.core.moves import METRIC_FLOOR


class PullbackGradientWalker(Walker):
    """Walks against the pullback natural gradient, in steps of one data-space length.

    Args:
        length: data-space length of a step as a share of the class distance (below the bound on a step, by default 1/6).
        closeness: weight of the squared distance to the input (in class distances).
        refine: the most further queries per item for a shorter last step.

    Raises:
        ManifoldError: (on walking) a classifier without gradients, or a manifold without a Jacobian.

    Example:
        >>> from agents.explain import explain
        >>> from envs import make_world
        >>> explain(make_world(data="digits"), 0, walker=PullbackGradientWalker()).success
        True
    """

    name: ClassVar[str] = "pullback_gradient"
    needs_gradient: ClassVar[bool] = True

    def __init__(self, length: float = 0.1, closeness: float = 0.5, refine: int = 2) -> None:
        self.length = length
        self.closeness = closeness
        self.refine = refine

    def steps(self, recorder: Recorder, generator: torch.Generator) -> None:
        """Follow the natural gradient; draws nothing."""
        world = recorder.world
        module = network(world, self)
        length = self.length * world.class_distance
        while len(rows := recorder.active()):
            here = select(recorder.state, rows)
            slope = descent(world, module, here, self.closeness)
            with torch.inference_mode():
                values, vectors = torch.linalg.eigh(world.manifold.near(here.factual).metric(here.z))
                values = torch.maximum(values, METRIC_FLOOR * values.mean(1, keepdim=True))
                along = (vectors.transpose(1, 2) @ slope[:, :, None])[:, :, 0]
                natural = (vectors @ (along / values)[:, :, None])[:, :, 0]
                size = (along.square() / values).sum(1, keepdim=True).sqrt().clamp_min(1e-12)
            action, _ = aim(world, here.z, here.z - length * natural / size)
            recorder.step(rows, action)
