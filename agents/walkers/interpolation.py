"""Curved interpolations to the nearest unlike neighbour: the goal of the line, along another curve.

`slerp` follows the great circle between the two codes, `matched` the line mapped back to the prior's distribution. Both are
operators of `envs.geometry.interpolation`, derived for independent draws from a prior. The codes of a low-dimensional encoder
do not lie on the prior's sphere; between them these curves are detours. They are here to be compared with the line.
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
from envs.geometry.transport import LAWLESS

MOST_POINTS = 24  # way points of a curve


class SlerpWalker(LineWalker):
    """Walks along the great circle to the nearest unlike neighbour, up to the first frame that satisfies the task.

    Args:
        refine, arriving: see `LineWalker`.

    Source: White, "Sampling Generative Networks", 2016, section 2.

    Example:
        >>> from agents.explain import explain
        >>> from envs import make_world
        >>> explain(make_world(), 0, walker=SlerpWalker()).success
        True
    """

    name: ClassVar[str] = "slerp"
    straight: ClassVar[bool] = False

    def towards(self, recorder: Recorder, goals: Tensor, found: Tensor) -> None:
        """Walk along the curve through the codes of frame 0 and the goals (B, d)."""
        prior = recorder.world.manifold.prior
        curve = interpolate(self.name, prior, recorder.state.z, goals, torch.linspace(0, 1, FINE))
        follow_curve(recorder, prior.project(curve.flatten(0, 1)).reshape(curve.shape), found)


class MatchedWalker(SlerpWalker):
    """Walks along the distribution-preserving curve to the nearest unlike neighbour, up to the first frame that satisfies the
    task.

    Args:
        refine, arriving: see `LineWalker`.

    Example:
        >>> from agents.explain import explain
        >>> from envs import make_world
        >>> explain(make_world(), 0, walker=MatchedWalker()).success
        True
    """

    name: ClassVar[str] = "matched"

    @classmethod
    def obstacle(cls, world: World) -> str | None:
        """A prior without a density has no distribution to preserve."""
        kind = world.manifold.prior.kind
        return f"the walker {cls.name!r} needs a prior with a distribution, this one is {kind!r}" if kind in LAWLESS else None


def follow_curve(recorder: Recorder, curve: Tensor, found: Tensor, rows: Tensor | None = None) -> None:
    """Walk along curves by way points about one full action apart.

    Each way point costs at least one step: more of them than steps fit on the way would only lengthen the walk.

    Args:
        recorder: holds the batch.
        curve: (T+1, R, d) latents.
        found: (R,) bool, the items that have a curve; the others stay where they are.
        rows: (R,) the items; None: all.
    """
    fine = along(curve, FINE, by_length=True)
    whole = fine.diff(dim=0).norm(dim=2).sum(0)
    counts = (whole / latent_step(recorder.world)).ceil().clamp(1, MOST_POINTS).long()
    share = (torch.arange(1, MOST_POINTS + 1)[:, None] / counts).clamp_max(1)
    index = (share * (FINE - 1)).round().long()  # (MOST_POINTS, R)
    follow(recorder, fine[index, torch.arange(fine.shape[1])], torch.where(found, counts, 0), rows)
