"""Curves, bars and maps of the report, as numbers for inline SVG."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np

from agents.explanation.figures.map import Map, path_map, starts_map
from agents.explanation.figures.style import SOURCE, TARGET, data_uri, rgb, see_through
from agents.explanation.sentences import heading, role, shown_classes
from agents.trajectories.trajectory import Trajectory

WIDTH, HEIGHT = 320, 130  # the curves' drawing area, in SVG units
APART = 13  # between the names at the curves' ends
TICKS = 8  # numbers on the axis of steps, at most
MOST_DOTS = 300  # reference inputs on the map of all paths
LEVELS = [(HEIGHT, "0"), (HEIGHT // 2, "0.5"), (0, "1")]  # (y, name) on the axis of probabilities
GREYS = (10, 26, 42)  # opacities of neighbouring regions


class Curve(NamedTuple):
    """The probability of one class along the path.

    Attributes:
        name: of the class.
        role: ``source``, ``target`` or ``other``.
        points: of the polyline.
        label: height of its name.

    Example:
        >>> Curve("4", "source", "0,0 320,130", 130.0).role
        'source'
    """

    name: str
    role: str
    points: str
    label: float


class Curves(NamedTuple):
    """Curves with their axes.

    Attributes:
        lines: the curves; none where labels alone are shown.
        ticks: (x, step) of the horizontal axis.
        turn: x of the turning point.
        levels: (y, name) of the vertical axis.

    Example:
        >>> Curves([], [(0.0, 0)], 0.0).lines
        []
    """

    lines: list[Curve]
    ticks: list[tuple[float, int]]
    turn: float
    levels: Sequence[tuple[int, str]] = LEVELS


class MapDrawing(NamedTuple):
    """A plane of the latent space: its regions, their names, and paths on it (100 by 100 units).

    Attributes:
        image: the regions, as a data URI.
        labels: (name, x, y).
        points: of the path's frames.
        queries: made for it.

    Example:
        >>> MapDrawing("data:,", [], [], 0).queries
        0
    """

    image: str
    labels: list[tuple[str, float, float]]
    points: list[list[float]]
    queries: int


def across(t: int, steps: int) -> float:
    """Horizontal position of frame t in the drawing area of the curves."""
    return round(WIDTH * (t / steps if steps else 0.5), 1)


def curves(path: Trajectory, turn: int) -> Curves:
    """Probability curves of source, target, and classes that exceed 0.1 along the path.

    Args:
        path: to be drawn.
        turn: its turning point.
    """
    lines: list[Curve] = []
    shown = path.shown
    if shown is not None and shown.is_score:
        heights = [HEIGHT * (1 - shown.share(float(value))) for value in shown.values]
        points = " ".join(f"{across(t, path.steps)},{height:.1f}" for t, height in enumerate(heights))
        lines.append(Curve(f"score {shown.text(float(shown.values[-1]))}", "target", points, heights[-1]))
        for limit in shown.limits:
            height = HEIGHT * (1 - shown.share(limit))
            lines.append(Curve(f"goal {shown.text(limit)}", "other", f"0,{height:.1f} {WIDTH},{height:.1f}", height))
    for c in shown_classes(path) if path.predictions is not None and not lines else ():
        values = path.predictions[:, c].tolist()  # type: ignore[index]
        if role(path, c) or max(values) > 0.1:
            points = " ".join(f"{across(t, path.steps)},{HEIGHT * (1 - p):.1f}" for t, p in enumerate(values))
            lines.append(Curve(path.class_names[c], role(path, c) or "other", points, HEIGHT * (1 - values[-1])))
    stride = -(-(path.steps + 1) // TICKS)
    ticks = [(across(t, path.steps), t) for t in range(0, path.steps + 1, stride)]
    levels = LEVELS
    if shown is not None and shown.is_score:
        levels = [(y, shown.text(value)) for y, value in ((HEIGHT, shown.low), (0, shown.high))]
    return Curves(_kept_apart(lines), ticks, across(turn, path.steps), levels)


def _kept_apart(lines: list[Curve]) -> list[Curve]:
    """The curves with their names moved apart, the important ones drawn last."""
    placed, floor = [], float(HEIGHT + APART)
    for line in sorted(lines, key=lambda line: -line.label):
        floor = min(line.label, floor - APART)
        placed.append(line._replace(label=round(floor, 1)))
    below = -min((line.label for line in placed), default=0.0)
    placed = [line._replace(label=round(line.label + max(0.0, below), 1)) for line in placed]
    return sorted(placed, key=lambda line: ("other", "source", "target").index(line.role))


def gain_bars(path: Trajectory) -> dict[str, Any] | None:
    """Information gain of each step as bars (SVG units), or None where it was not measured."""
    gain = np.asarray(path.information_gain)
    if not np.isfinite(gain).any():
        return None
    top = max(float(np.nanmax(gain)), 1e-12)
    bars = [{"x": across(t + 1, path.steps), "height": round(60 * max(0.0, float(g)) / top, 2), "value": float(g),
             "step": t + 1} for t, g in enumerate(gain) if np.isfinite(g)]  # fmt: skip
    return {"bars": bars, "top": top, "total": float(np.nansum(gain)), "width": round(0.5 * WIDTH / max(2, path.steps), 2)}


def map_drawing(path: Trajectory, world: Any) -> MapDrawing:
    """The plane through the path's ends: the source's region orange, the target's blue, others grey."""
    area = path_map(path, world)
    places = area.places(path.z)
    image = data_uri(regions_png(area, path.source, path.target))
    return MapDrawing(image, _labels(area, world, places), (100 * places).round(2).tolist(), area.queries)


def overview_map(paths: Sequence[Trajectory], world: Any) -> dict[str, Any]:
    """All paths on the plane of the reference inputs; costs no query."""
    area = starts_map(world)
    places = [area.places(path.z) for path in paths]
    stride = -(-len(world.reference.z) // MOST_DOTS)
    return {
        "image": data_uri(regions_png(area)),
        "labels": _labels(area, world, np.concatenate(places)),
        "reference": (100 * area.places(world.reference.z[::stride])).round(1).tolist(),
        "lines": [
            {"number": n, "heading": heading(path), "points": (100 * p).round(1).tolist()}
            for n, (path, p) in enumerate(zip(paths, places, strict=True), start=1)
        ],
    }


def regions_png(area: Map, source: int | None = None, target: int | None = None) -> bytes:
    """The regions of a map as a PNG that suits a light and a dark page: source orange, target blue, others grey, with borders.

    Args:
        area: the map.
        source, target: classes; None: all regions are grey.
    """
    classes = area.classes[::-1]
    colours = [(*rgb(SOURCE), 90), (*rgb(TARGET), 90), *((125, 130, 138, opacity) for opacity in GREYS), (125, 130, 138, 190)]
    indices = 2 + classes % len(GREYS)
    indices[classes == source], indices[classes == target] = 0, 1
    border = np.zeros(classes.shape, dtype=bool)
    border[:, 1:] |= classes[:, 1:] != classes[:, :-1]
    border[1:] |= classes[1:] != classes[:-1]
    indices[border] = len(colours) - 1
    return see_through(indices, colours)


def _labels(area: Map, world: Any, places: np.ndarray) -> list[tuple[str, float, float]]:
    return [(world.class_names[c], round(100 * x, 1), round(100 * y, 1)) for c, x, y in area.labels(places)]
