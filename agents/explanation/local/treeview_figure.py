"""The route of a path through a TreeView as a figure: which factors switch, and where each frame rejects which classes."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from agents.explanation.figures.renderer import renderer_of
from agents.explanation.figures.style import (
    FAINT,
    INK,
    ON_LIGHT,
    OTHER,
    SOURCE,
    TARGET,
    figure_png,
    mathless,
    picture,
    prepare_matplotlib,
    pyplot_figure,
    region_colour,
)  # fmt: skip
from agents.explanation.local.treeview import Node, Routes
from agents.explanation.sentences import heading
from agents.trajectories.trajectory import Trajectory

MOST_FRAMES = 16  # that are drawn: first, last, and evenly between


def treeview_figure(path: Trajectory, world: Any, routes: Routes, encode: Callable[[Any], bytes] = figure_png) -> bytes:
    """Draw the route.

    Left, one column per frame: its picture, the cluster of every factor (outlined where it switched), the predictions of
        network
    and tree (orange where they differ), and for every class the depth at which the tree rejects it, or its share at the leaf.
    Right: the route of the last frame from the root to its leaf, test by test, with the remaining classes.

    Args:
        path: to be drawn.
        world: where it was walked; decodes the frames.
        routes: of its frames.
        encode: `figure_png` or `figure_svg`.
    """
    columns = np.unique(np.linspace(0, len(routes.nodes) - 1, MOST_FRAMES).round().astype(int))
    factors, classes = routes.meta.shape[1], len(path.class_names)
    depth = max(len(nodes) for nodes in routes.nodes)
    pictures = renderer_of(path).shows_pictures
    rows = (2.2 if pictures else 0.7) + factors + classes + 3.3
    height, left = 0.24 * rows + 0.6, 0.42 * len(columns) + 1.4
    width = left + 4.6
    figure = pyplot_figure(width, max(height, 0.24 * (depth + 3) + 0.6))
    figure.suptitle(mathless(f"{heading(path)}   (TreeView)"), x=0.01, y=0.995, ha="left", va="top", fontsize=10, color=INK)
    grid = figure.add_gridspec(1, 2, width_ratios=[left, 4.6], left=0.01, right=0.99, top=0.93, bottom=0.01, wspace=0.04)
    _frames(figure.add_subplot(grid[0]), path, world, routes, columns, pictures)
    _way(figure.add_subplot(grid[1]), path, routes.nodes[-1])
    return encode(figure)


def _frames(axes: Any, path: Trajectory, world: Any, routes: Routes, columns: np.ndarray, pictures: bool) -> None:
    """The left half: pictures, factors and classes, one column per frame."""
    prepare_matplotlib()
    from matplotlib.patches import Rectangle

    factors, classes = routes.meta.shape[1], len(path.class_names)
    top = 2.2 if pictures else 0.7
    shown = path.frames(world) if pictures else None
    for place, frame in enumerate(columns):
        if shown is not None:
            extent = (place + 0.05, place + 0.95, 1.5, 0.1)
            axes.imshow(picture(world, shown[frame]), extent=extent, interpolation="nearest", aspect="auto", zorder=2)
        axes.text(place + 0.5, top - 0.1, str(frame), ha="center", va="bottom", fontsize=6, color=OTHER)
        for factor in range(factors):
            cluster = routes.meta[frame, factor]
            switched = frame > 0 and routes.meta[frame - 1, factor] != cluster
            axes.add_patch(Rectangle((place + 0.04, top + factor + 0.04), 0.92, 0.92, facecolor=region_colour(cluster),
                                     edgecolor=INK if switched else "none", linewidth=1.4))  # fmt: skip
            axes.text(place + 0.5, top + factor + 0.5, str(cluster), ha="center", va="center", fontsize=7, color=ON_LIGHT)
        for row, says in enumerate((path.predicted[frame], routes.predicted[frame])):
            differs = path.predicted[frame] != routes.predicted[frame]
            axes.text(place + 0.5, top + factors + 0.65 + 0.9 * row, mathless(path.class_names[says][:4]), ha="center",
                      va="center", fontsize=7, color=SOURCE if row and differs else INK)  # fmt: skip
        gone, kept = _rejected(routes.nodes[frame])
        for k in range(classes):
            y = top + factors + 3.2 + k
            colour = TARGET if k == path.target else SOURCE if k == path.source else OTHER
            axes.add_patch(Rectangle((place + 0.04, y + 0.04), 0.92, 0.92, facecolor=FAINT, edgecolor="none"))
            if kept[k] > 0:
                axes.add_patch(Rectangle((place + 0.04, y + 0.96 - 0.92 * kept[k]), 0.92, 0.92 * kept[k], facecolor=colour))
            else:
                axes.text(place + 0.5, y + 0.5, str(gone[k]), ha="center", va="center", fontsize=6, color="#6b7280")
    for factor in range(factors):
        axes.text(-0.1, top + factor + 0.5, f"factor {factor}", ha="right", va="center", fontsize=7, color=INK)
    for row, name in enumerate(("network", "tree")):
        axes.text(-0.1, top + factors + 0.65 + 0.9 * row, name, ha="right", va="center", fontsize=7, color=INK)
    axes.text(-0.1, top + factors + 2.7, "classes: remaining (filled), or the depth of rejection", ha="left", va="center",
              fontsize=6.5, color=OTHER)  # fmt: skip
    for k, name in enumerate(path.class_names):
        mark = " (target)" if k == path.target else " (source)" if k == path.source else ""
        axes.text(-0.1, top + factors + 3.7 + k, mathless(name[:14] + mark), ha="right", va="center", fontsize=7, color=INK)
    axes.set_xlim(-2.6, len(columns) + 0.1)
    axes.set_ylim(top + factors + 3.3 + classes, 0)
    axes.axis("off")


def _way(axes: Any, path: Trajectory, nodes: list[Node]) -> None:
    """The right half: the nodes of the last frame from the root down, with the remaining classes."""
    axes.text(0, 0.4, "route of the last frame", fontsize=7.5, color=INK, va="center")
    for depth, node in enumerate(nodes):
        y = depth + 1.4
        if node.factor is None:
            test = "leaf"
        else:
            test = f"factor {node.factor} is {node.cluster}?  {'yes' if node.prediction else 'no'}"
        axes.text(0, y, f"{depth}", fontsize=6, color=OTHER, va="center")
        axes.text(0.5, y, test, fontsize=7, color=INK, va="center")
        names = [path.class_names[k][:8] for k in np.argsort(-node.shares) if node.shares[k] > 0]
        left = ", ".join(names[:10]) + (" ..." if len(names) > 10 else "")
        axes.text(4.2, y, mathless(left), fontsize=7, color=INK, va="center")
    axes.text(4.2, 0.4, "remaining classes, likeliest first", fontsize=7.5, color=INK, va="center")
    axes.set_xlim(-0.2, 9)
    axes.set_ylim(max(len(nodes) + 2, 6), 0)
    axes.axis("off")


def _rejected(nodes: list[Node]) -> tuple[np.ndarray, np.ndarray]:
    """Depth of the first node without each class (K,), and the shares of the classes at the leaf (K,)."""
    alive = np.stack([node.alive for node in nodes])  # (depth, K)
    return np.where(alive.all(0), len(nodes), (~alive).argmax(0)), nodes[-1].shares
