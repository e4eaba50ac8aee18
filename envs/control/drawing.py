"""Images of the control tasks: strokes and discs drawn with Pillow, without a window."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

SIZE = (300, 400)  # height and width of an image
SHARPEN = 2  # images are drawn this much larger and reduced, for smooth edges
INK, ACCENT, GROUND, FLAG = (45, 45, 45), (214, 102, 51), (150, 150, 150), (60, 140, 90)


class Stroke(NamedTuple):
    """A line through points, or a disc at a single point, in metres (or the task's own unit of length).

    Attributes:
        points: Points, (n, 2); y grows upwards.
        width: Width of the line, or diameter of the disc.
        colour: RGB.

    Example:
        >>> image = drawn([Stroke(np.zeros((1, 2)), 1.0)], low=(-2, -2), high=(2, 2))
        >>> image.shape, image.dtype.name
        ((300, 400, 3), 'uint8')
    """

    points: np.ndarray
    width: float
    colour: tuple[int, int, int] = INK


def drawn(strokes: Sequence[Stroke], low: tuple[float, float], high: tuple[float, float]) -> np.ndarray:
    """Draw strokes, the first ones at the back.

    Args:
        strokes: What to draw.
        low: Lower left corner of the part of the plane that must be visible.
        high: Upper right corner.

    Returns:
        RGB image (300, 400, 3), uint8.
    """
    from PIL import Image, ImageDraw

    height, width = (SHARPEN * side for side in SIZE)
    scale = min(width / (high[0] - low[0]), height / (high[1] - low[1]))
    middle = np.add(low, high) / 2
    image = Image.new("RGB", (width, height), "white")
    pen = ImageDraw.Draw(image)
    for stroke in strokes:
        pixels = (np.asarray(stroke.points) - middle) * [scale, -scale] + [width / 2, height / 2]
        radius = max(scale * stroke.width / 2, SHARPEN / 2)
        if len(pixels) > 1:
            pen.line([tuple(point) for point in pixels.tolist()], fill=stroke.colour, width=round(2 * radius), joint="curve")
        for x, y in pixels[[0, -1]]:  # round ends
            pen.ellipse((x - radius, y - radius, x + radius, y + radius), fill=stroke.colour)
    return np.asarray(image.reduce(SHARPEN))
