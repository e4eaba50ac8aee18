"""Series on a card: the curves of input, turning point and end, with the intervals of the contributions framed."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from agents.explanation.figures.curves import curves, draw_series
from agents.explanation.figures.style import data_uri, png
from agents.explanation.report.faces.face import Face, inches_wide, wrapped_caption
from agents.explanation.report.faces.picture import Ring
from agents.trajectories.trajectory import Trajectory
from envs.modalities.curves import SIDE


def face(
    path: Trajectory, world: Any, frames: np.ndarray, film: Sequence[int], turn: int, regions: Sequence[np.ndarray]
) -> Face:
    """The curves of a card.

    Args:
        path: to be shown.
        world: where it was walked.
        frames: (T+1, D) its decoded frames.
        film: the frames that the player shows.
        turn: the turning point.
        regions: (C, T) bool, the parts of the contributions, which are framed at the end.
    """
    sources = {t: data_uri(png(curves(path, world, frames[t]))) for t in {*film, turn, path.steps}}
    given = data_uri(png(curves(path, world, path.source_input)))
    change = (frames[-1] - path.source_input).reshape(world.units.shape)
    stills = [
        {"src": given, "rings": []},
        {"src": sources[turn], "rings": []},
        {"src": sources[path.steps], "rings": [box(part, bool(change[part].sum() >= 0)) for part in regions]},
    ]
    context = {"stills": stills, "height": SIDE, "width": SIDE, "numbered": len(regions) > 0}
    height = 1.2 * world.units.shape[0] + 1.5
    thumbnails = given, sources[path.steps]
    return Face("picture.html", context, [sources[t] for t in film], draw, height, False, "", thumbnails)


def box(part: np.ndarray, more: bool) -> Ring:
    """The frame of an interval (C, T) bool, in pixels of a curve's picture."""
    channels, length = part.shape
    c, at = int(part.any(1).argmax()), np.flatnonzero(part.any(0))
    left, right = (4 + (SIDE - 8) * (t / max(1, length - 1)) for t in (at[0] - 0.5, at[-1] + 0.5))
    left, right = max(1.0, left), min(SIDE - 1.0, right)
    top, high = c * SIDE / channels + 1, SIDE / channels - 2
    outline = f"M{left:.1f} {top:.1f}h{right - left:.1f}v{high:.1f}h{left - right:.1f}z"
    return Ring(outline, more, (left + right) / 2, top + 10)


def draw(axes: Any, card: Any) -> None:
    """The channels of input and end, on axes of a figure."""
    channels = card.world.units.shape[0]
    axes.axis("off")
    high = 0.68 / channels
    panels = [axes.inset_axes((0.06, 0.2 + (channels - 1 - c) * high, 0.82, 0.9 * high)) for c in range(channels)]
    draw_series(panels, card.path, card.world, card.frames)
    titles = [wrapped_caption(card, k, 0.82 * inches_wide(axes), 9) for k in (0, 2)]
    axes.text(0, 1, "\n".join(titles), fontsize=9, va="top")
