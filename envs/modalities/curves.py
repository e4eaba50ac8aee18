"""Series as small pictures and as lines of text."""

from __future__ import annotations

import numpy as np

SIDE = 256  # pixels of a picture
INK, GREY, TINT = (0, 114, 178), (150, 155, 163), (255, 240, 194)
BLOCKS = "▁▂▃▄▅▆▇█"
WIDEST = 64  # letters of a line


def curves_picture(
    values: np.ndarray, own: np.ndarray | None, moved: np.ndarray | None, low: np.ndarray, high: np.ndarray
) -> np.ndarray:
    """Curves as a picture (SIDE, SIDE, 3) uint8, one band a channel.

    Args:
        values: (C, T) the series.
        own: (C, T) the input, drawn in grey beneath it; or None.
        moved: (C, T) bool, points whose ground is tinted; or None.
        low, high: (C,) range of the bands, widened to hold the values.

    Example:
        >>> curves_picture(np.zeros((1, 8)), None, None, np.zeros(1), np.ones(1)).shape
        (256, 256, 3)
    """
    from PIL import Image, ImageDraw

    sheet = Image.new("RGB", (SIDE, SIDE), "white")
    pen = ImageDraw.Draw(sheet)
    count, length = values.shape
    band = SIDE / count
    across = 4 + (SIDE - 8) * np.arange(length) / max(1, length - 1)
    half = (SIDE - 8) / max(1, length - 1) / 2
    for c in range(count):
        curves = [values[c]] if own is None else [own[c], values[c]]
        bottom, top = min(low[c], *(part.min() for part in curves)), max(high[c], *(part.max() for part in curves))
        for t in np.flatnonzero(moved[c]) if moved is not None else ():
            pen.rectangle((across[t] - half, c * band, across[t] + half, (c + 1) * band - 1), fill=TINT)
        for part, colour, width in zip(curves, [INK] if own is None else [GREY, INK], (2, 3), strict=False):
            down = (c + 1) * band - 6 - (band - 12) * (part - bottom) / max(top - bottom, 1e-12)
            pen.line(list(zip(across, down, strict=True)), fill=colour, width=width)
        if c:
            pen.line((0, c * band, SIDE, c * band), fill=GREY)
    return np.asarray(sheet)


def sparkline(values: np.ndarray, low: float, high: float) -> str:
    """A channel (T,) as a line of block characters, one for several points where there are more than fit.

    Example:
        >>> sparkline(np.array([0.0, 0.5, 1.0]), 0.0, 1.0)
        '▁▅█'
    """
    parts = _parts(np.asarray(values, dtype=float))
    levels = (np.array([part.mean() for part in parts]) - low) / max(high - low, 1e-12) * (len(BLOCKS) - 1)
    return "".join(BLOCKS[k] for k in np.clip(np.rint(levels), 0, len(BLOCKS) - 1).astype(int))


def marks(changed: np.ndarray) -> str:
    """A line of signs beneath those points (T,) of `sparkline` that are true.

    Example:
        >>> marks(np.array([False, True, True, False]))
        ' ^^'
    """
    return "".join("^" if part.any() else " " for part in _parts(changed)).rstrip()


def _parts(values: np.ndarray) -> list[np.ndarray]:
    return np.array_split(values, min(WIDEST, len(values)))
