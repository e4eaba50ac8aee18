"""Parts shared by the figures of the atlas: mosaics of decoded pictures in the colours of their classes."""

from __future__ import annotations

import io
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from agents.explanation.figures.renderer import renderer_of
from agents.explanation.figures.style import INK, enlarge, figure_png, mathless, picture
from envs.errors import ManifoldError
from envs.gym.rendering import class_colour

if TYPE_CHECKING:
    from agents.atlas import AtlasConfig
    from envs.core.world import World

FRAME, GAP = 3, 1  # pixels: the coloured band around a picture, and the white between two of them
PAPER = 255
LEGEND = "predicted class of each cell"


class Seen:
    """Decoded codes and their predictions.

    Args:
        world: decodes and predicts.
        z: (N, d) codes.

    Attributes:
        pictures: (N, H, W, 3) uint8.
        predictions: (N, K); one-hot where labels alone are shown.
        classes: (N,) int.
        queries: N.

    Example:
        >>> from envs import make_world
        >>> world = make_world(data="digits")
        >>> Seen(world, world.reference.z[:2]).pictures.shape
        (2, 8, 8, 3)
    """

    def __init__(self, world: World, z: Tensor) -> None:
        with torch.inference_mode():
            frames = world.manifold.decode(z.float())
            self.predictions = world.classifier.predict_proba(frames).numpy()
        self.frames = frames
        self.pictures = np.stack([picture(world, frame) for frame in frames.numpy()])
        self.classes = self.predictions.argmax(1)
        self.queries = len(frames)


def need_pictures(world: World, figure: str) -> None:
    """Check that the data of a world are pictures.

    Raises:
        ManifoldError: they are not.
    """
    if not renderer_of(world).shows_pictures:
        raise ManifoldError(f"the figure {figure!r} shows pictures, but the modality of this world is {world.modality!r}; "
                            "use --figure map")  # fmt: skip


def rows_queried(world: World, config: AtlasConfig, count: int) -> Tensor | None:
    """The inputs (count, \\*data_shape) of --index; None if none were given.

    Raises:
        ManifoldError: their number is not `count`, or one is outside the split.
    """
    from agents.explanation.inputs import gather

    if not config.index:
        return None
    if len(config.index) != count:
        raise ManifoldError(f"--figure {config.figure} takes {count} inputs, --index gives {len(config.index)}")
    return gather(world, None, config.split, list(config.index)).x


def tile(pixels: np.ndarray, size: int, band: tuple[int, int, int] | None = None) -> np.ndarray:
    """One picture as (size, size, 3), centred, in a band of this colour (None: white)."""
    inner = np.asarray(enlarge(pixels, size - 2 * FRAME))
    out = np.full((size, size, 3), PAPER if band is None else band, dtype=np.uint8)
    top, left = (size - inner.shape[0]) // 2, (size - inner.shape[1]) // 2
    out[top : top + inner.shape[0], left : left + inner.shape[1]] = inner
    return out


def mosaic(pictures: np.ndarray, classes: np.ndarray, size: int) -> np.ndarray:
    """Arrange pictures (R, C, H, W, 3) in one: grey ones in the colour of their class on white, others in a band of it."""
    rows, columns = classes.shape
    step = size + GAP
    out = np.full((rows * step - GAP, columns * step - GAP, 3), PAPER, dtype=np.uint8)
    grey = bool((pictures[..., :1] == pictures).all())
    for i in range(rows):
        for j in range(columns):
            band = class_colour(int(classes[i, j]))
            cell = tile(inked(pictures[i, j], band), size) if grey else tile(pictures[i, j], size, band)
            out[i * step : i * step + size, j * step : j * step + size] = cell
    return out


def inked(pixels: np.ndarray, colour: tuple[int, int, int]) -> np.ndarray:
    """A grey picture (H, W, 3) recoloured: white at its darkest value, the darkened colour at its brightest."""
    share = pixels.astype(float) / 255
    return np.asarray(255 - share * (255 - 0.8 * np.array(colour)), dtype=np.uint8)


def tone(index: int, lightness: float = 0.0) -> tuple[float, float, float]:
    """The colour of a class for matplotlib, mixed with white: 0 unchanged, 1 white."""
    r, g, b = (part / 255 + lightness * (1 - part / 255) for part in class_colour(index))
    return r, g, b


def legend(axes: Any, names: Sequence[str], classes: np.ndarray, y: float = -0.015, title: str = LEGEND) -> None:
    """Draw the classes that occur beneath the axes, with a swatch and a name each."""
    from matplotlib.patches import Patch

    present = [int(k) for k in np.unique(classes)]
    handles = [Patch(facecolor=tone(k), edgecolor="none", label=mathless(names[k])) for k in present]
    axes.legend(
        handles=handles, loc="upper left", bbox_to_anchor=(0, y), ncols=min(len(handles), 10), frameon=False, fontsize=8,
        handlelength=1, handleheight=1, columnspacing=1.2, handletextpad=0.5, borderaxespad=0, borderpad=0,
        title=title, title_fontsize=8, alignment="left", labelcolor=INK,
    )  # fmt: skip


def finished(figure: Any) -> bytes:
    """The figure as PNG with 256 colours: a third of the bytes, without a visible difference."""
    image = Image.open(io.BytesIO(figure_png(figure))).convert("RGB").quantize(256, dither=Image.Dither.NONE)
    stream = io.BytesIO()
    image.save(stream, "PNG", optimize=True)
    return stream.getvalue()


def show(axes: Any, pixels: np.ndarray) -> None:
    """Show pixels without axes."""
    axes.imshow(pixels, interpolation="nearest", aspect="equal")
    axes.axis("off")
