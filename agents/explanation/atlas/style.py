"""What the figures of the atlas share: mosaics of decoded pictures in the colours of their classes."""

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
LEGEND = "the classifier's class of each cell"


class Seen:
    """Decoded codes and what the classifier says of them; `queries` rows were asked.

    Attributes:
        pictures: (N, H, W, 3) uint8.
        answers: (N, K); one-hot where only labels are seen.
        classes: (N,) int.
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
    """Refuse worlds whose data are no pictures.

    Raises:
        ManifoldError: for them.
    """
    if not renderer_of(world).shows_pictures:
        raise ManifoldError(f"the figure {figure!r} shows pictures, but the modality of this world is {world.modality!r}; "
                            "use --figure map")  # fmt: skip


def rows_asked(world: World, config: AtlasConfig, count: int) -> Tensor | None:
    """The inputs (count, \\*data_shape) of --index; None if none were given.

    Raises:
        ManifoldError: another number of them, or one outside the split.
    """
    from agents.explanation.inputs import gather

    if not config.index:
        return None
    if len(config.index) != count:
        raise ManifoldError(f"--figure {config.figure} takes {count} inputs, --index gives {len(config.index)}")
    return gather(world, None, config.split, list(config.index)).x


def tile(pixels: np.ndarray, size: int, band: tuple[int, int, int] | None = None) -> np.ndarray:
    """One picture as (size, size, 3), centred, with a band of this colour around it (None: white)."""
    inner = np.asarray(enlarge(pixels, size - 2 * FRAME))
    out = np.full((size, size, 3), PAPER if band is None else band, dtype=np.uint8)
    top, left = (size - inner.shape[0]) // 2, (size - inner.shape[1]) // 2
    out[top : top + inner.shape[0], left : left + inner.shape[1]] = inner
    return out


def mosaic(pictures: np.ndarray, classes: np.ndarray, size: int) -> np.ndarray:
    """Pictures (R, C, H, W, 3) as one picture: grey ones in the ink of their class on white, others in a band of it."""
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
    """A grey picture (H, W, 3) with white for its darkest value and the darkened colour for its brightest."""
    share = pixels.astype(float) / 255
    return np.asarray(255 - share * (255 - 0.8 * np.array(colour)), dtype=np.uint8)


def tone(index: int, lightness: float = 0.0) -> tuple[float, float, float]:
    """The colour of a class for matplotlib, mixed with white: 0 as it is, 1 white."""
    r, g, b = (part / 255 + lightness * (1 - part / 255) for part in class_colour(index))
    return r, g, b


def legend(axes: Any, names: Sequence[str], classes: np.ndarray, y: float = -0.015, title: str = LEGEND) -> None:
    """The classes that occur, a swatch and a name each, beneath the axes."""
    from matplotlib.patches import Patch

    present = [int(k) for k in np.unique(classes)]
    handles = [Patch(facecolor=tone(k), edgecolor="none", label=mathless(names[k])) for k in present]
    axes.legend(
        handles=handles, loc="upper left", bbox_to_anchor=(0, y), ncols=min(len(handles), 10), frameon=False, fontsize=8,
        handlelength=1, handleheight=1, columnspacing=1.2, handletextpad=0.5, borderaxespad=0, borderpad=0,
        title=title, title_fontsize=8, alignment="left", labelcolor=INK,
    )  # fmt: skip


def finished(figure: Any) -> bytes:
    """The figure as PNG with 256 colours: a third of the bytes, and nothing to be seen of it."""
    image = Image.open(io.BytesIO(figure_png(figure))).convert("RGB").quantize(256, dither=Image.Dither.NONE)
    stream = io.BytesIO()
    image.save(stream, "PNG", optimize=True)
    return stream.getvalue()


def show(axes: Any, pixels: np.ndarray) -> None:
    """Pixels as they are, without axes."""
    axes.imshow(pixels, interpolation="nearest", aspect="equal")
    axes.axis("off")
