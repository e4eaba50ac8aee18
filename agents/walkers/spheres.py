"""Latent growing spheres: random samples in shells of growing radius around the encoding, then the line to the nearest find.

Growing spheres [1]_ in the latent space of a generative model, as in C-CHVAE [2]_: shells are sampled outwards until one holds
a point that satisfies the task; of the finds in that shell, the one nearest to the input in data space is taken. This needs no
training and no gradients, but many queries. The path is the latent line from frame 0 to the find.

References
----------
.. [1] Laugel, Lesot, Marsala, Renard, Detyniecki, "Comparison-Based Inverse Classification for Interpretability in
   Machine Learning", IPMU 2018, algorithms 1 and 2.
.. [2] Pawelczyk, Broelemann, Kasneci, "Learning Model-Agnostic Counterfactual Explanations for Tabular Data", WWW
   2020, section 4.
"""

from __future__ import annotations

from typing import ClassVar

import torch
from torch import Tensor

from agents.walkers.base import Recorder, select
from agents.walkers.follow import follow, latent_step
from agents.walkers.walker import Walker
from envs.core.state import State
from envs.core.world import World


class SpheresWalker(Walker):
    """Searches growing shells around the encoding, then walks the latent line to the nearest find.

    All items of a batch are searched at once.

    Args:
        samples: points queried in each shell.
        thickness: a shell's thickness as a share of a full action.
        refine: the most further queries per item for a shorter last step.

    Source: Laugel et al., IPMU 2018, algorithms 1 and 2.

    Example:
        >>> from agents.explain import explain
        >>> from envs import make_world
        >>> explain(make_world(), 0, walker=SpheresWalker(samples=20)).success
        True
    """

    name: ClassVar[str] = "spheres"

    def __init__(self, samples: int = 100, thickness: float = 0.5, refine: int = 2) -> None:
        self.samples = samples
        self.thickness = thickness
        self.refine = refine

    def steps(self, recorder: Recorder, generator: torch.Generator) -> None:
        """Search the shells, then walk the line; every sample in a shell is a query of its item."""
        world, state = recorder.world, recorder.state
        goals = state.z.clone()
        found = torch.zeros(len(state.z), dtype=torch.bool)
        radius, shell = 0.0, self.thickness * latent_step(world)
        widest = 2 * float((world.reference.z - world.reference.z.mean(0)).norm(dim=1).max())
        while radius < widest:
            rows = torch.nonzero(~found & ~recorder.success).flatten()
            if len(rows) == 0:
                break
            finds, ends = self._shell(world, select(state, rows), radius, radius + shell, generator, len(state.z), rows)
            recorder.queries[rows] += self.samples
            goals[rows[finds]], found[rows[finds]] = ends[finds], True
            radius += shell
        follow(recorder, goals[None], found.to(torch.int64))

    def _shell(
        self, world: World, state: State, low: float, high: float, generator: torch.Generator, batch: int, rows: Tensor
    ) -> tuple[Tensor, Tensor]:
        """Query `samples` points between two radii around each of R items.

        Returns:
            Which items found a point that satisfies the task (R,) bool, and that point (R, d).
        """
        with torch.inference_mode():
            n, d = self.samples, state.z.shape[1]
            # Drawn for the whole batch: the samples of an item do not depend on when the others finish.
            direction = torch.randn(batch, n, d, generator=generator)[rows]
            share = torch.rand(batch, n, 1, generator=generator)[rows]
            direction = direction / direction.norm(dim=2, keepdim=True).clamp_min(1e-12)
            # Uniform in the shell's volume: r^d is uniform between low^d and high^d.
            r = high * ((low / high) ** d + share * (1 - (low / high) ** d)) ** (1 / d)
            z = world.manifold.project((state.z[:, None] + r * direction).reshape(-1, d))
            repeated = State(*(part.repeat_interleave(n, 0) for part in state))
            frame = world.decode(z, repeated.home)
            seen = repeated._replace(z=z, frame=frame, prediction=world.predictions(frame, repeated.home))
            good = world.task.arrived(world.reference, seen, world.task.goal(seen)).reshape(-1, n)
            home = world.manifold.coordinates(repeated.z0, repeated.factual)
            away = (world.manifold.coordinates(z, frame) - home).norm(dim=1).reshape(-1, n).masked_fill(~good, torch.inf)
            best = away.argmin(dim=1) + n * torch.arange(len(away))
        return good.any(dim=1).clone(), z[best].clone()
