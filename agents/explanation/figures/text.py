"""Paths through sentences: film strip, animation, terminal and words; new words and removed words are marked."""

from __future__ import annotations

import textwrap
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
from PIL import Image, ImageDraw

from agents.explanation.figures.lettering import LINE as ROW
from agents.explanation.figures.lettering import PICTURE, font
from agents.explanation.figures.renderer import Renderer
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
from agents.explanation.figures.words import LETTER, LINE, change_words, draw_words, wrapped
from agents.explanation.sentences import heading
from agents.trajectories.trajectory import Trajectory
from envs.modalities.alignment import Word, compare, marked

if TYPE_CHECKING:
    from torch import Tensor

    from agents.explanation.report.faces.face import Face
    from envs.modalities.components import Component

NARROW = 32  # letters of a line in an animation


class TextRenderer(Renderer):
    """Sentences: words that are new or removed since the frame before are marked.

    Example:
        >>> TextRenderer().numeric
        False
    """

    numeric: ClassVar[bool] = False

    def unit(self, path: Trajectory) -> str:
        """See `Renderer.unit`."""
        return "L2 between codes"

    def part_words(
        self, path: Trajectory, world: Any, components: Sequence[Component], frames: Tensor
    ) -> list[tuple[str, str]]:
        """The words of the input, and those in their place."""
        old, new = (world.units.texts(frames[k : k + 1 or None])[0].split() for k in (0, -1))
        words = []
        for part in components:
            gone = " ".join(old[i] for i in part.where["before"])
            put = " ".join(new[j] for j in part.where["after"])
            words.append(change_words(gone, put))
        return words

    def joined(self, parts: Sequence[str], more: int) -> str:
        """A list of word pairs."""
        left = f" and {more} more change{'' if more == 1 else 's'}" if more > 0 else ""
        return ", ".join(parts) + left if parts else ""

    def film_strip(self, path: Trajectory, world: Any) -> bytes:
        """See `sentence_strip`."""
        return sentence_strip(path)

    def gif_bodies(self, path: Trajectory, world: Any) -> list[Image.Image]:
        """Sentences in as many lines as the longest one needs."""
        words = [wrapped(part, NARROW) for part in sentence_words(path)]
        most = max(len(lines) for lines in words)
        return [_page(lines, most) for lines in words]

    def terminal_bodies(self, path: Trajectory, world: Any, frames: np.ndarray, coloured: bool) -> list[Any]:
        """Sentences in colour, compared with the input; without colours, changes are marked by stars and brackets."""
        texts = path.texts or []
        return [_line(texts[0], text, coloured) for text in texts[1:]]

    def terminal_layout(self, title: Any, body: Any, bars: Any, numbers: Any) -> Any:
        """All parts beneath each other."""
        from rich.console import Group

        return Group(title, body, bars, numbers)

    def terminal_table(self, path: Trajectory, world: Any, width: int) -> Any:
        """See `sentence_table`."""
        return sentence_table(path)

    def face(
        self, path: Trajectory, world: Any, frames: np.ndarray, film: Sequence[int], turn: int, regions: Sequence[np.ndarray]
    ) -> Face:
        """See `agents.explanation.report.faces.text`."""
        from agents.explanation.report.faces.text import face

        return face(path, world, frames, film, turn)


def sentence_words(path: Trajectory) -> list[list[Word]]:
    """The words of the input and of every frame (T+2), each compared with the sentence before it.

    Frame 0 is compared with the input, which shows what the reconstruction lost. Removed words keep their place, marked
    ``gone``.
    """
    texts = path.texts or []
    return [compare(before, after) for before, after in zip([texts[0], *texts[:-1]], texts, strict=True)]


def sentence_strip(path: Trajectory) -> bytes:
    """The film strip of sentences as PNG: a line for the input and each frame, its class, and p(target) with a bar."""
    blocks = [wrapped(words) for words in sentence_words(path)]
    longest = max(sum(len(word.text) + 1 for word in line) for block in blocks for line in block)
    left, text_width = 0.95, LETTER * max(longest, 24)
    names = 0.1 * max(len(name) for name in path.class_names) + 0.25
    wide = left + text_width + 0.2 + names + (1.5 if path.predictions is not None else 0.0)
    high = 0.75 + LINE * sum(len(block) for block in blocks) + 0.08 * len(blocks)
    figure = pyplot_figure(wide, high)
    axes = figure.add_axes((0, 0, 1, 1))
    axes.set_xlim(0, wide)
    axes.set_ylim(high, 0)
    axes.axis("off")
    axes.text(0, 0.12, mathless(f"{heading(path)}   ({path.walker})"), fontsize=10, color=INK, va="center")
    right = left + text_width + 0.2
    axes.text(0, 0.42, "frame", fontsize=7.5, color="#555b64", va="center")
    axes.text(left, 0.42, "marked: new words; struck through: removed words", fontsize=7.5, color="#555b64", va="center")
    if path.shown is not None:
        shown = textwrap.shorten(path.class_names[path.target], 18, placeholder="…")
        named = path.shown.name if path.shown.is_score else f"p({shown})"
        axes.text(right + names, 0.42, mathless(named), fontsize=7.5, color="#555b64", va="center")
    y = 0.42 + LINE * 1.1
    for t, block in enumerate(blocks, start=-1):
        label = {-1: "input", 0: "0 (decoded)"}.get(t, str(t))
        axes.text(0, y, label, fontsize=8, va="center", color=INK, fontweight="bold" if t < 0 else "normal")
        _predict(axes, path, t, right, y, names)
        for line in block:
            draw_words(axes, line, left, y)
            y += LINE
        y += 0.08
    return figure_png(figure)


def _predict(axes: Any, path: Trajectory, t: int, x: float, y: float, names: float) -> None:
    """Class, probability and bar of one line; the input (t = -1) has a class alone."""
    index = path.source if t < 0 else int(path.predicted[t])
    colour = {path.source: SOURCE, path.target: TARGET}.get(index, INK)
    axes.text(x, y, mathless(path.class_names[index]), fontsize=8.5, va="center", fontweight="bold", color=colour)
    if path.shown is None or t < 0:
        return
    from matplotlib.patches import Rectangle

    p = float(path.shown.values[t])
    axes.text(x + names, y, path.shown.text(p), fontsize=8, va="center", color=INK)
    for share, shade in ((1.0, FAINT), (path.shown.share(p), TARGET)):
        axes.add_patch(Rectangle((x + names + 0.4, y - 0.04), 1.0 * share, 0.08, facecolor=shade, linewidth=0))


def _page(lines: list[list[Word]], most: int) -> Image.Image:
    """A sentence in room for `most` lines; new words on a yellow ground, removed words struck through."""
    body = Image.new("RGB", (PICTURE, ROW * most + 8), "white")
    draw = ImageDraw.Draw(body)
    for row, line in enumerate(lines):
        x, top = 6.0, 4 + row * ROW
        for word in line:
            width = draw.textlength(word.text, font(13))
            if word.change == "new":
                draw.rectangle((x - 2, top, x + width + 1, top + ROW - 4), fill=rgb(CHANGED))
            draw.text((x, top + 2), word.text, rgb(OTHER if word.change == "gone" else INK), font(13))
            if word.change == "gone":
                draw.line((x, top + 10, x + width, top + 10), fill=rgb(OTHER))
            x += width + draw.textlength(" ", font(13))
    return body


def _line(before: str, after: str, coloured: bool) -> Any:
    """A sentence; new words are marked, removed words struck through. Without colours: stars and brackets."""
    from rich.text import Text

    if not coloured:
        return Text("  " + marked(before, after))
    text, styles = Text("  "), {"new": "bold yellow", "gone": "strike dim", "": ""}
    for word in compare(before, after):
        text.append(word.text, styles[word.change])
        text.append(" ")
    return text


def sentence_table(path: Trajectory) -> Any:
    """A path through text as a rich table: the input, and every frame whose sentence differs from the one before."""
    from rich.table import Table
    from rich.text import Text

    texts = path.texts or []
    table = Table(box=None, pad_edge=False)
    table.add_column("frame", justify="right")
    table.add_column(Text("sentence (*new* since the line above, [-gone-])"))
    for t, (before, text) in enumerate(zip(["", *texts], texts, strict=False)):
        if t == 0 or text != before:
            table.add_row("input" if t == 0 else str(t - 1), Text(text if t == 0 else marked(before, text)))
    return table
