"""Colours and small pictures shared by figures, animations, reports and the terminal.

Source and target have the same colours everywhere (orange and blue, distinct for all kinds of colour vision), and a word
repeats every colour. Classes on a map have a muted colour each and their name on it.
"""

from __future__ import annotations

import io
import os
import tempfile
import warnings
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
from PIL import Image

if TYPE_CHECKING:
    from agents.trajectories.trajectory import Trajectory
    from envs.core.factual import Factual

TARGET, SOURCE, OTHER, INK, FAINT = "#0072b2", "#d55e00", "#8a8f98", "#1b1f24", "#e7e9ec"
GAIN, CHANGED = "#117733", "#fff0c2"
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


def difference(x: np.ndarray, start: np.ndarray, scale: float) -> np.ndarray:
    """x - start as (H, W, 3) uint8: blue where it decreased, white where it is unchanged, orange where it increased.

    Args:
        x: a picture in data space.
        start: the picture to compare with.
        scale: the change shown in full colour; use one scale per path, so that its frames are comparable.
    """
    change = np.clip((plane(x) - plane(start)) / max(scale, 1e-9), -1.0, 1.0)[..., None]
    white, more, less = np.array([250.0, 250, 250]), np.array(rgb("#c24a00"), float), np.array(rgb("#00538a"), float)
    ends = np.where(change >= 0, more, less)
    return np.rint(white + np.abs(change) ** 0.8 * (ends - white)).astype(np.uint8)


def difference_scale(frames: np.ndarray) -> float:
    """The largest change of a pixel since frame 0 along a path, at least a twentieth of the full range."""
    return max(0.05, float(np.abs(frames - frames[:1]).max()))


def enlarge(pixels: np.ndarray, size: int) -> Image.Image:
    """A picture with its longer side scaled to `size` pixels: blocks for small pictures, smooth for large ones."""
    height, width = pixels.shape[:2]
    scale = size / max(height, width)
    method = Image.Resampling.NEAREST if scale >= 1 else Image.Resampling.LANCZOS
    return Image.fromarray(pixels).resize((max(1, round(width * scale)), max(1, round(height * scale))), method)
