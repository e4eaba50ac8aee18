"""Rows with columns: the common part of tables of numbers and mixed tables.

A row is kept twice: as *cells*, the user's own values bit for bit, with which the classifier is queried; and encoded, for the
manifold. A frame of a walk is the input plus the change of the decoded row since the walk began:

    change = decode(z) - decode(z0);  frame = input + shrink(change) - fade(change) (input - decode(z0))

so that frame 0 is the input, a column that did not move holds the input's own cell, and the columns that are shown as changed
are the ones that change the prediction. The last term removes the reconstruction error of the input from a column as it moves;
otherwise frames would never equal the decoded codes at which walks end.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from torch import Tensor

from envs.core.factual import Factual
from envs.errors import ManifoldError
from envs.modalities.base import Units
from envs.modalities.components import Component
from envs.modalities.data_frame import Frame, in_order, is_frame, with_columns
from envs.modalities.linear_relations import Relation, group_of
from envs.modalities.scales import Scaled

DEAD_ZONE = 0.05  # standard deviations of a number: smaller changes of the decoded row are ignored
FADED = 0.5  # standard deviations: a number that has moved this far equals the decoded one
Where = Callable[[int], str]


@dataclass
class RowUnits(Units):
    """Units of rows with C columns, encoded in D places.

    Attributes:
        named: whether the column names are the user's; only then are rows with names accepted.
        frame: the columns of the data frame that the data came as, or None.
        ignored: its columns that are not part of the world; rows may have them.
        mean, scale: float64, of the numbers on their scales, so that a column far from zero keeps its digits.
        scales: of the numbers.
        dtype: float type of the user's rows, float64 unless they came as float32.
        low, high: (D,) bounds of every place.
        relations: linear relations between numbers, see `envs.modalities.linear_relations`.
    """

    named: bool = True
    frame: Frame | None = None
    ignored: list[str] = field(default_factory=list)
    mean: Tensor = field(default_factory=lambda: torch.zeros(0, dtype=torch.float64))
    scale: Tensor = field(default_factory=lambda: torch.ones(0, dtype=torch.float64))
    scales: Scaled = field(default_factory=lambda: Scaled([], []))
    dtype: torch.dtype = torch.float64
    low: Tensor = field(default_factory=lambda: torch.zeros(0))
    high: Tensor = field(default_factory=lambda: torch.zeros(0))
    relations: list[Relation] = field(default_factory=list)

    # ---- in ------------------------------------------------------------------------------------------------------

    def cells(self, raw: object, where: Where = "row {}".format) -> Tensor:
        """Cells (B, C), float64, of rows in the user's values; see `Factual.cells`."""
        raise NotImplementedError

    def encode(self, cells: Tensor) -> Tensor:
        """Encoded rows (B, D) of cells (B, C)."""
        raise NotImplementedError

    def inward(self, raw: object, where: Where = "row {}".format) -> Tensor:
        """Encoded rows (B, D) of rows in the user's values: arrays, lists, a data frame, a series, or dictionaries by column.

        Raises:
            ManifoldError: other columns, or values that do not fit; the message says where.
        """
        return self.encode(self.cells(raw, where))

    def entered(self, raw: object) -> tuple[Tensor, Tensor]:
        """See `Units.entered`."""
        cells = self.cells(raw)
        return self.encode(cells), cells

    def rows_of(self, raw: Any) -> Any:
        """Rows with their columns in the world's order, see `envs.modalities.data_frame.in_order`."""
        return in_order(raw, self.columns, self.named, self.ignored)

    def clipped(self, raw: object, where: Where = "row {}".format) -> tuple[np.ndarray, list[str]]:
        """Rows (B, C), objects as the user has them, but for numbers outside their column's range, which are moved to its end;
        and what was moved, in words. Where numbers have no range, nothing is.

        Raises:
            ManifoldError: other columns.
        """
        rows = np.array(self.rows_of(raw), dtype=object)
        if rows.ndim != 2 or rows.shape[1] != len(self.columns) or not len(rows):
            raise ManifoldError(f"rows of shape {rows.shape} do not fit: a batch (n, {len(self.columns)}) is needed")
        return rows, []

    # ---- for people --------------------------------------------------------------------------------------------------

    @property
    def units_of_measure(self) -> dict[str, str]:
        """Column -> unit of its numbers, where a description says one; dates are shown without."""
        return {}

    @property
    def descriptions(self) -> dict[str, str]:
        """Column -> what it holds, where a description says so."""
        return {}

    def is_date(self, name: str) -> bool:
        """Whether a column holds dates."""
        return False

    def render(self, x: Tensor, factual: Factual | None = None) -> dict[str, Any]:
        """See `Units.render`: column -> value, the user's own where a frame has not moved, else the nearest valid one."""
        return self.shown(x, factual)

    def difference(self, before: Tensor, after: Tensor) -> str:
        """The columns that changed: ``age 30 -> 34``."""
        rows = zip(self.shown(before).items(), self.shown(after).values(), strict=True)
        units = {name: f" {unit}" for name, unit in self.units_of_measure.items()}
        changes = (f"{name} {old} -> {new}{units.get(name, '')}" for (name, old), new in rows if old != new)
        return ", ".join(changes) or "no change"

    # ---- out -----------------------------------------------------------------------------------------------------

    def nearest(self, x: Tensor) -> Tensor:
        """Cells (B, C) of the valid rows that are nearest to encoded rows (B, D)."""
        raise NotImplementedError

    def since(self, x: Tensor, factual: Factual) -> Tensor:
        """Cells (B, C) of frames: the input's own where the frame has not moved, bit for bit, else the nearest valid ones."""
        raise NotImplementedError

    def exact(self, x: Tensor, factual: Factual | None) -> Tensor:
        """See `Units.exact`."""
        if factual is None or not factual.cells.shape[1]:
            return self.nearest(x)
        cells = self.since(x, factual)
        for relation in self.relations:
            cells = relation.cells(cells, factual.cells)
        return cells

    def rows(self, x: Tensor, factual: Factual | None = None) -> np.ndarray:
        """Rows (B, C) in the user's own values of encoded ones (B, D); of frames of walks from `factual`, see `exact`."""
        return self.values(self.exact(x, factual))

    def values(self, cells: Tensor) -> np.ndarray:
        """Rows (B, C) in the user's own values of cells (B, C)."""
        raise NotImplementedError

    # ---- parts ---------------------------------------------------------------------------------------------------

    def places_of(self, column: int) -> list[int]:
        """The places of a column in an encoded row."""
        return [column]

    def components(self, frames: Tensor, factual: Factual) -> list[Component]:
        """See `Units.components`: the columns whose cells differ from the input's on any frame."""
        cells, own = self.exact(frames, factual), factual.cells
        changed = ((cells != own) & ~(torch.isnan(cells) & torch.isnan(own))).any(0)
        found = []
        for column in torch.nonzero(changed).flatten().tolist():
            mask = torch.zeros(self.data_shape, dtype=torch.bool)
            mask[self.places_of(column)] = True
            found.append(Component(self.columns[column], {"column": column}, mask))
        return found

    # ---- walks ---------------------------------------------------------------------------------------------------

    @property
    def column_of(self) -> Tensor:
        """Index (D,) of the column that each place of an encoded row belongs to."""
        return torch.arange(self.data_shape[0])

    def scaling(self, columns: Sequence[int]) -> tuple[Tensor, float]:
        """Standard deviations of the encoded numbers of these columns, float64, and the mean of the first one."""
        return self.scale[list(columns)], float(self.mean[columns[0]])

    def evenly_scaled(self, column: int) -> bool:
        """Whether the encoded number of a column rises evenly with the number itself."""
        return not self.scales.names or self.scales.names[column] == "linear"

    @property
    def group_of(self) -> Tensor:
        """Index (C,) of the first column that each column changes with."""
        return group_of(len(self.columns), self.together)

    @property
    def together(self) -> list[Sequence[int]]:
        """Groups of columns that change together."""
        return [relation.columns for relation in self.relations]

    @property
    def anchored(self) -> bool:
        """See `Units.anchored`."""
        return True

    def laid(self, decoded: Tensor, factual: Factual) -> Tensor:
        """Frames (B, D) of decoded rows (B, D) in walks from `factual`, see the module.

        The gradient is that of the decoded row (straight through shrinking and bounds).
        """
        with torch.no_grad():
            change = decoded.detach() - factual.base
            moved = self.shrunk(change)
            frame = factual.x + moved - self.faded(moved, factual.x) * (factual.x - factual.base)
            frame = self.bounded(frame, factual.x)
            for relation in self.relations:
                frame = relation.frames(frame, factual.x)
            frame = frame if factual.held is None else self.holding(frame, factual.x, factual.held)
        return frame if not decoded.requires_grad else decoded + (frame - decoded).detach()

    def holding(self, frame: Tensor, factual: Tensor, held: Tensor) -> Tensor:
        """Frames (B, D) whose places `held` (B, D) are the input's."""
        return torch.where(held, factual, frame)

    def shrunk(self, change: Tensor) -> Tensor:
        """Changes (B, D), reduced by the dead zone."""
        return change.sign() * (change.abs() - DEAD_ZONE).clamp_min(0)

    def faded(self, moved: Tensor, x: Tensor) -> Tensor:
        """Share (B, D) in [0, 1] of the reconstruction error that changes by `moved` (B, D) remove,
        in walks from inputs x (B, D)."""
        return (moved.abs() / FADED).clamp_max(1)

    def bounded(self, frame: Tensor, x: Tensor) -> Tensor:
        """Frames (B, D) within the columns' ranges, widened to hold the input."""
        return torch.minimum(torch.maximum(frame, torch.minimum(self.low, x)), torch.maximum(self.high, x))

    # ---- the classifier's side -----------------------------------------------------------------------------------

    def tensor(self, cells: Tensor) -> Tensor:
        """The input of a torch module for cells (B, C)."""
        raise NotImplementedError

    def cells_asker(self, classifier: Any, input_shape: Sequence[int]) -> Callable[[Tensor], Any]:
        """The function from cells (B, C) to what `classifier` sees: a data frame in the order of its own column names, if it
        was fitted to one or the data are one; else an array."""
        order = self.order_for(classifier)
        if order is None:
            return lambda cells: self.array(cells).reshape(len(cells), *input_shape)
        return lambda cells: with_columns(self.as_frame(cells), order)

    def asker(self, classifier: Any, input_shape: Sequence[int]) -> Callable[[Tensor], Any]:
        """See `Units.asker`; with a known input, `cells_asker` is used instead."""
        shown = self.cells_asker(classifier, input_shape)
        return lambda x: shown(self.nearest(x))

    def raw_asker(self, classifier: Any, input_shape: Sequence[int]) -> Callable[[Any], Any]:
        """See `Units.raw_asker`."""
        if tuple(input_shape) == self.data_shape != (len(self.columns),):
            return lambda raw: None  # encoded rows
        order = self.order_for(classifier)

        def shown(raw: np.ndarray) -> Any:
            if order is None:
                return np.array(raw).reshape(len(raw), *input_shape)
            if is_frame(raw):
                return with_columns(raw, order)
            import pandas

            return pandas.DataFrame({name: list(raw[:, j]) for j, name in enumerate(self.columns)})[order]

        return shown

    def array(self, cells: Tensor) -> np.ndarray:
        """A fresh array of cells (B, C) for a classifier of arrays."""
        return self.values(cells)

    def as_frame(self, cells: Tensor) -> Any:
        """A data frame of cells (B, C): as the user's frame if there is one, else of pandas."""
        import pandas

        values = self.values(cells)
        if self.frame is not None:
            return self.frame.of([values[:, j] for j in range(len(self.columns))])
        return pandas.DataFrame({name: list(values[:, j]) for j, name in enumerate(self.columns)})

    def order_for(self, classifier: Any) -> list[Any] | None:
        """The columns of the data frame that a classifier sees, in its own order; None: it sees arrays.

        Raises:
            ManifoldError: it was fitted to columns that these rows lack.
        """
        labels: list[Any] = list(self.columns) if self.frame is None else list(self.frame.labels)
        names = column_names(classifier)
        if names is None:
            fitted_without = hasattr(classifier, "n_features_in_")
            return labels if self.frame is not None and not fitted_without else None
        lacking = [name for name in names if name not in self.columns]
        if lacking:
            raise ManifoldError(
                f"the classifier was fitted to the columns {names}; this table lacks {lacking} (it has {self.columns}): "
                "name the columns alike, in the data or with columns="
            )
        return [labels[self.columns.index(name)] for name in names]


def column_names(classifier: Any) -> list[str] | None:
    """The column names that a classifier was fitted to, or None."""
    names = getattr(classifier, "feature_names_in_", None)
    return None if names is None else [str(name) for name in names]
