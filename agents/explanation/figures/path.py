"""Pictures of a path: the film strip and the probability curves (PNG bytes). The map is in ``figures_map``, the GIF in
``figures_gif``, strips of table rows in ``figures_table``.

matplotlib is imported when a figure is drawn, never before, and without a display or global state.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from agents.explanation.figures.style import (
    FAINT,
    GAIN,
    INK,
    OTHER,
    SOURCE,
    TARGET,
    difference,
    difference_scale,
    figure_png,
    mathless,
    picture,
    pyplot_figure,
)
from agents.explanation.sentences import heading, shown_classes
from agents.trajectories.trajectory import Trajectory

MOST_COLUMNS = 12  # frames in one row of the strip; longer paths go on in a second band


def film_strip(path: Trajectory, world: Any) -> bytes:
    """The whole path at one look, as PNG.

    Above: the input and every decoded frame, with number, class and (unless only labels are seen) the probability of
    the target as a bar. Below: each frame's difference to frame 0, orange where it became more, blue where less; and
    the information gain of the step in nats, where it was measured. A table's path is drawn by
    :func:`agents.explanation.figures.table.table_strip`, one of sentences by
    :func:`agents.explanation.figures.text.sentence_strip`.
    """
    if path.modality == "table":
        from agents.explanation.figures.table import table_strip

        return table_strip(path, world)
    if path.modality == "text":
        from agents.explanation.figures.text import sentence_strip

        return sentence_strip(path)
    frames = path.frames(world)
    shown = [picture(world, path.source_input), *(picture(world, frame) for frame in frames)]
    changes = [None, *(difference(frame, frames[0], difference_scale(frames)) for frame in frames)]
    columns = min(len(shown), MOST_COLUMNS)
    bands = -(-len(shown) // columns)
    figure = pyplot_figure(1.05 * max(columns, 4), 0.42 + 2.75 * bands)
    grid = figure.add_gridspec(
        4 * bands,
        max(columns, 4),
        height_ratios=[1.0, 0.3, 1.0, 0.22] * bands,
        wspace=0.1,
        hspace=0.08,
        top=1 - 0.42 / (0.42 + 2.75 * bands),
        bottom=0,
        left=0,
        right=1,
    )
    title = mathless(f"{heading(path)}   ({path.walker})")
    figure.suptitle(title, x=0, y=1, ha="left", va="top", fontsize=10, color=INK)
    for place, (above, below) in enumerate(zip(shown, changes, strict=True)):
        band, column = divmod(place, columns)
        _frame(figure.add_subplot(grid[4 * band, column]), above, path, place - 1)
        _predict(figure.add_subplot(grid[4 * band + 1, column]), path, place - 1)
        axes = figure.add_subplot(grid[4 * band + 2, column])
        if below is None:
            bar = "" if path.predictions is None else f"bar: p({_short(path.class_names[path.target], 8)})\n\n"
            gain = "\ngreen: nats gained" if np.isfinite(path.information_gain).any() else ""  # type: ignore[arg-type]
            _blank(axes, bar + "below: change\nsince frame 0,\norange more,\nblue less" + gain)
        else:
            _image(axes, below)
            _gain(axes, path, place - 1)
    return figure_png(figure)


def _image(axes: Any, pixels: np.ndarray) -> None:
    axes.imshow(pixels, interpolation="nearest")
    axes.set_xticks([])
    axes.set_yticks([])
    for spine in axes.spines.values():
        spine.set_color("#b9bec6")
        spine.set_linewidth(0.6)


def _gain(axes: Any, path: Trajectory, t: int) -> None:
    """Beneath frame t: what the step to it taught, where that was measured."""
    if t > 0 and np.isfinite(gained := float(path.information_gain[t - 1])):  # type: ignore[index]
        axes.set_xlabel(f"{gained:.2f}", fontsize=6.6, color=GAIN, labelpad=2)


def _blank(axes: Any, text: str) -> None:
    axes.axis("off")
    axes.text(0.0, 0.5, text, transform=axes.transAxes, fontsize=6.2, va="center", color="#555b64", linespacing=1.25)


def _frame(axes: Any, pixels: np.ndarray, path: Trajectory, t: int) -> None:
    """The picture of frame t (-1: the input) under its number."""
    _image(axes, pixels)
    names = {-1: "input", 0: "0 reconstruction"}
    axes.set_title(
        names.get(t, str(t)),
        fontsize=6.6 if t == 0 else 7.5,
        pad=2.5,
        color=INK,
        loc="left" if t == 0 else "center",
        fontweight="bold" if t < 0 else "normal",
    )
    colour = SOURCE if t < 0 else TARGET if t == path.steps and path.success else None
    if colour:
        for spine in axes.spines.values():
            spine.set_color(colour)
            spine.set_linewidth(1.6)


def _predict(axes: Any, path: Trajectory, t: int) -> None:
    """Beneath frame t (-1: the input): its class, and the probability of the target as a number and a bar."""
    axes.set_xlim(0, 1)
    axes.set_ylim(0, 1)
    axes.axis("off")
    index = path.source if t < 0 else int(path.predicted[t])
    name = {"fontsize": 7.5, "va": "center", "color": _class_colour(path, index), "fontweight": "bold"}
    text = _short(path.class_names[index])
    if t < 0 or path.predictions is None:
        axes.text(0.5, 0.62, text, ha="center", **name)
        return
    p = float(path.predictions[t, path.target])
    axes.text(0.01, 0.62, text, ha="left", **name)
    axes.text(0.99, 0.62, f"{p:.2f}", ha="right", va="center", fontsize=7, color=INK)
    axes.barh(0.16, 1, height=0.2, color=FAINT, linewidth=0)
    axes.barh(0.16, p, height=0.2, color=TARGET, linewidth=0)


def _class_colour(path: Trajectory, index: int) -> str:
    return {path.source: SOURCE, path.target: TARGET}.get(index, INK)


def _short(name: str, most: int = 10) -> str:
    """A class name that fits beneath a frame; matplotlib's mathematics is switched off."""
    text = name if len(name) <= most else name[: most - 1] + "…"
    return mathless(text)


def probability_curves(path: Trajectory) -> bytes:
    """Probability of every class worth showing against the frame number (PNG); steps of the labels where only they are
    seen; the information gain of each step beneath where it was measured."""
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
    ends = []
    for index in shown_classes(path, 6):
        colour = OTHER if _class_colour(path, index) == INK else _class_colour(path, index)
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
            ends.append((float(path.predictions[-1, index]), _short(path.class_names[index], 18), colour))
    height = -np.inf
    for value, name, colour in sorted(ends):  # names beside the curves' ends, pushed apart where they would touch
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


def _label_steps(axes: Any, path: Trajectory, t: np.ndarray) -> None:
    classes = shown_classes(path)
    place = {index: row for row, index in enumerate(classes)}
    axes.step(t, [place[int(c)] for c in path.predicted], where="mid", color=TARGET, linewidth=1.6, marker="o", markersize=4)
    axes.set_yticks(range(len(classes)), [_short(path.class_names[c], 18) for c in classes])
    axes.set_ylim(-0.5, len(classes) - 0.5)
    axes.set_ylabel("class seen", fontsize=8.5)


def _quiet(axes: Any) -> None:
    axes.spines[["top", "right"]].set_visible(False)
    axes.tick_params(labelsize=8)
    axes.grid(axis="y", color=FAINT, linewidth=0.7)
    axes.set_axisbelow(True)
