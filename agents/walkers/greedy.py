"""Greedy one-step search: tries several actions, asks about each, takes the best, and again.

It has the agent's own objective but no foresight, and pays for every look: what learning saves can be read off its
queries.
"""

from __future__ import annotations

from typing import ClassVar

import torch
from torch import Tensor

from agents.walkers.base import Recorder, Walk, select
from agents.walkers.planning.refine import refine_last
from envs.core.state import State
from envs.core.world import World


class GreedyWalker:
    """Of `candidates` random full actions the one with the largest reward of the environment is taken.

    Ties (sparse rewards) go to the first candidate, so without a shaped reward this is a random walk that looks for
    success in all the candidates it asks about.
    """

    name: ClassVar[str] = "greedy"
    white_box: ClassVar[bool] = False

    def __init__(self, candidates: int = 16, refine: int = 2) -> None:
        self.candidates = candidates
        self.refine = refine

    def walk(
        self,
        world: World,
        state: State,
        initial_latent_queries: Tensor,
        generator: torch.Generator,
        max_steps: int | None = None,
    ) -> Walk:
        """See `Walker.walk`. A taken candidate was asked about when tried: a step costs `candidates` queries."""
        recorder = Recorder(world, state, initial_latent_queries, max_steps)
        batch, d = state.z.shape
        n = self.candidates
        while len(rows := recorder.active()):
            actions = torch.randn(batch, n, d, generator=generator)[rows]
            actions = (actions / actions.norm(dim=2, keepdim=True).clamp_min(1e-12)).reshape(len(rows) * n, d)
            tried, info = recorder.trial(rows.repeat_interleave(n), actions)
            merit = info.reward.to(torch.float64) + 1e6 * info.is_success.to(torch.float64)
            best = merit.reshape(len(rows), n).argmax(dim=1) + n * torch.arange(len(rows))
            chosen = type(info)(*(value[best] for value in info))
            recorder.accept(rows, actions[best], select(tried, best), chosen)
        refine_last(recorder, self.refine)
        return recorder.walk()
