"""Tables of numbers: the user's numbers outside, standardised ones in data space."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from torch import Tensor

from envs.core.factual import Factual
from envs.errors import ManifoldError
from envs.modalities.data_frame import EXACT, Frame, exact_floats
from envs.modalities.rows import RowUnits, Where
from envs.modalities.scales import Scaled, noticed_scale, unit_of


@dataclass
class NumberUnits(RowUnits):
    """Units of a table whose columns are all numbers; each is one standardised value in data space.

    Attributes:
        mean, scale: (D,) float64, of the scaled numbers; columns that are skewed have a logarithmic scale.
        dtype: float type of the user's rows, float64 unless they came as float32.
        whole: (D,) bool, columns of whole numbers in a data frame; changed values stay whole.

    Example:
        >>> units = NumberUnits.of_rows(np.array([[1.0, 10.0], [3.0, 30.0]]), ["age", "weight"])
        >>> units.inward([[2.0, 20.0]])
        tensor([[0., 0.]])
    """

    whole: Tensor = field(default_factory=lambda: torch.zeros(0, dtype=torch.bool))

    @classmethod
    def of_rows(cls, raw: Any, columns: Sequence[str] | None = None, frame: Frame | None = None) -> NumberUnits:
        """Units fitted to rows (N, D).

        Raises:
            ManifoldError: see `cells`; another number of column names; a column too large to be scaled.
        """
        width = np.shape(raw)[1]
        names = [str(name) for name in columns] if columns is not None else [f"column {i}" for i in range(width)]
        if len(names) != width:
            raise ManifoldError(f"{len(names)} column names for {width} columns: {names}")
        if len(set(names)) < len(names):
            twice = next(name for name in names if names.count(name) > 1)
            raise ManifoldError(f"two columns are called {twice!r}: {names}; rename or drop one of them")
        units = cls("table", (width,), names, named=columns is not None, frame=frame)
        values = units.cells(raw).numpy()
        units.scales = Scaled([noticed_scale(column) for column in values.T], [unit_of(column) for column in values.T])
        with np.errstate(over="ignore"):
            spread = values.std(0)
        if not np.isfinite(spread).all():
            raise ManifoldError(
                f"the column {names[int(np.argmin(np.isfinite(spread)))]!r} is too large to be scaled; use other units"
            )
        scaled = units.scales.forward(torch.from_numpy(values)).numpy()
        scale = scaled.std(0)
        scale = np.where(scale > 1e-9 * np.abs(scaled).max(0), scale, 1.0)  # a constant column stays at zero inside
        units.mean, units.scale = torch.from_numpy(scaled.mean(0)), torch.from_numpy(scale)
        units.dtype = torch.float32 if np.asarray(raw).dtype == np.float32 else torch.float64
        inside = units.encode(torch.from_numpy(values))
        units.low, units.high = inside.amin(0), inside.amax(0)
        kinds = [] if frame is None else frame.kinds
        units.whole = torch.tensor([kind in "iu" for kind in kinds] or [False] * width)
        return units

    def cells(self, raw: object, where: Where | None = None) -> Tensor:
        """See `RowUnits.cells`: the numbers themselves.

        Raises:
            ManifoldError: other columns, no numbers, NaN, infinities, dates, whole numbers that a float64 cannot hold.
        """
        try:
            array = np.asarray(self.rows_of(raw))
            if np.iscomplexobj(array):
                raise TypeError("complex numbers")
            size = self.data_shape[0]
            if array.ndim == 0 or array.size == 0 or array.size != len(array) * size:
                raise ManifoldError(f"data of shape {array.shape} do not fit: a batch (n, {size}) is needed")
            array = array.reshape(len(array), size)
            if array.dtype.kind == "f" or (array.dtype.kind in "iub" and np.abs(array).max(initial=0) < EXACT):
                values = array.astype(np.float64)
            else:
                named = "row {}".format if where is None else where
                values = np.stack([_floats(array[:, j], n, named) for j, n in enumerate(self.columns)], axis=1)
        except ManifoldError:
            raise
        except (TypeError, ValueError) as error:
            raise ManifoldError(
                f"the data must be numbers, each row as long as the others: {error}; describe a table that holds texts with "
                "columns=, or pass it as a data frame"
            ) from error
        if not np.isfinite(values).all():
            row, column = (int(i) for i in np.argwhere(~np.isfinite(values))[0])
            place = f"index {(row, column)}" if where is None else where(row)
            raise ManifoldError(
                f"the data hold {values[row, column]} at {place} (column {self.columns[column]!r}); "
                "remove or impute such rows first"
            )
        return torch.from_numpy(np.ascontiguousarray(values))

    def encode(self, cells: Tensor) -> Tensor:
        """See `RowUnits.encode`."""
        return ((self.scales.forward(cells) - self.mean) / self.scale).float()

    def inside(self, j: int, value: float) -> float:
        """The encoded number of column j."""
        cells = torch.full((1, len(self.columns)), value, dtype=torch.float64)
        return float(self.encode(cells)[0, j])

    def outward(self, x: Tensor) -> Tensor:
        """Numbers (..., D) in the user's units and float type of encoded ones; see `exact` for frames of walks."""
        return self.scales.backward(x * self.scale + self.mean).to(self.dtype)

    def nearest(self, x: Tensor) -> Tensor:
        """See `RowUnits.nearest`."""
        values = self.scales.backward(x.double() * self.scale + self.mean)
        return torch.where(self.whole, values.round(), values)

    def since(self, x: Tensor, factual: Factual) -> Tensor:
        """See `RowUnits.since`: the input's own numbers plus what the frame adds."""
        added = (x.double() - factual.x.double()) * self.scale
        values = self.scales.backward(self.scales.forward(factual.cells) + added)
        values = torch.where(self.whole, values.round(), values)
        return torch.where(added == 0, factual.cells, values)

    def values(self, cells: Tensor) -> np.ndarray:
        """See `RowUnits.values`: numbers of the user's float type."""
        return cells.to(self.dtype).numpy()

    def array(self, cells: Tensor) -> np.ndarray:
        """See `RowUnits.array`."""
        return cells.to(self.dtype, copy=True).numpy()

    def as_frame(self, cells: Tensor) -> Any:
        """See `RowUnits.as_frame`; a changed number that is none of its column's type makes that column one of floats."""
        import pandas

        if self.frame is None:
            return pandas.DataFrame(self.array(cells), columns=self.columns)
        if self.frame.backend is not None:
            return self.frame.of(list(cells.numpy().T))
        found = pandas.DataFrame(cells.numpy().copy(), columns=list(self.frame.labels))
        kept = {label: dtype for label, dtype in zip(self.frame.labels, self.frame.dtypes, strict=True) if dtype != np.float64}
        return found.astype(kept)

    def tensor(self, cells: Tensor) -> Tensor:
        """See `RowUnits.tensor`: the numbers themselves; the module's type is the one that they are rounded to."""
        return cells

    def shown(self, x: Tensor, factual: Factual | None = None) -> dict[str, Any]:
        """See `Units.shown`: six digits of what moved, the input's own numbers where it did not."""
        cells = self.exact(x.reshape(1, -1), factual)[0]
        numbers = [float(f"{value:.6g}") for value in cells.to(self.dtype).tolist()]
        if factual is not None and factual.cells.shape[1]:
            own = factual.cells.reshape(-1).tolist()
            numbers = [a if a == value else b for a, b, value in zip(own, numbers, cells.tolist(), strict=True)]
        return dict(zip(self.columns, numbers, strict=True))


def _floats(values: np.ndarray, name: str, where: Where) -> np.ndarray:
    """See `exact_floats`; a value that is not a number is named with its place."""
    try:
        return exact_floats(values, name, where)
    except ManifoldError:
        raise
    except (TypeError, ValueError):
        for row, value in enumerate(values):
            try:
                float(value)
            except (TypeError, ValueError):
                raise ManifoldError(
                    f"the data must be numbers: {where(row)}, column {name!r} is {value!r}, a number is needed; describe a "
                    "table that holds texts with columns=, or pass it as a data frame"
                ) from None
        raise
