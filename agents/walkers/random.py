"""Full actions in random directions until something happens: what any walker has to be better than."""

from __future__ import annotations

from typing import ClassVar

import torch
from torch import Tensor

from agents.walkers.base import Recorder, Walk
from envs.core.state import State
from envs.core.world import World


class RandomWalker:
    """Each step a full action in a direction drawn uniformly from the unit sphere."""

    name: ClassVar[str] = "random"
    white_box: ClassVar[bool] = False

    def walk(
        self,
        world: World,
        state: State,
        initial_latent_queries: Tensor,
        generator: torch.Generator,
        max_steps: int | None = None,
    ) -> Walk:
        """See `Walker.walk`."""
        recorder = Recorder(world, state, initial_latent_queries, max_steps)
        batch, d = state.z.shape
        while len(rows := recorder.active()):
            # Drawn for the whole batch: an item's walk does not hang on when its neighbours finish.
            direction = torch.randn(batch, d, generator=generator)[rows]
            recorder.step(rows, direction / direction.norm(dim=1, keepdim=True).clamp_min(1e-12))
        return recorder.walk()
