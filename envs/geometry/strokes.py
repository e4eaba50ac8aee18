"""Attributes of handwriting measured from pixels: loops, stroke thickness, slant.

Images are (N, H, W), or have one channel, with bright ink in [0, 1]. Small ones are enlarged first, so that holes of two
pixels count. All images of a batch are measured at once.
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

SIZE = 32  # pixels per side to which smaller images are enlarged
INK = 0.35  # share of an image's brightest value from which a pixel counts as ink; agrees best with the loops of digits
SMALLEST_HOLE = 0.001  # share of the image; smaller holes are dents between strokes
FAR = 1e6  # distance between the images of a batch, so that they do not interact


class Attribute(NamedTuple):
    """A measurable attribute of images.

    Attributes:
        name: Name for tables.
        measure: Maps images (N, \\*data_shape) to values (N,).
        unit: Unit of the values; empty for counts.
        more: Phrase for an increase, with {} for its size.
        less: Phrase for a decrease.
        least: Smallest change that is reported.

    Example:
        >>> change(STROKES[0], first=1.0, last=0.0)
        'loop opened'
    """

    name: str
    measure: Callable[[Tensor], Tensor]
    unit: str
    more: str
    less: str
    least: float


def loops(x: Tensor) -> Tensor:
    """Number of holes that the ink encloses, (N,): 0 for a 1, 1 for a 0, 2 for an 8."""
    ink = _ink(_enlarged(x)[0])
    ground = np.pad(~ink, ((0, 0), (1, 1), (1, 1)), constant_values=True)
    # Neighbours share a side and an image: diagonal ink closes a loop.
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
    """Mean stroke width (N,) in pixels of the original image: four times the mean distance from ink to its edge.

    In a strip of width w that distance is w / 4 on average.
    """
    large, factor = _enlarged(x)
    ink = np.pad(_ink(large), ((0, 0), (1, 1), (1, 1)))
    depth = ndimage.distance_transform_edt(ink, sampling=(FAR, 1, 1)) - 0.5 * ink
    mean = depth.sum((1, 2)) / np.maximum(ink.sum((1, 2)), 1)
    return torch.from_numpy(4 * mean / factor).float()


def slant(x: Tensor) -> Tensor:
    """Slant (N,) in degrees, positive if the top leans to the right: the shear given by the second moments of the ink."""
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
#: data set -> attributes of its images, one line per data set.
ATTRIBUTES: dict[str, tuple[Attribute, ...]] = dict.fromkeys(PICTURED, STROKES)


def attributes_of(world: World) -> tuple[Attribute, ...]:
    """Attributes of a world's data, by the name of the data set; empty for other data."""
    data = world.config.data
    return ATTRIBUTES.get(data, ()) if isinstance(data, str) else ()


def change(attribute: Attribute, first: float, last: float) -> str:
    """Describe a change of an attribute in words; empty if it is smaller than `least`."""
    difference = last - first
    if not math.isfinite(difference) or abs(difference) < attribute.least:
        return ""
    size = abs(difference)
    if attribute.unit:
        amount = f"{size:.0f}{attribute.unit}" if attribute.unit == "°" else f"{size:.1f} {attribute.unit}"
    else:
        count = round(size)
        amount = attribute.name.removesuffix("s") if count == 1 else f"{count} {attribute.name}"
    return (attribute.more if difference > 0 else attribute.less).format(amount)


def _pictures(x: Tensor) -> Tensor:
    """Images (N, H, W), averaged over a channel axis if there is one.

    Raises:
        ManifoldError: If the data are not images.
    """
    if x.dim() == 3:
        return x
    if x.dim() == 4:
        return x.mean(1 if x.shape[1] in (1, 3) else 3)
    raise ManifoldError(f"strokes are measured in images (N, H, W), not in data of shape {tuple(x.shape)}")


def _enlarged(x: Tensor) -> tuple[Tensor, int]:
    """Images enlarged by a whole factor to at least SIZE pixels per side, and the factor."""
    grey = _pictures(x).float()
    factor = max(1, math.ceil(SIZE / max(grey.shape[1:])))
    if factor == 1:
        return grey, 1
    return torch.nn.functional.interpolate(grey[:, None], scale_factor=factor, mode="bicubic")[:, 0], factor


def _ink(grey: Tensor) -> np.ndarray:
    """Where there is ink, (N, H, W) bool."""
    bright: np.ndarray = (grey >= INK * grey.amax((1, 2), keepdim=True).clamp_min(1e-6)).numpy()
    return bright
