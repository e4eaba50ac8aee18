"""Attributes of handwriting, measured from the pixels: loops, stroke thickness, slant.

Pictures are (N, H, W) (or with one channel), ink bright in [0, 1]. Small ones are enlarged first, so that a hole of two
pixels is a hole. All pictures of a batch are measured at once.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import torch
from scipy import ndimage
from torch import Tensor

from envs.errors import ManifoldError

if TYPE_CHECKING:
    from envs.core.world import World

SIZE = 32  # pixels a side to which smaller pictures are enlarged
INK = 0.35  # share of a picture's brightest value from which a pixel is ink; agrees best with the digits' own loops
SMALLEST_HOLE = 0.001  # of the picture: less is a dent between two strokes
FAR = 1e6  # distance between the pictures of a batch, so that none is another's neighbour


class Attribute(NamedTuple):
    """Something that a picture has more or less of.

    Attributes:
        name: for tables.
        measure: pictures (N, \\*data_shape) to values (N,).
        unit: of the values; empty for counts.
        more, less: words for a change, with {} for its size.
        least: a change smaller than this is not told.
    """

    name: str
    measure: Callable[[Tensor], Tensor]
    unit: str
    more: str
    less: str
    least: float


def loops(x: Tensor) -> Tensor:
    """How many holes the ink encloses, (N,): 0 for a 1, 1 for a 0, 2 for an 8."""
    ink = _ink(_enlarged(x)[0])
    ground = np.pad(~ink, ((0, 0), (1, 1), (1, 1)), constant_values=True)
    # Neighbours by a side, within one picture: diagonal ink closes a loop.
    cross = np.zeros((3, 3, 3), int)
    cross[1] = ndimage.generate_binary_structure(2, 1)
    patches, count = ndimage.label(ground, cross)
    sizes = np.bincount(patches.ravel(), minlength=count + 1)
    outside = np.unique(patches[:, 0, 0])  # the padding is one patch in each picture
    whole = sizes >= SMALLEST_HOLE * ink[0].size
    whole[0], whole[outside] = False, False
    picture = np.zeros(count + 1, int)
    picture[patches] = np.arange(len(ink))[:, None, None]
    return torch.from_numpy(np.bincount(picture[whole], minlength=len(ink)))


def thickness(x: Tensor) -> Tensor:
    """Mean stroke width (N,) in the picture's own pixels: four times the mean distance from ink to its edge.

    In a strip of width w that distance is w / 4 on average.
    """
    large, factor = _enlarged(x)
    ink = np.pad(_ink(large), ((0, 0), (1, 1), (1, 1)))
    depth = ndimage.distance_transform_edt(ink, sampling=(FAR, 1, 1)) - 0.5 * ink
    mean = depth.sum((1, 2)) / np.maximum(ink.sum((1, 2)), 1)
    return torch.from_numpy(4 * mean / factor).float()


def slant(x: Tensor) -> Tensor:
    """Lean (N,) in degrees, positive where the top lies to the right: the shear that the second moments of ink show."""
    grey = _pictures(x).double()
    weight = grey / grey.sum((1, 2), keepdim=True).clamp_min(1e-9)
    height, width = grey.shape[1:]
    up = -(torch.arange(height, dtype=torch.float64) - (height - 1) / 2)[None, :, None]
    right = (torch.arange(width, dtype=torch.float64) - (width - 1) / 2)[None, None, :]
    up = up - (weight * up).sum((1, 2), keepdim=True)
    right = right - (weight * right).sum((1, 2), keepdim=True)
    mixed, tall = (weight * up * right).sum((1, 2)), (weight * up * up).sum((1, 2))
    return torch.rad2deg(torch.atan2(mixed, tall.clamp_min(1e-9))).float()


STROKES = (
    Attribute("loops", lambda x: loops(x).float(), "", "{} closed", "{} opened", 0.5),
    Attribute("thickness", thickness, "px", "strokes {} thicker", "strokes {} thinner", 0.1),
    Attribute("slant", slant, "°", "leaning {} more to the right", "leaning {} more to the left", 4.0),
)

PICTURED = ("digits", "mnist", "mnist_decoded", "omniglot", "omniglot_decoded")
#: data set -> what its pictures have. One line gives a data set attributes of its own.
ATTRIBUTES: dict[str, tuple[Attribute, ...]] = dict.fromkeys(PICTURED, STROKES)


def attributes_of(world: World) -> tuple[Attribute, ...]:
    """The attributes of a world's data, by the data set's name; none where none are known."""
    data = world.config.data
    return ATTRIBUTES.get(data, ()) if isinstance(data, str) else ()


def change(attribute: Attribute, first: float, last: float) -> str:
    """How much more or less of an attribute there is, in words; empty where less than `least` changed."""
    difference = last - first
    if not math.isfinite(difference) or abs(difference) < attribute.least:
        return ""
    size = abs(difference)
    if attribute.unit:
        told = f"{size:.0f}{attribute.unit}" if attribute.unit == "°" else f"{size:.1f} {attribute.unit}"
    else:
        count = round(size)
        told = attribute.name.removesuffix("s") if count == 1 else f"{count} {attribute.name}"
    return (attribute.more if difference > 0 else attribute.less).format(told)


def _pictures(x: Tensor) -> Tensor:
    """(N, H, W) of pictures with at most one channel axis, averaged.

    Raises:
        ManifoldError: no pictures.
    """
    if x.dim() == 3:
        return x
    if x.dim() == 4:
        return x.mean(1 if x.shape[1] in (1, 3) else 3)
    raise ManifoldError(f"strokes are measured in pictures (N, H, W), not in data of shape {tuple(x.shape)}")


def _enlarged(x: Tensor) -> tuple[Tensor, int]:
    """Pictures enlarged by a whole factor to at least SIZE a side, and the factor."""
    grey = _pictures(x).float()
    factor = max(1, math.ceil(SIZE / max(grey.shape[1:])))
    if factor == 1:
        return grey, 1
    return torch.nn.functional.interpolate(grey[:, None], scale_factor=factor, mode="bicubic")[:, 0], factor


def _ink(grey: Tensor) -> np.ndarray:
    """Where there is ink, (N, H, W) bool."""
    bright: np.ndarray = (grey >= INK * grey.amax((1, 2), keepdim=True).clamp_min(1e-6)).numpy()
    return bright
