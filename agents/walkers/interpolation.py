"""Curved ways to the nearest unlike neighbour: the line's goal, another way there.

`slerp` goes along the great circle between the two codes, `matched` along the line carried back to the prior's law. Both
are operators of `envs.geometry.interpolation`, made for independent draws of a prior; between codes of a low-dimensional
encoder, which do not lie on its sphere, they are detours. They are here to be measured against the line.
"""

from __future__ import annotations

from typing import ClassVar

import torch
from torch import Tensor

from agents.walkers.base import Recorder
from agents.walkers.follow import follow, latent_step
from agents.walkers.line import LineWalker
from envs.core.world import World
from envs.geometry.curves import FINE, along
from envs.geometry.interpolation import interpolate

MOST_POINTS = 24  # way points of a curve


class SlerpWalker(LineWalker):
    """The great circle to the nearest unlike neighbour, cut at success; arguments as `LineWalker`'s."""

    name: ClassVar[str] = "slerp"

    def _lead(self, world: World, recorder: Recorder, goals: Tensor, found: Tensor) -> None:
        """Along the curve through the codes of frame 0 and the goals."""
        state = recorder.state
        curve = interpolate(self.name, world.manifold.prior, state.z, goals, torch.linspace(0, 1, FINE))
        follow_curve(recorder, world.manifold.prior.project(curve.flatten(0, 1)).reshape(curve.shape), found)


class MatchedWalker(SlerpWalker):
    """The distribution-preserving way to the nearest unlike neighbour, cut at success."""

    name: ClassVar[str] = "matched"


def follow_curve(recorder: Recorder, curve: Tensor, found: Tensor, rows: Tensor | None = None) -> None:
    """Walk along curves (T+1, B, d) by way points about one full action apart.

    Each way point costs a step at least: more of them than steps fit on the way would only make the walk longer.

    Args:
        found: (B,) bool: which items have a curve; the others stay.
        rows: (B,) the items of the recorder that these are, default all.
    """
    fine = along(curve, FINE, by_length=True)
    whole = fine.diff(dim=0).norm(dim=2).sum(0)
    counts = (whole / latent_step(recorder.world)).ceil().clamp(1, MOST_POINTS).long()
    share = (torch.arange(1, MOST_POINTS + 1)[:, None] / counts).clamp_max(1)
    index = (share * (FINE - 1)).round().long()  # (MOST_POINTS, B)
    follow(recorder, fine[index, torch.arange(fine.shape[1])], torch.where(found, counts, 0), rows)
