"""What the faces of all modalities have in common."""

from __future__ import annotations

import textwrap
from collections.abc import Callable
from typing import Any, NamedTuple


class Face(NamedTuple):
    """The frames of a path as a card shows them.

    Attributes:
        template: the file in ``templates/faces`` that draws it.
        context: for that template.
        frames: the part that changes with the frame, one entry for each frame of the film; the page's script reads it.
        draw: draws it on axes of a matplotlib figure, of a card.
        height: of that drawing in inches, at least.
        small: its pictures are shown as blocks of pixels.
        brief: what changed, in a few words, for the index; empty where thumbnails show it.
        thumbnails: pictures of input and end for the index, as data URIs; None where frames are not pictures.

    Example:
        >>> Face("table.html", {}, [["40"], ["48"]], print).thumbnails is None
        True
    """

    template: str
    context: dict[str, Any]
    frames: list[Any]
    draw: Callable[[Any, Any], None]
    height: float = 0.0
    small: bool = False
    brief: str = ""
    thumbnails: tuple[str, str] | None = None


LETTER = 0.6 / 72  # inches of a letter for each point of its size, on average


def wrapped_caption(card: Any, place: int, inches: float, size: float = 8.5) -> str:
    """The caption of a card's input (0), turning point (1) or end (2) in lines of this width, ready for matplotlib."""
    from agents.explanation.figures.style import mathless

    return mathless(textwrap.fill(card.caption(place), max(8, int(inches / (LETTER * size)))))


def inches_wide(axes: Any) -> float:
    """The width of matplotlib axes."""
    return float(axes.get_window_extent().width / axes.figure.dpi)


def cut(text: str, inches: float, size: float = 9.0) -> str:
    """A text that fits a width, with an ellipsis where it is cut, ready for matplotlib."""
    from agents.explanation.figures.style import mathless

    most = max(4, int(inches / (LETTER * size)))
    return mathless(text if len(text) <= most else text[: most - 1] + "…")
