"""Time series: the user's values at regular times outside, standardised channels in data space.

A series is kept as a row whose columns are its points, channel after channel, so that walks are anchored at the input as in
tables (`envs.modalities.rows`): frame 0 is the input, and the input's own noise stays wherever a frame has not moved. What a
walk may keep as in the input are intervals; the change fades in at the borders of an interval instead of jumping.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, ClassVar

import numpy as np
import torch
from torch import Tensor

from envs.core.factual import Factual
from envs.errors import ManifoldError
from envs.modalities.base import _where_not_finite
from envs.modalities.components import Component
from envs.modalities.curves import curves_picture, marks, sparkline
from envs.modalities.intervals import changed_intervals
from envs.modalities.numbers import NumberUnits
from envs.modalities.rows import DEAD_ZONE, FADED, Where

MOST_CHANNELS = 16  # of an array that is taken for series without a word of the user
LONGER = 4  # times more points than channels, likewise
SEVERAL, SEEN = 16, 200  # numbers of a row from which it may be a series, and rows that are looked at
PIECES = 24  # intervals of a channel that walks keep or change as a whole
TAPER = 0.25  # of such an interval: its share at a border in which the change fades in
NOTICED = 0.1  # standard deviations of a point: smaller changes are not marked
FLAT = 0.05  # standard deviations of the channel: the least spread of a point


@dataclass
class SeriesUnits(NumberUnits):
    """Units of series of one length, (T,) or (channels, T); each channel is standardised as a whole.

    Attributes:
        own_shape: (T,) or (C, T), as the user has them; data space has rows (C T,).
        names: one name a channel; empty: they have none.
        sampling: time between two points, with its unit, such as ``(0.01, "s")``; None: points have numbers alone.
        spread: (C T,) standard deviation of every point in data space, at least `FLAT`: small changes of a point are measured
            by it.

    Example:
        >>> units = SeriesUnits.of_series(np.array([[0.0, 1.0, 2.0, 3.0], [2.0, 3.0, 4.0, 5.0]]), (4,))
        >>> units.shape, units.columns[:2], tuple(units.inward([[0, 1, 2, 3]]).shape)
        ((1, 4), ['point 0', 'point 1'], (1, 4))
        >>> units.difference(units.inward([[0, 1, 2, 3]])[0], units.inward([[0, 1, 4, 5]])[0])
        'points 2-3 rise by 2'
    """

    in_time: ClassVar[bool] = True

    own_shape: tuple[int, ...] = ()
    names: list[str] = field(default_factory=list)
    sampling: tuple[float, str] | None = None
    spread: Tensor = field(default_factory=lambda: torch.ones(0))

    @classmethod
    def of_series(
        cls,
        raw: Any,
        shape: Sequence[int],
        names: Sequence[Any] | None = None,
        sampling: Any = None,
    ) -> SeriesUnits:
        """Units fitted to series (N, \\*shape), or flat ones.

        Args:
            names: of the channels.
            sampling: time between two points: a number, or a text such as ``0.01 s``.

        Raises:
            ManifoldError: another layout, values that are not finite numbers, another number of names, no time step.
        """
        own = tuple(int(n) for n in shape)
        if len(own) not in (1, 2) or own[-1] < 2:
            raise ManifoldError(f"series of shape {own}: one series has the shape (points,) or (channels, points)")
        channels, length = own if len(own) == 2 else (1, own[0])
        if channels > MOST_CHANNELS and channels > length:
            raise ManifoldError(_points_first((len(raw), *own)))
        given = [] if names is None else [str(name) for name in names]
        if given and len(given) != channels:
            raise ManifoldError(f"{len(given)} names {given} for {channels} channels: columns= names the channels of series")
        unnamed = ["" if channels == 1 else f"channel {c}, " for c in range(channels)]
        lead = [f"{name}, " for name in given] or unnamed
        columns = [f"{name}point {t}" for name in lead for t in range(length)]
        size = channels * length
        units = cls("series", (size,), columns, named=False, own_shape=own, names=given, sampling=_time_step(sampling))
        units.whole = torch.zeros(size, dtype=torch.bool)
        values = units.cells(raw).numpy().reshape(-1, channels, length)
        units.dtype = torch.float32 if np.asarray(raw).dtype == np.float32 else torch.float64
        mean, scale = values.mean((0, 2)), values.std((0, 2))
        if not np.isfinite(scale).all():
            raise ManifoldError("the values of these series are too large to be scaled; use other units")
        scale = np.where(scale > 1e-9 * np.abs(values).max((0, 2)), scale, 1.0)  # a constant channel stays at zero
        units.mean, units.scale = (torch.from_numpy(np.repeat(part, length)) for part in (mean, scale))
        inside = units.encode(torch.from_numpy(values.reshape(len(values), size)))
        units.low, units.high = inside.amin(0), inside.amax(0)
        units.spread = inside.std(0, correction=0).clamp_min(FLAT)
        return units

    @property
    def shape(self) -> tuple[int, int]:
        """(channels, points) of one series."""
        return (1, self.own_shape[0]) if len(self.own_shape) == 1 else (self.own_shape[0], self.own_shape[1])

    # ---- in and out --------------------------------------------------------------------------------------------------

    def cells(self, raw: object, where: Where | None = None) -> Tensor:
        """See `RowUnits.cells`: series (B, \\*own_shape), or flat ones (B, C T).

        Raises:
            ManifoldError: another layout, series of different lengths, values that are not finite numbers.
        """
        try:
            array = np.asarray(raw)
        except ValueError:
            array = np.empty(0, dtype=object)
        if array.dtype == object and array.ndim < 2 and not hasattr(raw, "columns"):
            raise ManifoldError(
                "series of one length are needed: cut them, pad them, or resample them to the same number of points"
            )
        channels, length = self.shape
        if array.shape[1:] not in self.layouts:
            if array.shape[1:] == (length, channels):
                raise ManifoldError(_points_first(array.shape))
            raise ManifoldError(
                f"series of shape {array.shape} do not fit: a batch (n, {', '.join(map(str, self.own_shape))}) is needed, "
                f"{channels} channel{'' if channels == 1 else 's'} of {length} points"
            )
        if array.dtype.kind == "f" and not np.isfinite(array).all():
            raise ManifoldError(_where_not_finite(array, ()) + "; fill gaps, for example by interpolation in time")
        return super().cells(array.reshape(len(array), -1), where)

    @property
    def layouts(self) -> list[tuple[int, ...]]:
        """Accepted shapes of one series."""
        channels, length = self.shape
        flat = [self.own_shape, (channels * length,)]
        return flat if channels > 1 else [*flat, (1, length), (length, 1)]

    def input_shape(self, classifier: Any, requested: Sequence[int] | None) -> tuple[int, ...]:
        """See `Units.input_shape`: flat for estimators that were fitted to so many features, else the user's own shape.

        Raises:
            ManifoldError: a declared shape that is none of the layouts.
        """
        if requested is not None:
            channels, length = self.shape
            if tuple(requested) not in [*self.layouts, (channels, length)]:
                raise ManifoldError(
                    f"input_shape {tuple(requested)} is not a layout of these series: give {self.own_shape} or "
                    f"({channels * length},)"
                    "; wrap a classifier that takes the points first in a function that transposes"
                )
            return tuple(requested)
        flat = getattr(classifier, "n_features_in_", None) == self.data_shape[0]
        return self.data_shape if flat else self.own_shape

    def torch_shapes(self) -> list[tuple[int, ...]]:
        """See `Units.torch_shapes`: channels first; a recurrent network of one channel has them last."""
        channels, length = self.shape
        last = [(length, 1)] if channels == 1 else []
        return list(dict.fromkeys([(channels, length), self.own_shape, *last, self.data_shape]))

    def order_for(self, classifier: Any) -> None:
        """See `RowUnits.order_for`: classifiers of series receive arrays."""
        return None

    @property
    def unseen(self) -> list[Any]:
        """See `Units.unseen`."""
        return [list(self.own_shape)]

    # ---- walks -------------------------------------------------------------------------------------------------------

    @property
    def group_of(self) -> Tensor:
        """Index (C T,) of the first point of the interval that each point is kept or changed with."""
        channels, length = self.shape
        piece = -(-length // PIECES)
        first = torch.arange(length) // piece * piece
        return (torch.arange(channels)[:, None] * length + first).flatten()

    def holding(self, frame: Tensor, factual: Tensor, held: Tensor) -> Tensor:
        """Frames (B, C T) that are the input's where `held` (B, C T), and fade into the frame beside it."""
        channels, length = self.shape
        over = max(1, round(TAPER * -(-length // PIECES)) + 1)
        free = ~held.reshape(-1, channels, length)
        gate, near = torch.zeros(free.shape), free.float()
        for _ in range(over):  # erosion by one point a turn: at a held point 0, `over` points away 1
            gate = gate + near / over
            padded = torch.nn.functional.pad(near, (1, 1), mode="replicate")
            near = -torch.nn.functional.max_pool1d(-padded, 3, 1)
        return torch.where(held, factual, factual + gate.reshape(held.shape) * (frame - factual))

    def shrunk(self, change: Tensor) -> Tensor:
        """See `RowUnits.shrunk`: the dead zone is a share of each point's own spread."""
        return change.sign() * (change.abs() - DEAD_ZONE * self.spread).clamp_min(0)

    def faded(self, moved: Tensor, x: Tensor) -> Tensor:
        """See `RowUnits.faded`."""
        return (moved.abs() / (FADED * self.spread)).clamp_max(1)

    # ---- for people --------------------------------------------------------------------------------------------------

    def components(self, frames: Tensor, factual: Factual) -> list[Component]:
        """See `Units.components`: connected intervals of one channel, see `envs.modalities.intervals`."""
        return changed_intervals(frames, self.shape, self.spread, self.names if self.shape[0] > 1 else ())

    def words(self, part: Component, before: Tensor, after: Tensor) -> tuple[str, str]:
        """Name and change of an interval, such as ``points 40-62 (0.4-0.62 s)`` and ``fall by 0.8 V``; where neither side
        outweighs the other, ``rise by 0.3 V, then fall by 0.2 V``, in the order of where most of each lies.

        The unit of a channel is what follows ``in`` in its name.

        Args:
            part: of `components`.
            before, after: (C T,) the input and the end.
        """
        first, last = (int(part.mask.nonzero()[k]) % self.shape[1] for k in (0, -1))
        change = ((after - before).double() * self.scale)[part.mask]
        mean, size = float(change.mean()), float(change.abs().mean())
        verbs = ("fall", "rise") if first != last else ("falls", "rises")
        channel = int(part.mask.nonzero()[0]) // self.shape[1]
        _, _, of = self.names[channel].rpartition(" in ") if self.names else ("", "", "")
        of = f" {of}" if self.names and of != self.names[channel] else ""
        if abs(mean) < 0.5 * size:
            place = torch.arange(len(change), dtype=change.dtype)
            sides = {verb: (sign * change).clamp_min(0) for verb, sign in zip(verbs, (-1, 1), strict=True)}
            order = sorted(sides, key=lambda verb: float((place * sides[verb]).sum() / sides[verb].sum()))
            how = ", then ".join(f"{verb} by {float(sides[verb][sides[verb] > 0].mean()):.2g}{of}" for verb in order)
        else:
            how = f"{verbs[mean > 0]} by {abs(mean):.2g}{of}"
        when = ""
        if self.sampling is not None:
            step, unit = self.sampling
            when = f" ({first * step:.4g}-{last * step:.4g}{f' {unit}' if unit else ''})"
        return f"{part.name}{when}", how

    def difference(self, before: Tensor, after: Tensor) -> str:
        """The intervals that changed, and how."""
        parts = self.components(torch.stack([before, after]), Factual(before[None], before[None], before[None]))
        return ", ".join(" ".join(self.words(part, before, after)) for part in parts) or "no change"

    def values_of(self, x: Tensor, factual: Factual | None = None) -> np.ndarray:
        """Values (C, T) in the user's units of one row x (C T,), which may be a frame of a walk from `factual`."""
        return self.exact(x.reshape(1, -1), factual)[0].numpy().reshape(self.shape)

    def render(self, x: Tensor, factual: Factual | None = None) -> Any:
        """The curve as a picture (H, W, 3) uint8, one band a channel; with the input in grey and the changed intervals tinted
        if it is known."""
        own = None if factual is None else self.values_of(factual.x, None)
        here = self.values_of(x, factual)
        moved = None if factual is None else self.moved(x, factual).numpy().reshape(self.shape)
        low, high = (self.outward(part).numpy().reshape(self.shape) for part in (self.low, self.high))
        return curves_picture(here, own, moved, low.min(1), high.max(1))

    def sketch(self, x: Tensor, factual: Factual | None = None) -> list[str]:
        """See `Units.sketch`: a line of blocks for each channel, and marks beneath points that differ from the input's."""
        low, high = (part.reshape(self.shape) for part in (self.low, self.high))
        moved = torch.zeros(self.shape, dtype=torch.bool) if factual is None else self.moved(x, factual).view(self.shape)
        lines = []
        for c, row in enumerate(x.reshape(self.shape)):
            name = f" {self.names[c]}" if len(self.names) > 1 else ""
            lines.append(sparkline(row.numpy(), float(low[c].min()), float(high[c].max())) + name)
            lines += [marks(moved[c].numpy())] if bool(moved[c].any()) else []
        return lines

    def moved(self, x: Tensor, factual: Factual) -> Tensor:
        """Points (C T,) bool of a row x (C T,) that differ noticeably from the input's."""
        return (x.reshape(-1) - factual.x.reshape(-1)).abs() > NOTICED * self.spread


def guessed_series(shape: Sequence[int], kind: np.dtype[Any]) -> bool:
    """Whether an array (N, \\*shape) is taken for series: 1 to 16 channels of many more points; bytes are pictures."""
    return len(shape) == 2 and kind.itemsize > 1 and 1 <= shape[0] <= MOST_CHANNELS and shape[1] >= LONGER * shape[0]


def seems_series(rows: np.ndarray) -> bool:
    """Whether rows (N, T) of many numbers may be series: neighbours differ half as much as points that are far apart."""
    if rows.ndim != 2 or rows.shape[1] < SEVERAL or rows.dtype.kind not in "iuf" or not np.isfinite(rows).all():
        return False
    values = rows[:SEEN].astype(np.float64)
    gaps = [np.abs(values[:, k:] - values[:, :-k]).mean() for k in (1, values.shape[1] // 2)]
    return bool(gaps[0] < 0.5 * gaps[1])


def _points_first(shape: Sequence[int]) -> str:
    return (
        f"series of shape {tuple(shape)} seem to have their points first: the layout (n, channels, points) is needed, "
        "for example x.transpose(0, 2, 1)"
    )


def _time_step(sampling: Any) -> tuple[float, str] | None:
    """The time between two points and its unit."""
    if sampling is None:
        return None
    number, _, unit = str(sampling).strip().partition(" ")
    try:
        step = float(number)
    except ValueError:
        step = 0.0
    if not 0 < step < np.inf:
        raise ManifoldError(f"sampling is the time between two points, such as 0.01 or '0.01 s', not {sampling!r:.40}")
    return step, unit.strip()
