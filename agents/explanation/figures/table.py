"""Paths through rows of a table: film strip, animation, terminal and words, in the user's units; changed cells are marked."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
from PIL import Image, ImageDraw

from agents.console.terminal import name_cell
from agents.explanation.figures.lettering import LINE as ROW
from agents.explanation.figures.lettering import PICTURE, fit, font
from agents.explanation.figures.renderer import Renderer, side_by_side
from agents.explanation.figures.style import (
    CHANGED,
    FAINT,
    INK,
    OTHER,
    SOURCE,
    TARGET,
    figure_png,
    mathless,
    pyplot_figure,
    rgb,
)
from agents.explanation.figures.table_cells import changed_cells, row_texts
from agents.explanation.sentences import heading
from agents.redaction import SHOWN
from agents.trajectories.trajectory import Trajectory

if TYPE_CHECKING:
    from torch import Tensor

    from agents.explanation.report.faces.face import Face
    from envs.modalities.components import Component

MOST_COLUMNS = 10  # frames in one figure; of a longer path as many, evenly spaced, both ends included
LONGEST = 14  # letters of a class name
LINE = 0.24  # inches
MOST_ROWS = 14  # columns of the data in an animation
MOST_LINES = 16  # columns of the data in a terminal
MARK = "•"  # before a cell that changed
MOST_LETTERS = 16  # of a cell in the terminal's table; the rest is cut off


class TableRenderer(Renderer):
    """Rows of a table: the value of every column in the user's units, compared with the input.

    Example:
        >>> from agents.explain import explain
        >>> from envs import make_world
        >>> path = explain(make_world(), 0, walker="line")
        >>> TableRenderer().unit(path)
        'L2 over 4 scaled values'
    """

    has_columns: ClassVar[bool] = True

    def unit(self, path: Trajectory) -> str:
        """See `Renderer.unit`."""
        return f"L2 over {path.source_input.size} scaled values"

    def part_words(
        self, path: Trajectory, world: Any, components: Sequence[Component], frames: Tensor
    ) -> list[tuple[str, str]]:
        """The column, and its value in the input and at the end."""
        rows = [frames[0].numpy(), frames[-1].numpy()]
        names, texts = row_texts(world, rows, path.factual(world), path.hidden)
        cells = {name: (old, new) for name, (old, new) in zip(names, texts, strict=True)}
        hidden = path.hidden or ()
        return [
            (
                part.name,
                f"({SHOWN})" if part.name in hidden else f"{old} → {new}" if old != new else f"{old}, changed on the way",
            )
            for part in components
            for old, new in [cells[part.name]]
        ]

    def joined(self, parts: Sequence[str], more: int) -> str:
        """A list of columns, which says whether there are others."""
        left = f", and {more} more column{'' if more == 1 else 's'}" if more > 0 else "; nothing else changes"
        return ", ".join(parts) + left if parts else ""

    def film_strip(self, path: Trajectory, world: Any) -> bytes:
        """See `table_strip`."""
        return table_strip(path, world)

    def gif_bodies(self, path: Trajectory, world: Any) -> list[Image.Image]:
        """Lines of names and values; changed ones are marked."""
        frames = path.frames(world)
        names, texts = row_texts(world, [path.source_input, *frames], path.factual(world), path.hidden)
        changed = changed_cells(world, frames, path.factual(world), path.hidden)
        same = np.zeros(len(names), bool)
        return [_row(names, texts[:, t + 1], changed[:, t] if t >= 0 else same) for t in range(-1, len(frames))]

    def terminal_bodies(self, path: Trajectory, world: Any, frames: np.ndarray, coloured: bool) -> list[Any]:
        """Lines of names and values; changed ones stand behind a mark. Of many columns, those that change on the way."""
        names, texts = row_texts(world, list(frames), path.factual(world), path.hidden)
        changed = changed_cells(world, frames, path.factual(world), path.hidden)
        moving = np.flatnonzero(changed.any(1))
        order = moving[:MOST_LINES] if len(names) > MOST_LINES and len(moving) else np.arange(min(len(names), MOST_LINES))
        return [_lines(names, texts[:, t], changed[:, t], order) for t in range(len(frames))]

    def terminal_layout(self, title: Any, body: Any, bars: Any, numbers: Any) -> Any:
        """The numbers beneath the bars, which leaves room for the names of columns."""
        from rich.console import Group

        return side_by_side(title, body, Group(bars, numbers))

    def terminal_table(self, path: Trajectory, world: Any, width: int) -> Any:
        """See `row_table`."""
        return row_table(path, world, width)

    def face(
        self, path: Trajectory, world: Any, frames: np.ndarray, film: Sequence[int], turn: int, regions: Sequence[np.ndarray]
    ) -> Face:
        """See `agents.explanation.report.faces.table`."""
        from agents.explanation.report.faces.table import face

        return face(path, world, frames, film, turn)


def shown_frames(count: int, most: int = MOST_COLUMNS) -> list[int]:
    """At most `most` of `count` frames, evenly spaced, both ends included."""
    return np.unique(np.linspace(0, count - 1, min(count, most)).round().astype(int)).tolist()


def table_strip(path: Trajectory, world: Any) -> bytes:
    """The film strip of a path through a table, as PNG: a line per column of the data, a column per frame."""
    frames = path.frames(world)
    names, texts = row_texts(world, [path.source_input, *frames], path.factual(world), path.hidden)
    moved = changed_cells(world, frames, path.factual(world), path.hidden)
    changed = np.concatenate([np.zeros((len(names), 1), bool), moved], axis=1)
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
    axes.text(0, top + LINE * (len(names) + 1), path.kind_of_end, fontsize=8, va="center", color="#555b64")
    if path.shown is not None:
        axes.text(
            0,
            top + LINE * (len(names) + 2),
            mathless(path.shown.name),
            fontsize=8,
            va="center",
            color="#555b64",
        )
    return figure_png(figure)


def _ground(x: float, y: float, width: float, height: float) -> Any:
    from matplotlib.patches import Rectangle

    return Rectangle((x, y), width, height, facecolor=CHANGED, edgecolor="#c9a227", linewidth=0.5)


def _predict(axes: Any, path: Trajectory, t: int, x: float, y: float, cell: float) -> None:
    """Class, target probability and its bar beneath one frame; the input (t = -1) has a class alone."""
    index = path.source if t < 0 else int(path.predicted[t])
    colour = {path.source: SOURCE, path.target: TARGET}.get(index, INK)
    axes.text(
        x, y, mathless(_cut(path.class_names[index])), fontsize=7.5, ha="center", va="center", fontweight="bold", color=colour
    )
    if path.shown is None or t < 0:
        return
    from matplotlib.patches import Rectangle

    p, width = float(path.shown.values[t]), cell - 0.12
    axes.text(x, y + LINE, path.shown.text(p), fontsize=8, ha="center", va="center", color=INK)
    for share, shade in ((1.0, FAINT), (path.shown.share(p), TARGET)):
        axes.add_patch(Rectangle((x - width / 2, y + 1.5 * LINE), width * share, 0.08, facecolor=shade, linewidth=0))


def _cut(name: str, most: int = LONGEST) -> str:
    return name if len(name) <= most else name[: most - 1] + "…"


def _row(names: list[str], values: np.ndarray, changed: np.ndarray) -> Image.Image:
    """One row as lines of names and values; changed values stand on a yellow ground behind a mark."""
    count = min(len(names), MOST_ROWS)
    body = Image.new("RGB", (PICTURE, ROW * (count + (len(names) > count)) + 4), "white")
    draw = ImageDraw.Draw(body)
    order = np.argsort(~changed, kind="stable")[:count] if len(names) > count else range(count)
    for line, i in enumerate(order):
        top = 3 + line * ROW
        if changed[i]:
            draw.rectangle((2, top, PICTURE - 3, top + ROW - 3), fill=rgb(CHANGED))
            draw.ellipse((6, top + 7, 11, top + 12), fill=rgb(INK))
        fit(draw, (16, top + 2), names[i], 13, INK, PICTURE * 0.62)
        text = " ".join(str(values[i]).split())
        draw.text((PICTURE - 8 - draw.textlength(text, font(13)), top + 2), text, rgb(INK), font(13))
    if len(names) > count:
        draw.text((6, 3 + count * ROW), _more(len(names) - count), rgb(OTHER), font(12))
    return body


def _more(count: int) -> str:
    """What stands beneath lines of which the last ones are left out."""
    return f"and {count} more column{'' if count == 1 else 's'}"


def _lines(names: list[str], texts: np.ndarray, changed: np.ndarray, order: np.ndarray) -> Any:
    """One row in the terminal: names, and values; changed ones stand behind a mark."""
    from rich.table import Table
    from rich.text import Text

    values = Table(box=None, show_header=False, padding=(0, 1))
    for i in order:
        style = "bold yellow" if changed[i] else ""
        mark = Text(MARK if changed[i] else " ", style)
        values.add_row(mark, Text(name_cell(names[i])), Text(name_cell(str(texts[i])), style))
    if len(order) < len(names):
        values.add_row(Text(""), Text(_more(len(names) - len(order)), "dim"), Text(""))
    return values


def row_table(path: Trajectory, world: Any, width: int = 80) -> Any:
    """A path through a table as a rich table: a line per column of the data, a column for the input and as many frames as fit.

    Cells that differ from the input stand behind a mark; columns that never change are named once, beneath.
    """
    from rich.table import Table
    from rich.text import Text

    frames = path.frames(world)
    names, texts = row_texts(world, [path.source_input, *frames], path.factual(world), path.hidden)
    changed = changed_cells(world, frames, path.factual(world), path.hidden)
    moving = np.flatnonzero(changed.any(1))
    cell = min(MOST_LETTERS, max((len(str(text)) for text in texts[moving].ravel()), default=0)) + 2
    cell = max(cell, len(f"frame {len(frames) - 1}"))  # titles are never cut
    named = max((len(name_cell(names[i])) for i in moving), default=0)
    places = shown_frames(len(frames), max(2, (width - named - cell) // (cell + 2)))
    table = Table(box=None, pad_edge=False, caption_justify="left")
    table.add_column("", no_wrap=True)
    for title in ["input", *(f"frame {t}" for t in places)]:
        table.add_column(title, justify="right", no_wrap=True, max_width=cell)
    for i in moving:
        row = [Text(name_cell(names[i])), Text(name_cell(str(texts[i, 0])))]
        for t in places:
            text, mark = name_cell(str(texts[i, t + 1])), bool(changed[i, t])
            row.append(Text(f"{MARK} {text}" if mark else text, "bold yellow" if mark else ""))
        table.add_row(*row)
    still = [name for i, name in enumerate(names) if i not in moving and name not in (path.hidden or ())]
    unchanged = f"As in the input: {', '.join(still)}." if still else ""
    unchanged += f" Hidden: {', '.join(path.hidden)}." if path.hidden else ""
    table.caption = Text(f"{MARK}: differs from the input. {unchanged}", "dim")
    return table
