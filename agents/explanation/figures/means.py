"""Mean pictures of the paths of each pair of classes."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from agents.explanation.across.patterns import Pattern
from agents.explanation.figures.style import (
    INK,
    data_uri,
    difference,
    figure_png,
    mathless,
    picture_levels,
    png,
    pyplot_figure,
    short,
)

TITLES = ("mean input", "mean end", "mean change")
MOST = 12  # pairs of classes in one figure


def pixels(pattern: Pattern) -> list[np.ndarray]:
    """Mean input, end and change as (H, W, 3) uint8: of the change green where it is more, purple where it is less; empty for
    data that are not pictures."""
    if not pattern.means:
        return []
    first, last, change = pattern.means
    scale = float(np.abs(change).max())
    return [*(picture_levels(mean) for mean in (first, last)), difference(last, first, scale)]


def mean_pictures(pattern: Pattern) -> list[tuple[str, str]]:
    """Title and data URI of each mean picture."""
    return [(title, data_uri(png(part))) for title, part in zip(TITLES, pixels(pattern), strict=False)]


def means_figure(found: Sequence[Pattern]) -> bytes:
    """The mean pictures of pairs of classes, one row each, as PNG."""
    shown = [pattern for pattern in found if pattern.means][:MOST]
    figure = pyplot_figure(6.4, 1.35 * len(shown) + 0.3)
    for row, pattern in enumerate(shown):
        for column, part in enumerate(pixels(pattern)):
            axes = figure.add_subplot(len(shown), 4, 4 * row + column + 2)
            axes.imshow(part, interpolation="nearest")
            axes.set(xticks=[], yticks=[])
            if row == 0:
                axes.set_title(TITLES[column], fontsize=9, color=INK)
        words = f"{short(pattern.source)} → {short(pattern.target)}\n{pattern.count} paths"
        label = figure.add_subplot(len(shown), 4, 4 * row + 1)
        label.axis("off")
        label.text(0.5, 0.5, mathless(words), fontsize=10, color=INK, ha="center", va="center")
    return figure_png(figure)
