"""Marked words in lines, and on axes of a figure."""

from __future__ import annotations

from typing import Any

from agents.explanation.figures.style import CHANGED, INK, mathless
from envs.modalities.alignment import Word

LINE = 0.25  # inches
LETTER = 0.082  # inches of a letter of the sentences' font
WIDEST = 72  # letters of a line; longer sentences continue below


def wrapped(words: list[Word], width: int = WIDEST) -> list[list[Word]]:
    """The words, in lines of at most `width` letters."""
    lines: list[list[Word]] = [[]]
    used = 0
    for word in words:
        if used and used + len(word.text) > width:
            lines.append([])
            used = 0
        lines[-1].append(word)
        used += len(word.text) + 1
    return lines


def draw_words(axes: Any, words: list[Word], x: float, y: float) -> None:
    """Words from x on at height y: new ones on a yellow ground, removed ones struck through."""
    from matplotlib.patches import Rectangle

    for word in words:
        width = LETTER * len(word.text)
        if word.change == "new":
            ground = Rectangle((x - 0.02, y - 0.1), width + 0.04, 0.2, facecolor=CHANGED, edgecolor="#c9a227", linewidth=0.5)
            axes.add_patch(ground)
        colour = "#8a8f98" if word.change == "gone" else INK
        axes.text(
            x,
            y,
            mathless(word.text),
            fontsize=9.8,
            family="monospace",
            va="center",
            color=colour,
            fontweight="bold" if word.change == "new" else "normal",
        )
        if word.change == "gone":
            axes.plot((x, x + width), (y, y), color="#8a8f98", linewidth=0.8)
        x += width + LETTER


def change_words(gone: str, put: str) -> tuple[str, str]:
    """What a change of words concerns, and what happens to it.

    Example:
        >>> change_words("good", "bad"), change_words("very", "")
        (('“good”', '→ “bad”'), ('“very”', 'is removed'))
    """
    return f"“{gone or put}”", f"→ “{put}”" if gone and put else "is removed" if gone else "is inserted"
