"""Pictures on a card: input, turning point and end, with rings around what differs from the input."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np

from agents.explanation.figures.style import INK, LESS, MORE, data_uri, picture, plane, shown_png
from agents.explanation.report.faces.face import Face, inches_wide, wrapped_caption
from agents.trajectories.trajectory import Trajectory

MARKED = 0.2  # of the full range: a smaller change of a pixel is not ringed
SHARE = 0.35  # of the largest change: likewise
SMALLEST = 0.01  # of the picture: a smaller region is not ringed
MOST_RINGS = 8
APART = 0.14  # of the longer side: labels lie no nearer to each other where there is room
CLEAR = 0.2  # of a part's change: a smaller sum of more and less has no direction, as a change of hue
COARSEST = 48  # cells along the longer side of a ring's grid
BLOCKS = 64  # pixels along a side up to which a picture is shown in blocks


class Ring(NamedTuple):
    """The outline of a region that differs from the input.

    Attributes:
        outline: SVG path, in units of pixels.
        more: whether the values became larger there.
        x, y: where its label stands.

    Example:
        >>> rings(np.array([[0.0, 1.0], [0.0, 0.0]]))[0].outline
        'M1 0h1M1 1h1M1 0v1M2 0v1'
    """

    outline: str
    more: bool
    x: float
    y: float


def face(
    path: Trajectory, world: Any, frames: np.ndarray, film: Sequence[int], turn: int, regions: Sequence[np.ndarray]
) -> Face:
    """The pictures of a card.

    Args:
        path: to be shown.
        world: where it was walked.
        frames: (T+1, *data) its decoded frames.
        film: the frames that the player shows.
        turn: the turning point.
        regions: (H, W) bool, the parts of the contributions, which are ringed at the end instead of the largest changes.
    """
    sources = {t: data_uri(shown_png(picture(world, frames[t]))) for t in {*film, turn, path.steps}}
    given = data_uri(shown_png(picture(world, path.source_input)))
    start = plane(path.source_input)
    end, size = plane(frames[-1]) - start, plane(np.abs(frames[-1] - path.source_input))
    height, width = start.shape
    stills = [
        {"src": given, "rings": []},
        {"src": sources[turn], "rings": rings(plane(frames[turn]) - start)},
        {"src": sources[path.steps], "rings": _parts(regions, end, size) or rings(end)},
    ]
    context = {"stills": stills, "height": height, "width": width, "numbered": len(regions) > 0}
    small = max(height, width) <= BLOCKS
    return Face("picture.html", context, [sources[t] for t in film], draw, 2.7, small, "", (given, sources[path.steps]))


def _parts(regions: Sequence[np.ndarray], change: np.ndarray, size: np.ndarray) -> list[Ring]:
    """A ring for each part of the contributions, around the pixels that change most in it, by the `size` of their change."""
    found: list[Ring] = []
    for part in regions:
        total = change[part].sum()
        clear = abs(total) > CLEAR * size[part].sum()
        moved = np.where(part & (change * np.sign(total) > 0) if clear else part, size, 0.0)
        shown = _without_crumbs((moved >= SHARE * moved.max()) & (moved > 0))
        found.append(ring(shown, bool(total >= 0), label=_label(moved, shown, found)))
    return found


def _label(moved: np.ndarray, shown: np.ndarray, others: Sequence[Ring]) -> tuple[int, int]:
    """Row and column of a label: where most changes (H, W) among what is ringed, apart from the other labels."""
    rows, columns = np.nonzero(shown if shown.any() else np.ones_like(shown))
    gaps = [np.hypot(rows + 0.5 - one.y, columns + 0.5 - one.x) for one in others]
    near = np.min(gaps, axis=0) if gaps else np.full(len(rows), np.inf)
    far = near >= APART * max(moved.shape)
    best = np.argmax(np.where(far, moved[rows, columns], -1.0)) if far.any() else near.argmax()
    return int(rows[best]), int(columns[best])


def _without_crumbs(part: np.ndarray) -> np.ndarray:
    """The connected patches of a region, without those of less than a third of the largest one's size."""
    from scipy import ndimage

    patches, count = ndimage.label(part, np.ones((3, 3)))
    sizes = np.bincount(patches.ravel(), minlength=count + 1)
    sizes[0] = 0
    return np.asarray(sizes[patches] >= max(1, sizes.max() / 3))


def rings(change: np.ndarray) -> list[Ring]:
    """Outlines of the largest regions in which a picture became brighter or darker.

    Args:
        change: (H, W) difference to the input.
    """
    from scipy import ndimage

    height, width = change.shape
    step = -(-max(height, width) // COARSEST)
    coarse = change if step == 1 else ndimage.uniform_filter(change, step)[step // 2 :: step, step // 2 :: step]
    least = max(MARKED, SHARE * float(np.abs(coarse).max(initial=0.0)))
    found: list[tuple[int, Ring]] = []
    for more in (True, False):
        patches, count = ndimage.label(coarse > least if more else coarse < -least)
        for k in range(1, count + 1):
            part = patches == k
            if part.sum() >= SMALLEST * part.size:
                found.append((int(part.sum()), ring(part, more, step)))
    found.sort(key=lambda item: -item[0])
    return [one for _, one in found[:MOST_RINGS]]


def ring(part: np.ndarray, more: bool, step: int = 1, label: Sequence[Any] | None = None) -> Ring:
    """The outline of one region, along the edges of its pixels.

    Args:
        part: (H, W) bool.
        more: whether values became larger.
        step: pixels of the picture to a cell of `part`.
        label: row and column of its label; None: its topmost cell.
    """
    padded = np.pad(part, 1).astype(np.int8)
    lines = []
    for y, x in np.argwhere(np.diff(padded, axis=0)[:, 1:-1]):
        lines.append((f"M{x * step} {y * step}", f"h{step}"))
    for y, x in np.argwhere(np.diff(padded, axis=1)[1:-1]):
        lines.append((f"M{x * step} {y * step}", f"v{step}"))
    top, left = np.argwhere(part)[0] if label is None else label
    outline = "".join(start + move for start, move in lines)
    return Ring(outline, more, float(left * step + step / 2), float(top * step + step / 2))


def draw(axes: Any, card: Any) -> None:
    """The three pictures with their rings, on axes of a figure."""
    path, context = card.path, card.face.context
    height, width = context["height"], context["width"]
    shown = [path.source_input, card.frames[card.turn], card.frames[-1]]
    for place, (x, still) in enumerate(zip(shown, context["stills"], strict=True)):
        inner = axes.inset_axes((0.34 * place, 0.2, 0.3, 0.78))
        inner.imshow(picture(card.world, x), interpolation="nearest", extent=(0, width, height, 0))
        for one in still["rings"]:
            contour(inner, one)
        inner.set(xticks=[], yticks=[], xlim=(0, width), ylim=(height, 0))
        for number, one in enumerate(still["rings"], 1) if place == 2 and context["numbered"] else ():
            inner.text(one.x, one.y, str(number), fontsize=7, color="white", ha="center", va="center",
                       bbox={"facecolor": INK, "edgecolor": "white", "boxstyle": "circle,pad=0.15"})  # fmt: skip
        inner.set_xlabel(wrapped_caption(card, place, 0.33 * inches_wide(axes), 9), fontsize=9, color=INK)


def contour(axes: Any, one: Ring) -> None:
    """A ring on matplotlib axes: solid green for more, dashed purple for less."""
    steps = re.findall(r"M([\d.]+) ([\d.]+)([hv])([\d.]+)", one.outline)
    for colour, look in (("white", {"linewidth": 3.2}), (MORE if one.more else LESS, {"linewidth": 1.7})):
        for x, y, way, length in steps:
            a, b, n = float(x), float(y), float(length)
            end = (a + n, b) if way == "h" else (a, b + n)
            dashed = "-" if one.more or colour == "white" else (0, (2, 1.4))
            axes.plot((a, end[0]), (b, end[1]), color=colour, linestyle=dashed, solid_capstyle="butt", **look)
