"""The figures of a path: its film strip and its probability curves, as PNG.

matplotlib is imported when a figure is drawn, without a display or global state.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from agents.explanation.figures.renderer import renderer_of
from agents.explanation.figures.style import (
    FAINT,
    GAIN,
    INK,
    OTHER,
    TARGET,
    class_colour,
    figure_png,
    mathless,
    pyplot_figure,
    short,
)
from agents.explanation.sentences import heading, shown_classes
from agents.trajectories.trajectory import Trajectory


def film_strip(path: Trajectory, world: Any) -> bytes:
    """The whole path in one picture (PNG): the input and every frame with its class and the probability of the target.

    Pictures also show what changed since frame 0, tables mark the cells and sentences the words that changed.

    Args:
        path: to be drawn.
        world: where it was walked; decodes the frames.
    """
    return renderer_of(path).film_strip(path, world)


def probability_curves(path: Trajectory) -> bytes:
    """Probabilities of the main classes by frame, as PNG; the predicted class where labels alone are shown.

    Beneath, the information gain of each step, where it was measured.
    """
    gained = path.steps > 0 and bool(np.isfinite(path.information_gain).any())  # type: ignore[arg-type]
    figure = pyplot_figure(5.2, 2.9 if not gained else 3.7)
    grid = figure.add_gridspec(2 if gained else 1, 1, height_ratios=[3, 1] if gained else [1], hspace=0.12)
    axes = figure.add_subplot(grid[0])
    t = np.arange(len(path.z))
    draw_curves(axes, path)
    last = axes
    if gained:
        last = figure.add_subplot(grid[1], sharex=axes)
        last.bar(t[1:], path.information_gain, width=0.6, color=GAIN)
        last.set_ylabel("gain (nats)", fontsize=8)
        axes.tick_params(labelbottom=False)
        _quiet(last)
    last.set_xlabel("frame", fontsize=8.5)
    last.xaxis.get_major_locator().set_params(integer=True)
    return figure_png(figure)


def draw_curves(axes: Any, path: Trajectory) -> None:
    """The curves of `probability_curves` without the gain, on matplotlib axes."""
    t = np.arange(len(path.z))
    (_label_steps if path.predictions is None else _curves)(axes, path, t)
    axes.set_title(mathless(heading(path)), fontsize=10, loc="left", color=INK)
    _quiet(axes)


def _curves(axes: Any, path: Trajectory, t: np.ndarray) -> None:
    assert path.predictions is not None
    assert path.shown is not None
    if path.shown.is_score:
        axes.plot(t, path.shown.values, color=TARGET, linewidth=2, marker="o", markersize=3.5)
        axes.axhspan(*_goal_band(path), color=TARGET, alpha=0.12, linewidth=0)
        axes.set_ylim(path.shown.low, path.shown.high)
        axes.set_ylabel(f"score (goal {path.class_names[path.target]})", fontsize=8.5)
        return
    ends = []
    for index in shown_classes(path, 6):
        colour = OTHER if class_colour(path, index) == INK else class_colour(path, index)
        main = index in (path.source, path.target)
        axes.plot(
            t,
            path.predictions[:, index],
            color=colour,
            linewidth=2 if main else 1,
            linestyle="-" if main else "--",
            marker="o" if main else None,
            markersize=3.5,
            zorder=2 + main,
        )
        if main or path.predictions[:, index].max() > 0.1:
            ends.append((float(path.predictions[-1, index]), short(path.class_names[index], 18), colour))
    height = -np.inf
    for value, name, colour in sorted(ends):  # names at the ends of the curves, kept apart
        height = max(value, height + 0.075)
        axes.annotate(
            name,
            (t[-1], value),
            xytext=(t[-1] + 0.04 * max(1, t[-1]), height),
            color=colour,
            fontsize=8.5,
            va="center",
            annotation_clip=False,
        )
    axes.set_ylim(-0.03, 1.03)
    axes.set_ylabel("probability", fontsize=8.5)


def _goal_band(path: Trajectory) -> tuple[float, float]:
    """The part of the axis of scores on which the walk may end."""
    assert path.shown is not None
    ends = [path.shown.low, *path.shown.limits, path.shown.high]
    return ends[path.target], ends[path.target + 1]


def _label_steps(axes: Any, path: Trajectory, t: np.ndarray) -> None:
    classes = shown_classes(path)
    place = {index: row for row, index in enumerate(classes)}
    axes.step(t, [place[int(c)] for c in path.predicted], where="mid", color=TARGET, linewidth=1.6, marker="o", markersize=4)
    axes.set_yticks(range(len(classes)), [short(path.class_names[c], 18) for c in classes])
    axes.set_ylim(-0.5, len(classes) - 0.5)
    axes.set_ylabel(f"predicted {path.kind_of_end}", fontsize=8.5)


def _quiet(axes: Any) -> None:
    axes.spines[["top", "right"]].set_visible(False)
    axes.tick_params(labelsize=8)
    axes.grid(axis="y", color=FAINT, linewidth=0.7)
    axes.set_axisbelow(True)
