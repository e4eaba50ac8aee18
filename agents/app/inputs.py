"""The inputs that a visitor can choose: a row of the data, a drawing, a picture, the form of a table, a sentence.

`READERS` is the table of kinds; a reader gets a world and a value from the request, and trusts nothing in it.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor

from agents.app.errors import RequestError
from agents.app.views import shown_of
from agents.explanation.own_inputs import read_given
from envs.core.world import World
from envs.modalities.image import COLOURS
from envs.reading.files import parse_picture

MOST_PIXELS = 4_000_000  # of an uploaded picture
MOST_DRAWN = 256  # pixels a side of a drawing
MOST_LETTERS = 2000
INK = 0.1  # share of white above which a pixel of the data is ink


class Entered(NamedTuple):
    """An input as a walk begins with it.

    Attributes:
        x: (1, \\*data_shape).
        cells: (1, C) the user's own cells of a table's row.
        label: what people call it.
        held_out: its row among the held-out data, if it is one.
        row: the user's own number or label of that row.
        note: what was done to it before, such as a change of size.
        record: kind and value with which it can be entered again.
    """

    x: Tensor
    cells: Tensor | None
    label: str
    held_out: int | None = None
    row: Any = None
    note: str = ""
    record: tuple[str, Any] = ("", None)


def held_out_row(world: World, value: Any) -> Entered:
    """The held-out row of this number.

    Example:
        >>> from envs import make_world
        >>> held_out_row(make_world(), 3).label
        'held-out row 3'
    """
    rows = len(world.held_out.x)
    if isinstance(value, bool) or not isinstance(value, int) or not 0 <= value < rows:
        raise RequestError(f"row {value!r:.40}: give a whole number from 0 to {rows - 1}")
    cells = None if world.held_out.cells is None else world.held_out.cells[value : value + 1]
    own = None if world.row_labels is None else world.row_labels.of("held_out")[value]
    label = f"held-out row {value}" + ("" if own is None else f" (your row {own})")
    return Entered(world.held_out.x[value : value + 1], cells, label, value, own, record=("row", value))


def drawing(world: World, value: Any) -> Entered:
    """A drawing of light strokes, (H, W) numbers from 0 to 1, scaled and centred as the reference pictures are."""
    try:
        pixels = np.asarray(value, dtype=np.float32)
    except (TypeError, ValueError):
        raise RequestError("a drawing is a list of rows of numbers from 0 to 1") from None
    if pixels.ndim != 2 or not 1 <= pixels.size <= MOST_DRAWN**2 or not np.isfinite(pixels).all():
        raise RequestError(f"a drawing has rows of finite numbers, at most {MOST_DRAWN} x {MOST_DRAWN}")
    pixels = pixels.clip(0, 1)
    if pixels.max(initial=0) <= INK:
        raise RequestError("the drawing is empty: draw something first")
    return _own(world, fitted(pixels, world), "your drawing", "scaled and centred like the data")


def fitted(pixels: np.ndarray, world: World) -> np.ndarray:
    """A drawing in the size of the data: its ink fills as much of the picture as that of the reference pictures, and lies
    where theirs lies (medians)."""
    from PIL import Image

    height, width = _size(world)
    planes = _planes(world.reference.x[:500], (height, width))
    boxes = np.array([_box(plane) for plane in planes if plane.max() > INK] or [(0, height, 0, width)], dtype=float)
    top, bottom, left, right = np.median(boxes, axis=0)
    a, b, c, d = _box(pixels)
    cut = Image.fromarray((255 * pixels[a:b, c:d]).astype(np.uint8))
    share = min((bottom - top) / cut.height, width * 0.95 / cut.width)
    size = max(1, round(cut.width * share)), max(1, round(cut.height * share))
    small = np.asarray(cut.resize(size, Image.Resampling.BOX), np.float32) / 255
    out = np.zeros((height, width), np.float32)
    y = int(np.clip(round((top + bottom) / 2 - size[1] / 2), 0, height - size[1]))
    x = int(np.clip(round((left + right) / 2 - size[0] / 2), 0, width - size[0]))
    out[y : y + size[1], x : x + size[0]] = small
    return out


def uploaded(world: World, content: bytes) -> Entered:
    """A PNG, JPEG or BMP file, resized to the data's size.

    Raises:
        RequestError: no such picture, damaged, or larger than `MOST_PIXELS`.
    """
    from PIL import Image

    picture = parse_picture(content, "the picture", MOST_PIXELS, error=RequestError)
    shape, (height, width) = tuple(world.manifold.data_shape), _size(world)
    grey = len(shape) == 2 or shape[0] == 1
    mode = "L" if grey else "RGBA" if shape[0] == 4 else "RGB"
    note = "" if picture.size == (width, height) else f"resized from {picture.size[0]}x{picture.size[1]} to {width}x{height}"
    pixels = np.asarray(picture.convert(mode).resize((width, height), Image.Resampling.BOX), np.float32) / 255
    return _own(world, pixels if grey else np.moveaxis(pixels, -1, 0), "your picture", note)


def data(world: World, value: Any) -> Entered:
    """A picture in data space, as the page kept it of a drawing or an upload: a flat list of numbers from 0 to 1."""
    size = math.prod(world.manifold.data_shape)
    try:
        pixels = np.asarray(value, dtype=np.float32)
    except (TypeError, ValueError):
        pixels = np.zeros(0, np.float32)
    if pixels.shape != (size,) or not ((pixels >= 0) & (pixels <= 1)).all():
        raise RequestError(f"the kept picture is damaged: it must be {size} numbers from 0 to 1; choose an input again")
    return _own(world, pixels, "your picture", "")


def form(world: World, value: Any) -> Entered:
    """A row of a table: column -> text as typed, in the user's units."""
    columns = [str(name) for name in world.units.columns]
    if not isinstance(value, Mapping) or set(value) != set(columns):
        raise RequestError(f"a row has a value for each of the columns {columns}")
    if not any(str(cell).strip() for cell in value.values()):
        raise RequestError("the row is empty: fill in its values")
    row = {name: typed(value[name]) for name in columns}
    named = getattr(world.units, "named", True)  # a row of columns without names of their own is read by position
    given = read_given(world.units, row if named else list(row.values()), tuple(world.manifold.data_shape))
    return Entered(given.x, given.cells, "your row", record=("form", dict(value)))


def sentence(world: World, value: Any) -> Entered:
    """A sentence of the visitor's own."""
    if not isinstance(value, str) or not value.strip():
        raise RequestError("the sentence is empty: type one")
    if len(value) > MOST_LETTERS:
        raise RequestError(f"the sentence has {len(value):,} letters; at most {MOST_LETTERS:,} are read")
    given = read_given(world.units, value, tuple(world.manifold.data_shape))
    return Entered(given.x, None, "your sentence", record=("sentence", value))


#: kind -> reader of what a request names.
READERS: dict[str, Callable[[World, Any], Entered]] = {
    "row": held_out_row,
    "drawing": drawing,
    "data": data,
    "form": form,
    "sentence": sentence,
}


def read_input(world: World, kind: Any, value: Any) -> Entered:
    """The input that a request names.

    Raises:
        RequestError, ManifoldError: an unknown kind, one of another modality, or a value that is no such input.
    """
    offered = shown_of(world).inputs
    known = (*offered, "data") if "picture" in offered else offered
    if not isinstance(kind, str) or kind not in known or kind not in READERS:
        raise RequestError(f"kind {kind!r:.40}: inputs of this page are {', '.join(offered)}")
    return READERS[kind](world, value)


def typed(text: Any) -> Any:
    """A value as typed: a number if it is one, else the text."""
    if not isinstance(text, str):
        return text if isinstance(text, int | float) and not isinstance(text, bool) else str(text)
    try:
        number = float(text)
    except ValueError:
        return text
    return int(number) if number.is_integer() and "." not in text and "e" not in text.lower() else number


def _own(world: World, pixels: np.ndarray, label: str, note: str) -> Entered:
    if "picture" not in shown_of(world).inputs:
        raise RequestError("a picture is given, but the data of this page are not pictures")
    x = torch.from_numpy(np.ascontiguousarray(pixels, np.float32)).reshape(1, *world.manifold.data_shape)
    return Entered(x, None, label, note=note, record=("data", x.flatten().tolist()))


def _size(world: World) -> tuple[int, int]:
    """Height and width of the world's pictures."""
    shape = tuple(world.manifold.data_shape)
    return (shape[-2], shape[-1]) if len(shape) == 2 or shape[0] in COLOURS else (shape[0], shape[1])


def _planes(x: Tensor, size: tuple[int, int]) -> np.ndarray:
    """Pictures (N, H, W) in grey."""
    return x.reshape(len(x), -1, *size).mean(1).numpy()


def _box(plane: np.ndarray) -> tuple[int, int, int, int]:
    """First and last row (exclusive), first and last column of the ink."""
    rows, columns = np.flatnonzero((plane > INK).any(1)), np.flatnonzero((plane > INK).any(0))
    return int(rows[0]), int(rows[-1]) + 1, int(columns[0]), int(columns[-1]) + 1
