"""Greedy one-step search: the agent's objective without its foresight. What learning saves shows in the queries."""

from __future__ import annotations

from typing import ClassVar

import torch

from agents.walkers.base import Recorder, select
from agents.walkers.walker import Walker


class GreedyWalker(Walker):
    """Takes, of several random full actions, the one with the largest reward of the environment, and repeats.

    Ties (sparse rewards) go to the first candidate. So without a shaped reward this is a random walk that looks for success
    among all its candidates.

    Args:
        candidates: actions tried at each step; each costs one query.
        refine: the most further queries per item for a shorter last step.

    Example:
        >>> from agents.explain import explain
        >>> from envs import make_world
        >>> explain(make_world(), 0, max_steps=20, fallback=False, walker=GreedyWalker(candidates=4)).queries
        81
    """

    name: ClassVar[str] = "greedy"

    def __init__(self, candidates: int = 16, refine: int = 2) -> None:
        self.candidates = candidates
        self.refine = refine

    def steps(self, recorder: Recorder, generator: torch.Generator) -> None:
        """Search step by step. The chosen candidate was queried when it was tried: a step costs `candidates` queries."""
        batch, d = recorder.state.z.shape
        n = self.candidates
        while len(rows := recorder.active()):
            actions = torch.randn(batch, n, d, generator=generator)[rows]
            actions = (actions / actions.norm(dim=2, keepdim=True).clamp_min(1e-12)).reshape(len(rows) * n, d)
            tried, info = recorder.trial(rows.repeat_interleave(n), actions)
            merit = info.reward.to(torch.float64) + 1e6 * info.is_success.to(torch.float64)
            best = merit.reshape(len(rows), n).argmax(dim=1) + n * torch.arange(len(rows))
            chosen = type(info)(*(value[best] for value in info))
            recorder.accept(rows, actions[best], select(tried, best), chosen)
