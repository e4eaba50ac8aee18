"""Text in Pillow pictures."""

from __future__ import annotations

import bisect
from typing import Any

from PIL import ImageDraw, ImageFont

from agents.explanation.figures.style import rgb

PICTURE, LINE = 256, 22  # pixels: width of a frame in an animation, height of a line of text
MOST_LETTERS = 500  # of a text that is measured; a line holds far fewer


def font(size: int) -> Any:
    """Pillow's own font, which needs no file."""
    return ImageFont.load_default(size)


def fit(draw: ImageDraw.ImageDraw, at: tuple[int, int], text: str, size: int, colour: str, width: float) -> None:
    """Write text in one line of at most `width` pixels, cut with an ellipsis; characters that the font lacks are spelt out."""
    text = " ".join(text.replace("→", "to").split())
    letters, text = font(size), text[:MOST_LETTERS]
    if draw.textlength(text, letters) > width:
        cuts = range(1, len(text))
        kept = bisect.bisect_right(cuts, width, key=lambda cut: draw.textlength(f"{text[:cut]}...", letters))
        text = text[: max(kept, 1)] + "..."
    draw.text(at, text, rgb(colour), letters)
