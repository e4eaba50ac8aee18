"""Colours and small pictures shared by figures, animations, reports and the terminal.

One rule: orange is the source class and what lowers the target's probability, blue is the target and what raises it; green
is more of a value than in the input, purple less. The four are distinct for all kinds of colour vision, and a word or a sign
repeats every colour. Classes on a map of many have a muted colour each and their name on it.
"""

from __future__ import annotations

import base64
import io
import os
import re
import tempfile
import warnings
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from PIL import Image

if TYPE_CHECKING:
    from agents.trajectories.trajectory import Trajectory
    from envs.core.factual import Factual

TARGET, SOURCE, OTHER, INK, FAINT = "#0072b2", "#d55e00", "#8a8f98", "#1b1f24", "#e7e9ec"
MORE, LESS = "#00735a", "#8f2f7f"  # of a value, compared with the input
RAISES = (TARGET, SOURCE)  # a slope of the target's probability that is positive, and one that is negative
GAIN, CHANGED = "#117733", "#fff0c2"
ON_LIGHT = "#1c2025"  # on a light tile or map, whatever the page's colours; `figure_svg` replaces INK alone
# Muted light tones of equal lightness, so that black dots and lines are readable on each.
REGIONS = ("#cfe3f5", "#f6d9c6", "#d5ead0", "#eccfe2", "#f7eec0", "#cdeaea", "#dcd5f0", "#f3cccf", "#dfdcc8", "#d6dbe2")


def pyplot_figure(width: float, height: float, dpi: int = 120) -> Any:
    """A matplotlib Figure (size in inches) without a display or global state; matplotlib is imported here."""
    prepare_matplotlib()
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(width, height), dpi=dpi, facecolor="white")
    FigureCanvasAgg(figure)
    return figure


def prepare_matplotlib() -> None:
    """Set a temporary folder for matplotlib's cache where the home folder cannot be written."""
    if "MPLCONFIGDIR" in os.environ:
        return
    home = os.environ.get("XDG_CONFIG_HOME") or os.path.expanduser("~")
    if not os.access(home, os.W_OK):
        os.environ["MPLCONFIGDIR"] = tempfile.mkdtemp(prefix="matplotlib-")


def figure_png(figure: Any) -> bytes:
    """The figure as PNG, cropped to its content, without a date."""
    stream = io.BytesIO()
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "Glyph .* missing from", UserWarning)  # a box replaces it
        figure.savefig(stream, format="png", bbox_inches="tight", pad_inches=0.08, metadata={"Software": None})
    return stream.getvalue()


def figure_svg(figure: Any) -> bytes:
    """The figure as SVG for a page, without a background: its ink takes the page's colour, so that it suits a dark one."""
    prepare_matplotlib()
    import matplotlib

    stream = io.StringIO()
    with matplotlib.rc_context({"svg.hashsalt": "manifold", "svg.fonttype": "none"}), warnings.catch_warnings():
        warnings.filterwarnings("ignore", "Glyph .* missing from", UserWarning)
        figure.savefig(stream, format="svg", bbox_inches="tight", pad_inches=0.08, transparent=True,
                       metadata={"Date": None, "Creator": None})  # fmt: skip
    drawn = stream.getvalue()
    drawn = re.sub(r' id="[A-Za-z.]+_\d+"', "", drawn[drawn.index("<svg") :])  # the ids that repeat in every figure
    drawn = re.sub(r"<metadata>.*?</metadata>", "", drawn, flags=re.DOTALL)
    return drawn.replace(INK, "currentColor").encode()


def png(pixels: np.ndarray) -> bytes:
    """(H, W, 3) uint8 -> PNG, in grey or with a palette where that is lossless (a tenth of the bytes)."""
    image = Image.fromarray(np.ascontiguousarray(pixels))
    if (pixels[..., :1] == pixels).all():
        image = image.convert("L")
    elif len(np.unique(pixels.reshape(-1, 3), axis=0)) <= 256:
        image = image.quantize(256, dither=Image.Dither.NONE)
    stream = io.BytesIO()
    image.save(stream, "PNG", optimize=True)
    return stream.getvalue()


def shown_png(pixels: np.ndarray) -> bytes:
    """(H, W, 3) uint8 for a page: PNG; pictures of more than 64 pixels a side as WebP, at most 256 pixels a side."""
    if max(pixels.shape[:2]) <= 64:
        return png(pixels)
    image = Image.fromarray(np.ascontiguousarray(pixels))
    image.thumbnail((256, 256), Image.Resampling.LANCZOS)
    stream = io.BytesIO()
    image.save(stream, "WEBP", quality=80, method=4)
    return stream.getvalue()


def see_through(indices: np.ndarray, palette: Sequence[tuple[int, int, int, int]]) -> bytes:
    """(H, W) indices into at most 256 colours (red, green, blue, opacity) -> PNG, which suits a light and a dark page."""
    image = Image.fromarray(np.ascontiguousarray(indices, dtype=np.uint8), "P")
    image.putpalette([value for colour in palette for value in colour[:3]])
    stream = io.BytesIO()
    image.save(stream, "PNG", optimize=True, transparency=bytes(colour[3] for colour in palette))
    return stream.getvalue()


def data_uri(image: bytes) -> str:
    """A PNG or WebP as a data URI."""
    kind = "webp" if image[:4] == b"RIFF" else "png"
    return f"data:image/{kind};base64,{base64.b64encode(image).decode()}"


def rgb(colour: str) -> tuple[int, int, int]:
    """``#rrggbb`` -> three numbers from 0 to 255."""
    return int(colour[1:3], 16), int(colour[3:5], 16), int(colour[5:7], 16)


def mathless(text: str) -> str:
    """Text for matplotlib with dollar signs escaped, so that they begin no formula."""
    return text.replace("$", r"\$")


def class_colour(path: Trajectory, index: int) -> str:
    """Colour of a class: those of source and target, ink for all others."""
    return {path.source: SOURCE, path.target: TARGET}.get(index, INK)


def short(name: str, most: int = 10) -> str:
    """A class name that fits beneath a frame; matplotlib's mathematics is switched off."""
    text = name if len(name) <= most else name[: most - 1] + "…"
    return mathless(text)


def region_colour(index: int) -> str:
    """The tone of class `index` on a map; tones repeat after ten classes, names do not."""
    return REGIONS[index % len(REGIONS)]


def picture(world: Any, x: np.ndarray) -> np.ndarray:
    """One input of an image world as (H, W, 3) uint8."""
    shown = world.render(_tensor(x))
    return np.asarray(shown, dtype=np.uint8)


def row_values(world: Any, x: np.ndarray, factual: Factual | None = None) -> dict[str, Any]:
    """One row of a table as column -> value in the user's units.

    Args:
        world: of the table.
        x: (D,) in data space.
        factual: the input of the walk, if x is one of its frames.
    """
    shown = world.render(_tensor(x), factual)
    return dict(shown) if isinstance(shown, Mapping) else {f"column {i}": v for i, v in enumerate(np.ravel(shown))}


def _tensor(x: np.ndarray) -> Any:
    import torch

    return torch.from_numpy(np.array(x))


def plane(x: np.ndarray) -> np.ndarray:
    """A picture in data space as (H, W): unchanged, or the mean over its channels (first or last axis)."""
    x = np.asarray(x, dtype=np.float64)
    if x.ndim == 2:
        return x
    if x.ndim == 3:
        return x.mean(axis=0 if x.shape[0] in (1, 3, 4) and x.shape[2] not in (1, 3, 4) else 2)
    raise ValueError(f"an image of shape {x.shape} cannot be drawn; (H, W), (C, H, W) and (H, W, C) can")


def picture_levels(values: np.ndarray) -> np.ndarray:
    """Grey levels in [0, 1], (H, W), as (H, W, 3) uint8."""
    return np.repeat(np.rint(255 * np.clip(values, 0, 1)).astype(np.uint8)[..., None], 3, axis=2)


def difference(x: np.ndarray, start: np.ndarray, scale: float, ends: tuple[str, str] = (MORE, LESS)) -> np.ndarray:
    """x - start as (H, W, 3) uint8: white where it is unchanged, in the first colour where it increased, else the second.

    Args:
        x: a picture in data space.
        start: the picture to compare with.
        scale: the change shown in full colour; use one scale per path, so that its frames are comparable.
        ends: colours of more and less; of slopes those of `RAISES`.
    """
    change = np.clip((plane(x) - plane(start)) / max(scale, 1e-9), -1.0, 1.0)[..., None]
    white, more, less = np.array([250.0, 250, 250]), np.array(rgb(ends[0]), float), np.array(rgb(ends[1]), float)
    return np.rint(white + np.abs(change) ** 0.8 * (np.where(change >= 0, more, less) - white)).astype(np.uint8)


def slopes_png(slopes: np.ndarray, scale: float) -> bytes:
    """Slopes of a picture as PNG: blue where a larger value raises the target's probability, orange where it lowers it.

    Args:
        slopes: in data space.
        scale: the slope shown in full colour.
    """
    raises, lowers = (rgb(colour) for colour in RAISES)
    share = np.clip(plane(slopes) / max(scale, 1e-9), -1.0, 1.0)
    levels = np.rint(100 * np.sign(share) * np.abs(share) ** 0.8).astype(int) + 100
    colours = [(*(raises if k >= 100 else lowers), round(2.55 * abs(k - 100))) for k in range(201)]
    return see_through(levels, colours)


def difference_scale(frames: np.ndarray, start: np.ndarray) -> float:
    """The largest difference of a pixel to the input along a path, at least a twentieth of the full range."""
    return max(0.05, float(np.abs(frames - start).max()))


def enlarge(pixels: np.ndarray, size: int) -> Image.Image:
    """A picture with its longer side scaled to `size` pixels: blocks for small pictures, smooth for large ones."""
    height, width = pixels.shape[:2]
    scale = size / max(height, width)
    method = Image.Resampling.NEAREST if scale >= 1 else Image.Resampling.LANCZOS
    return Image.fromarray(pixels).resize((max(1, round(width * scale)), max(1, round(height * scale))), method)
