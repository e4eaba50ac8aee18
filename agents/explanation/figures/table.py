"""Paths through table rows: every frame a column of values in the user's units, with the changed cells marked."""

from __future__ import annotations

from typing import Any

import numpy as np

from agents.explanation.figures.style import (
    CHANGED,
    FAINT,
    INK,
    SOURCE,
    TARGET,
    figure_png,
    mathless,
    pyplot_figure,
)
from agents.explanation.figures.table_cells import changed_cells, row_texts
from agents.explanation.sentences import heading
from agents.trajectories.trajectory import Trajectory

MOST_COLUMNS = 10  # frames in one figure; a longer path shows as many, evenly spaced, both ends included
LONGEST = 14  # letters of a class name
LINE = 0.24  # inches


def shown_frames(count: int, most: int = MOST_COLUMNS) -> list[int]:
    """At most so many of `count` frames, evenly spaced, both ends included."""
    return np.unique(np.linspace(0, count - 1, min(count, most)).round().astype(int)).tolist()


def table_strip(path: Trajectory, world: Any) -> bytes:
    """The film strip of a table's path as PNG: a line for each column of the data, a column for each frame."""
    frames = path.frames(world)
    names, texts = row_texts(world, [path.source_input, *frames], path.factual(world))
    changed = np.concatenate([np.zeros((len(names), 1), bool), changed_cells(world, frames, path.factual(world))], axis=1)
    shown = [0, *(t + 1 for t in shown_frames(len(frames)))]
    left = 0.085 * max(len(_cut(name, 40)) for name in [*names, f"p({path.class_names[path.target]})"]) + 0.1
    longest = max(len(str(text)) for text in texts[:, shown].ravel())
    cell = max(0.62, 0.08 * max(longest, *(len(_cut(name)) for name in path.class_names)) + 0.12)
    wide, high = left + cell * len(shown), LINE * (len(names) + 3.4) + 0.3
    figure = pyplot_figure(wide, high)
    axes = figure.add_axes((0, 0, 1, 1))
    axes.set_xlim(0, wide)
    axes.set_ylim(high, 0)
    axes.axis("off")
    axes.text(0, 0.12, mathless(f"{heading(path)}   ({path.walker})"), fontsize=10, color=INK, va="center")
    top = 0.42
    for row, name in enumerate(names):
        axes.text(0, top + LINE * (row + 1), mathless(_cut(name, 40)), fontsize=8, va="center", color=INK)
    for column, place in enumerate(shown):
        x, t = left + cell * (column + 0.5), place - 1
        axes.text(x, top, "input" if t < 0 else str(t), fontsize=8, ha="center", va="center", fontweight="bold", color=INK)
        for row in range(len(names)):
            y = top + LINE * (row + 1)
            if changed[row, place]:
                axes.add_patch(_ground(x - cell / 2 + 0.02, y - LINE / 2 + 0.015, cell - 0.04, LINE - 0.03))
            axes.text(
                x,
                y,
                mathless(str(texts[row, place])),
                fontsize=8,
                ha="center",
                va="center",
                color=INK,
                fontweight="bold" if changed[row, place] else "normal",
            )
        _predict(axes, path, t, x, top + LINE * (len(names) + 1), cell)
    axes.text(0, top + LINE * (len(names) + 1), "class", fontsize=8, va="center", color="#555b64")
    if path.predictions is not None:
        axes.text(
            0,
            top + LINE * (len(names) + 2),
            mathless(f"p({path.class_names[path.target]})"),
            fontsize=8,
            va="center",
            color="#555b64",
        )
    return figure_png(figure)


def _ground(x: float, y: float, width: float, height: float) -> Any:
    from matplotlib.patches import Rectangle

    return Rectangle((x, y), width, height, facecolor=CHANGED, edgecolor="#c9a227", linewidth=0.5)


def _predict(axes: Any, path: Trajectory, t: int, x: float, y: float, cell: float) -> None:
    """Class, target probability and its bar beneath one column; the input (t = -1) has its class alone."""
    index = path.source if t < 0 else int(path.predicted[t])
    colour = {path.source: SOURCE, path.target: TARGET}.get(index, INK)
    axes.text(
        x, y, mathless(_cut(path.class_names[index])), fontsize=7.5, ha="center", va="center", fontweight="bold", color=colour
    )
    if path.predictions is None or t < 0:
        return
    from matplotlib.patches import Rectangle

    p, width = float(path.predictions[t, path.target]), cell - 0.12
    axes.text(x, y + LINE, f"{p:.2f}", fontsize=8, ha="center", va="center", color=INK)
    for share, shade in ((1.0, FAINT), (p, TARGET)):
        axes.add_patch(Rectangle((x - width / 2, y + 1.5 * LINE), width * share, 0.08, facecolor=shade, linewidth=0))


def _cut(name: str, most: int = LONGEST) -> str:
    return name if len(name) <= most else name[: most - 1] + "…"
