"""Pictures: the user's scale, type and channel order outside, [0, 1] with channels first in data space."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from torch import Tensor

from envs.core.factual import Factual
from envs.errors import ManifoldError, UnknownNameError
from envs.modalities.base import Units, _numbers, _where_not_finite, picture
from envs.modalities.normalisation import check_shares, normalisation

CHANNELS = ("first", "last")
COLOURS = (1, 3, 4)  # numbers of channels that pictures usually have
SCALES = (15, 16, 31, 63, 100, 127, 128, 255)  # largest values of whole numbers that pictures usually have
MOST_LEVELS = 65536  # distinct values that are remembered exactly
RESOLUTION = 1e-7  # of float32 inside, as a share of the range


@dataclass
class ImageUnits(Units):
    """Units of pictures.

    Attributes:
        dtype: float type of the conversion to the user's values.
        own_shape: shape of one picture as the user has it; `data_shape` is the same with channels first.
        low, high: range of the user's values; 0 and 1 in data space.
        mean, std: of each channel, if the user's values are ``(share - mean) / std`` of shares in [0, 1]; else None.
        kind: numpy type of the user's pictures, in which classifiers are queried.
        levels: the user's distinct values, ascending, float64, if they are few and data space would round them; else None.
        guessed: whether the range was guessed from the values.

    Example:
        >>> units = ImageUnits.of_pictures(np.array([[[0, 16], [8, 4]]]), (2, 2))
        >>> units.inward(np.array([[[0, 16], [8, 4]]]))
        tensor([[[0.0000, 1.0000],
                 [0.5000, 0.2500]]])
    """

    dtype: torch.dtype = torch.float32
    own_shape: tuple[int, ...] = ()
    low: float = 0.0
    high: float = 1.0
    kind: np.dtype[Any] = field(default_factory=lambda: np.dtype(np.float32))
    levels: Tensor | None = None
    guessed: bool = False
    mean: tuple[float, ...] | None = None
    std: tuple[float, ...] | None = None

    @classmethod
    def of_pictures(
        cls,
        raw: np.ndarray,
        shape: Sequence[int],
        pixel_range: Sequence[float] | None = None,
        channels: str | None = None,
        more: np.ndarray | None = None,
        pixel_mean: Sequence[float] | None = None,
        pixel_std: Sequence[float] | None = None,
    ) -> ImageUnits:
        """Units fitted to raw pictures (N, \\*shape), or flat (N, D) ones of this shape.

        Args:
            pixel_range: (low, high) of the values; None: guessed from the type and the values.
            channels: ``first`` or ``last``; None: guessed from the shape.
            more: held-out pictures, which have to lie in the range, too.
            pixel_mean, pixel_std: of each channel, for pictures that were normalised by them; instead of `pixel_range`.

        Raises:
            ManifoldError: a range or channel order that cannot be guessed, or a declared one that does not fit.
        """
        raw, own = np.asarray(raw), tuple(int(n) for n in shape)
        values = _numbers(raw)
        if values.size != len(values) * int(np.prod(own)) or not values.size:
            raise ManifoldError(_no_fit(values.shape, own))
        if not np.isfinite(values).all():
            raise ManifoldError(_where_not_finite(values, ()))
        last = _channels_last(own, channels)
        kind = raw.dtype if raw.dtype.kind in "buif" else np.dtype(np.float64)
        largest, smallest = float(values.max()), float(values.min())
        if more is not None and np.asarray(more).size:
            others = _numbers(more)
            largest, smallest = max(largest, float(np.nanmax(others))), min(smallest, float(np.nanmin(others)))
        mean, std = normalisation(pixel_mean, pixel_std, own[-1 if last else 0] if len(own) == 3 else 1)
        if mean is not None and std is not None:
            if pixel_range is not None:
                raise ManifoldError(
                    f"pixel_range={tuple(pixel_range)!r} beside pixel_mean: these declare the range; leave it out"
                )
            low = min(-m / s for m, s in zip(mean, std, strict=True))
            high = max((1 - m) / s for m, s in zip(mean, std, strict=True))
        elif pixel_range is None:
            whole = kind.kind in "bui" or bool((values == np.round(values)).all())
            low, high = _guessed_range(smallest, largest, kind, whole)
        else:
            low, high = _declared_range(pixel_range)
        inside = (own[-1], *own[:-1]) if last else own
        wide = kind.itemsize > 4 if kind.kind == "f" else high > 2**24
        units = cls("image", inside, dtype=torch.float64 if wide else torch.float32, own_shape=own, low=low, high=high,
                    kind=kind, guessed=pixel_range is None and mean is None, mean=mean, std=std)  # fmt: skip
        if kind.kind == "f" and not units._same_scale:
            units.levels = _levels(values)
        if units.guessed and kind.kind == "f" and (low, high) != (0.0, 1.0):
            warnings.warn(
                f"the pictures' values are taken to range from {low:g} to {high:g} (they reach from {smallest:.4g} to "
                f"{largest:.4g}); pixel_range=(low, high) declares another range",
                stacklevel=2,
            )
        return units

    @property
    def last(self) -> bool:
        """Whether the user's channels come last."""
        return self.own_shape != self.data_shape

    @property
    def shapes(self) -> list[tuple[int, ...]]:
        """Accepted shapes of one picture, the user's own first."""
        return [self.own_shape, (int(np.prod(self.own_shape)),), *self._alike(self.own_shape)]

    def render(self, x: Tensor, factual: Factual | None = None) -> np.ndarray:
        """See `Units.render`; pictures in the user's units are taken, too, see `is_own`."""
        return picture(self.inward(x[None].cpu().numpy())[0] if self.is_own(x) else x, channels_first=True)

    def is_own(self, x: Tensor) -> bool:
        """Whether one picture is certainly in the user's units: by whole numbers or by the order of its channels."""
        whole = not x.is_floating_point() and self.kind.kind != "f"
        return whole or (self.last and tuple(x.shape) == self.own_shape != self.data_shape)

    @property
    def declared(self) -> dict[str, Any]:
        """The settings that declare what was guessed; none for values in [0, 1]."""
        if self.mean is not None and self.std is not None:
            return {"pixel_mean": list(self.mean), "pixel_std": list(self.std)}
        return {} if (self.low, self.high) == (0.0, 1.0) else {"pixel_range": [self.low, self.high]}

    @property
    def _affine(self) -> tuple[Any, Any]:
        """(zero, width): the user's values are zero + width * share. Of normalised pictures arrays over the channels."""
        if self.mean is None or self.std is None:
            return self.low, self.high - self.low
        axes = (-1, 1, 1) if len(self.own_shape) == 3 and not self.last else (-1,)
        width = 1 / np.reshape(self.std, axes)
        return -np.reshape(self.mean, axes) * width, width

    @property
    def _same_scale(self) -> bool:
        """Whether float32 values in [0, 1] are the user's own."""
        return (self.low, self.high) == (0.0, 1.0) and self.kind.kind == "f" and self.dtype == torch.float32

    def inward(self, raw: object) -> Tensor:
        """Pictures (B, \\*data_shape) in [0, 1] of the user's pictures (B, \\*own_shape), or flat ones, checked.

        Raises:
            ManifoldError: another shape, not numeric, NaN or infinite values, another scale.
        """
        array = _numbers(raw)
        if array.ndim == 0 or not array.size or array.shape[1:] not in self.shapes:
            raise ManifoldError(_no_fit(array.shape, self.own_shape))
        if not np.isfinite(array).all():
            raise ManifoldError(_where_not_finite(array, ()))
        self._check_scale(array)
        if self.mean is not None:
            zero, width = self._affine
            array = (array.reshape(len(array), *self.own_shape).astype(np.float64) - zero) / width
            check_shares(array, self.declared)
            array = array.clip(0, 1)
        elif (self.low, self.high) != (0.0, 1.0):
            array = array if self.low == 0 else array.astype(np.float64)
            array = (array - array.dtype.type(self.low)) / array.dtype.type(self.high - self.low)
        x = torch.from_numpy(array).float().reshape(len(array), *self.own_shape)
        return x.movedim(-1, 1).contiguous() if self.last else x

    def outward(self, x: Tensor) -> Tensor:
        """The user's values (..., \\*own_shape) of pictures (..., \\*data_shape): whole where the user's are whole.

        The gradient ignores the rounding (a straight-through estimate, for white-box walkers).
        """
        x = x.movedim(-len(self.data_shape), -1) if self.last else x
        if self._same_scale:
            return x
        zero, width = (torch.as_tensor(part, dtype=torch.float64) for part in self._affine)
        with torch.no_grad():
            values = self._exact(x.double() * width + zero).to(self.dtype)
        if not x.requires_grad:
            return values
        soft = x.to(self.dtype) * width.to(self.dtype) + zero.to(self.dtype)
        return soft + (values - soft).detach()

    def _exact(self, values: Tensor) -> Tensor:
        """Float64 values as the user has them: whole numbers, or the level that float32 rounded."""
        if self.kind.kind != "f":
            return values.round().clamp(self.low, self.high)
        if self.levels is None:
            return values
        after = torch.searchsorted(self.levels, values.contiguous()).clamp_max(len(self.levels) - 1)
        upper, lower = self.levels[after], self.levels[(after - 1).clamp_min(0)]
        nearest = torch.where((upper - values).abs() < (values - lower).abs(), upper, lower)
        return torch.where((nearest - values).abs() <= RESOLUTION * (self.high - self.low), nearest, values)

    def shaped(self, x: Tensor, input_shape: Sequence[int]) -> Tensor:
        """See `Units.shaped`: channels are moved to the axis that `input_shape` has them on."""
        values = self.outward(x)
        if self._in_other_order(input_shape):
            values = values.movedim(-1, 1) if self.last else values.movedim(1, -1)
        return values.reshape(len(x), *input_shape)

    def ordered(self, raw: np.ndarray, input_shape: Sequence[int]) -> np.ndarray:
        """See `Units.ordered`; channels are moved as in `shaped`."""
        values = raw.astype(self.kind, copy=False).reshape(len(raw), *self.own_shape)
        if self._in_other_order(input_shape):
            values = np.moveaxis(values, -1, 1) if self.last else np.moveaxis(values, 1, -1)
        return values.reshape(len(raw), *input_shape)

    def _in_other_order(self, input_shape: Sequence[int]) -> bool:
        """Whether a classifier has its channels on the other axis."""
        return len(self.own_shape) == 3 and tuple(input_shape) == self._other_order != self.own_shape

    @property
    def unseen(self) -> list[Any]:
        """See `Units.unseen`."""
        return [self.low, self.high, str(self.kind), list(self.own_shape), self.mean, self.std]

    def input_shape(self, classifier: Any, requested: Sequence[int] | None) -> tuple[int, ...]:
        """See `Units.input_shape`; a declared shape is the user's own, flat, or has the channels on the other axis."""
        shape = super().input_shape(classifier, requested)
        if requested is None:
            return shape if len(shape) == 1 else self.own_shape
        size = int(np.prod(shape))
        if len(self.own_shape) == 3 and self.data_shape[0] > 1 and shape not in (self.own_shape, self._other_order, (size,)):
            raise ManifoldError(
                f"input_shape {shape} is not an order of pictures of shape {self.own_shape}: give {self.own_shape}, "
                f"{self._other_order} or ({size},)"
            )
        return shape

    @property
    def _other_order(self) -> tuple[int, ...]:
        """Shape of the user's picture with its channels on the other axis."""
        return self.data_shape if self.last else (*self.own_shape[1:], self.own_shape[0])

    def torch_shapes(self) -> list[tuple[int, ...]]:
        """See `Units.torch_shapes`."""
        if self.layouts_differ:
            return [self.data_shape, self.own_shape]
        alike = self._alike(self.data_shape)
        return [self.data_shape, *(shape for shape in alike if shape != self.data_shape), (int(np.prod(self.data_shape)),)]

    @property
    def layouts_differ(self) -> bool:
        """See `Units.layouts_differ`: colours that come last."""
        return self.last and self.data_shape[0] > 1

    def asker(self, classifier: Any, input_shape: Sequence[int]) -> Callable[[Tensor], Any]:
        """See `Units.asker`: rows in the user's own type."""
        return lambda x: self.shaped(x, input_shape).numpy().astype(self.kind, copy=False)

    @staticmethod
    def _alike(shape: tuple[int, ...]) -> list[tuple[int, ...]]:
        """This shape; for one channel also without the channel, and with it on either axis."""
        if len(shape) not in (2, 3) or (len(shape) == 3 and 1 not in (shape[0], shape[-1])):
            return [shape]
        plain = shape if len(shape) == 2 else shape[1:] if shape[0] == 1 else shape[:-1]
        return [plain, (1, *plain), (*plain, 1)]

    def _check_scale(self, array: np.ndarray) -> None:
        """Refuse values in another scale than this world's pictures.

        Raises:
            ManifoldError: values outside the range, or fractions if the pictures are whole numbers.
        """
        if self.mean is not None:
            return  # `inward` checks the shares that they were
        smallest, largest = float(array.min()), float(array.max())
        reach = f"reach from {smallest:.4g} to {largest:.4g}"
        own = f"in [{self.low:g}, {self.high:g}]"
        if smallest < self.low or largest > self.high:
            raise ManifoldError(
                f"pictures must have values {own}, these {reach}; "
                + ("divide by their largest value (often 255)" if not self.declared else "give them in the scale of the data")
                + ", or declare the range of all pictures: make_world(..., pixel_range=(low, high))"
            )
        if self.high - self.low <= 2:
            return
        if self.kind.kind != "f" and not (array == np.round(array)).all():
            raise ManifoldError(
                f"this world's pictures are whole numbers {own} ({self.kind}), these are fractions that {reach}; "
                "give them in that scale"
            )
        if self.low == 0 and largest <= 1 and (array != np.round(array)).any():
            raise ManifoldError(
                f"this world's pictures have values {own}, these {reach}, as if they were shares; give them in that scale "
                f"(times {self.high:g})"
            )


def _no_fit(shape: tuple[int, ...], own: tuple[int, ...]) -> str:
    return f"data of shape {shape} do not fit: a batch (n, {', '.join(map(str, own))}) is needed"


def _channels_last(shape: tuple[int, ...], channels: str | None) -> bool:
    """Whether channels are last, as declared or guessed from the shape.

    Raises:
        ManifoldError: channels for pictures without any, or a shape that allows both orders.
    """
    if channels is not None and channels not in CHANNELS:
        raise UnknownNameError("channel order", channels, CHANNELS)
    if len(shape) != 3:
        if channels is not None:
            raise ManifoldError(f"channels={channels!r}: pictures of shape {shape} have no channels; leave it out")
        return False
    if channels is not None:
        return channels == "last"
    first, last = shape[0] in COLOURS, shape[-1] in COLOURS
    if first == last:
        first, last = shape[0] < min(shape[1:]), shape[-1] < min(shape[:-1])
    if first == last:
        raise ManifoldError(
            f"pictures of shape {shape} may have their channels first or last: pass channels='first' or channels='last'"
        )
    return last


def _declared_range(pixel_range: Any) -> tuple[float, float]:
    try:
        low, high = (float(value) for value in pixel_range)
    except (TypeError, ValueError):
        low, high = 0.0, 0.0
    if not (np.isfinite([low, high]).all() and low < high):
        raise ManifoldError(
            f"pixel_range is the lowest and the highest value of a pixel, such as (0, 255), not {pixel_range!r}"
        )
    return low, high


def _guessed_range(smallest: float, largest: float, kind: np.dtype[Any], whole: bool) -> tuple[float, float]:
    """The range of pixels, guessed from their extremes.

    Raises:
        ManifoldError: several ranges are likely, or none.
    """
    if smallest >= 0 and largest <= 1:
        return 0.0, 1.0
    if kind == np.uint8:
        return 0.0, 255.0
    if smallest >= 0 and (200 <= largest <= 255 or (whole and largest in SCALES)):
        return 0.0, largest if whole and largest in SCALES else 255.0
    if kind.kind == "f" and -1 <= smallest <= -0.5 and 0.5 <= largest <= 1:
        return -1.0, 1.0
    raise ManifoldError(
        f"the scale of these pictures cannot be guessed: they are not in [0, 1], these reach from {smallest:.4g} to "
        f"{largest:.4g} ({kind}); pass pixel_range=(low, high), the lowest and the highest value that a pixel can have"
    )


def _levels(values: np.ndarray) -> Tensor | None:
    """The distinct values, ascending, float64; None if there are more than `MOST_LEVELS`."""
    found = np.zeros(0)
    for part in np.array_split(values.ravel(), max(1, values.size // 2**20)):
        found = np.union1d(found, part)
        if len(found) > MOST_LEVELS:
            return None
    return torch.from_numpy(found.astype(np.float64))
