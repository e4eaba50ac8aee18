"""Latent growing spheres: random looks in shells of growing radius around the encoding, then the line to the nearest
find.

After growing spheres [1]_ moved into a VAE's latent space, as C-CHVAE does [2]_: shells are sampled outwards until
one holds a point that satisfies the task; of the finds in that shell the one nearest to the input in data space is
taken. Black box, needs no training, and pays for it in queries. The path is the latent line from frame 0 to the
find.

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

from agents.walkers.base import Recorder, Walk, select
from agents.walkers.follow import follow, latent_step
from agents.walkers.planning.refine import refine_last
from envs.core.state import State
from envs.core.world import World


class SpheresWalker:
    """Growing spheres in the latent space, all items of a batch at once.

    Args:
        samples: points asked about in each shell.
        thickness: a shell's thickness as a share of a full action.
        refine: most further questions an item for a finer last step.
    """

    name: ClassVar[str] = "spheres"
    white_box: ClassVar[bool] = False

    def __init__(self, samples: int = 100, thickness: float = 0.5, refine: int = 2) -> None:
        self.samples = samples
        self.thickness = thickness
        self.refine = refine

    def walk(
        self,
        world: World,
        state: State,
        initial_latent_queries: Tensor,
        generator: torch.Generator,
        max_steps: int | None = None,
    ) -> Walk:
        """See `Walker.walk`; every row looked at in a shell is a query of its item."""
        recorder = Recorder(world, state, initial_latent_queries, max_steps)
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
        refine_last(recorder, self.refine)
        return recorder.walk()

    def _shell(
        self, world: World, state: State, low: float, high: float, generator: torch.Generator, batch: int, rows: Tensor
    ) -> tuple[Tensor, Tensor]:
        """Look at `samples` points between two radii: which items found something (R,), and where (R, d)."""
        with torch.inference_mode():
            n, d = self.samples, state.z.shape[1]
            # Drawn for the whole batch: what an item sees does not hang on when the others finish.
            direction = torch.randn(batch, n, d, generator=generator)[rows]
            share = torch.rand(batch, n, 1, generator=generator)[rows]
            direction = direction / direction.norm(dim=2, keepdim=True).clamp_min(1e-12)
            # Uniform in the shell's volume: r^d is uniform between low^d and high^d.
            r = high * ((low / high) ** d + share * (1 - (low / high) ** d)) ** (1 / d)
            z = world.manifold.prior.project((state.z[:, None] + r * direction).reshape(-1, d))
            repeated = State(*(part.repeat_interleave(n, 0) for part in state))
            frame = world.decode(z, repeated.home)
            seen = repeated._replace(z=z, frame=frame, prediction=world.predictions(frame, repeated.home))
            good = world.task.arrived(world.reference, seen, world.task.goal(seen)).reshape(-1, n)
            home = world.manifold.coordinates(repeated.z0, repeated.factual)
            away = (world.manifold.coordinates(z, frame) - home).norm(dim=1).reshape(-1, n).masked_fill(~good, torch.inf)
            best = away.argmin(dim=1) + n * torch.arange(len(away))
        return good.any(dim=1).clone(), z[best].clone()
