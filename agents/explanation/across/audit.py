"""An audit of protected columns: how often they change where the answer does, and whether they alone change it."""

from __future__ import annotations

import copy
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from agents.errors import UserError
from agents.explanation.alternatives.changes import by_columns
from agents.explanation.metrics.bootstrap import Estimate, share
from envs.errors import UnknownNameError

if TYPE_CHECKING:
    from agents.runs.run import Run
    from agents.walkers.walker import Walker
    from envs.core.world import World

MOST_ROWS = 100
LEVELS = (0.1, 0.3, 0.5, 0.7, 0.9)  # quantiles of the reference rows to which a number is switched
CAVEAT = (
    "These are shares of the rows that were drawn. Other columns can stand for a protected one, so a share of 0 does not show "
    "that the model ignores it; nor is a change of the answer unfair by itself."
)


@dataclass(frozen=True)
class ColumnAudit:
    """What the audit found of one column.

    Attributes:
        name: of the column.
        changed: flips in which it changes.
        flips: paths that arrived, with the protected columns free.
        flipped: rows whose answer changes when this column alone is switched to some other value.
        rows: that were switched.
        values: value -> (rows whose answer changes, rows that were switched to it).

    Example:
        >>> ColumnAudit("sex", 3, 10, 1, 10, {"Female": (1, 6), "Male": (0, 4)}).sentence[:42]
        'sex changes in 3 of 10 flips (0.30 [0.11, '
    """

    name: str
    changed: int
    flips: int
    flipped: int
    rows: int
    values: dict[str, tuple[int, int]]

    @property
    def sentence(self) -> str:
        """Both shares, with 95 % Wilson intervals, and the value that changes most answers."""
        said = f"{self.name} changes in {_share(self.changed, self.flips, 'flips')}"
        alone = f"; switched alone, it flips {_share(self.flipped, self.rows, 'answers')}"
        if not self.flipped:
            return f"{said}{alone}."
        value, (count, total) = max(self.values.items(), key=lambda item: (item[1][0] / max(item[1][1], 1), item[1][0]))
        return f"{said}{alone}, most often to {value} ({count} of {total})."


@dataclass(frozen=True)
class Audit:
    """An audit of the protected columns of a table.

    Attributes:
        columns: one entry each.
        rows: explained rows.
        queries: classifier rows that the audit took.
        walker: who walked.

    Example:
        >>> Audit([], 100, 2500, "line").lines[-1][:13]
        'These are sha'
    """

    columns: list[ColumnAudit]
    rows: int
    queries: int
    walker: str

    @property
    def lines(self) -> list[str]:
        """One sentence a column, what it took, and what it does not show."""
        took = f"Audit of {self.rows} rows by {self.walker}, with 95 % Wilson intervals; {self.queries:,} queries."
        return [*(column.sentence for column in self.columns), took, CAVEAT]

    def to_json(self) -> dict[str, Any]:
        """The audit in JSON's types."""
        columns = [
            {
                "name": column.name,
                "changes": {"count": column.changed, **share(column.changed, column.flips).as_dict()},
                "switched_alone": {"count": column.flipped, **share(column.flipped, column.rows).as_dict()},
                "values": {value: {"flipped": count, "rows": rows} for value, (count, rows) in column.values.items()},
                "sentence": column.sentence,
            }
            for column in self.columns
        ]
        return {"columns": columns, "rows": self.rows, "queries": self.queries, "walker": self.walker, "caveat": CAVEAT}


def _share(count: int, n: int, what: str) -> str:
    found: Estimate = share(count, n)
    return f"{count} of {n} {what}" + (f" ({found.value:.2f} [{found.low:.2f}, {found.high:.2f}])" if n else "")


def audit(
    source: Run | World,
    columns: Sequence[str] | None = None,
    rows: int = MOST_ROWS,
    walker: str | Walker | None = None,
    seed: int = 0,
) -> Audit:
    """Audit protected columns of a table on its first held-out rows.

    Two questions, each with a 95 % Wilson interval. With these columns free to vary: in which share of the flips does each
    change? And with everything else as it is: for how many rows does the answer change when this column alone is switched, to
    each other category, or to the five quantiles 0.1, 0.3, ..., 0.9 of a number?

    Args:
        source: a run or a world of a table.
        columns: names; None: those that look protected (see `envs.modalities.protected`).
        rows: most rows, up to 100.
        walker: as for `agents.explain.explain`; None: the run's agent, or the line.
        seed: of walkers that sample.

    Raises:
        UserError: no table, no column that looks protected, or a number of rows that is not from 1 to 100.
        UnknownNameError: no such column; close names are offered.

    Example:
        >>> from envs import make_world
        >>> found = audit(make_world(progress=False), ["petal width in cm"], rows=5)
        >>> found.columns[0].flips, found.rows
        (5, 5)
    """
    from agents.explanation.explain import explain, world_and_run
    from agents.explanation.figures.table_cells import changed_cells
    from envs.modalities.protected import looks

    world, run = world_and_run(source)
    names = [str(name) for name in world.units.columns or []]
    if not by_columns(world):
        raise UserError("an audit is of columns of a table, and these data have none")
    if not 1 <= rows <= MOST_ROWS:
        raise UserError(f"rows={rows}: an audit takes 1 to {MOST_ROWS} rows")
    chosen = [name for name in names if looks(name)] if columns is None else [str(name) for name in columns]
    for name in chosen:
        if name not in names:
            raise UnknownNameError("column to audit", name, names)
    if not chosen:
        raise UserError(f"no column looks protected: name the columns to audit, of {names}")
    before, count = world.classifier.queries, min(rows, len(world.held_out.x))
    free = freed(world, chosen)
    walked_in = free if run is None else replace(run, world=free)
    walker = "line" if walker is None and run is None else walker
    paths = explain(walked_in, None, None, walker, rows=range(count), seed=seed)
    flips = [path for path in paths if path.success and path.steps]
    ends = [changed_cells(free, path.frames(free)[[0, -1]], path.factual(free))[:, -1] for path in flips]
    changed = np.sum(ends, axis=0) if ends else np.zeros(len(names), dtype=int)
    own = world.answers_held_out(range(count)).argmax(1).numpy()
    found = [_switched(world, names.index(name), own, int(changed[names.index(name)]), len(flips)) for name in chosen]
    by = ", ".join(sorted({path.walker for path in paths}))
    return Audit(found, count, world.classifier.queries - before, by)


def freed(world: World, columns: Sequence[str]) -> World:
    """The world with columns that may vary though they are held; all other parts are shared."""
    from envs.modalities.table import TableUnits

    found, units = copy.copy(world), copy.copy(world.units)
    for name in ("untargeted", "at_goals"):
        found.__dict__.pop(name, None)
    found.units = units
    names = [str(name) for name in units.columns]
    if isinstance(units, TableUnits):
        for name in columns:
            units.loosen(names.index(name))
        return found
    bounded: Any = units
    bounded.low, bounded.high = bounded.low.clone(), bounded.high.clone()
    for j in (names.index(name) for name in columns):
        bounded.low[j], bounded.high[j] = world.reference.x[:, j].min(), world.reference.x[:, j].max()
    return found


def _switched(world: World, column: int, own: np.ndarray, changed: int, flips: int) -> ColumnAudit:
    """Switch one column of the first rows to each other value, and count the answers (N,) `own` that change."""
    import torch

    units: Any = world.units
    assert world.held_out.cells is not None
    cells = world.held_out.cells[: len(own)]
    values, others = _values(world, column)
    flipped, counts = np.zeros(len(own), dtype=bool), {}
    for value, cell in zip(values, others, strict=True):
        rows = np.flatnonzero(_differ(world, column, cells[:, column], cell))
        if not len(rows):
            continue
        switched = cells[rows].clone()
        switched[:, column] = cell
        with torch.inference_mode():
            turned = world.classifier.predict_proba(units.encode(switched), switched).argmax(1).numpy() != own[rows]
        flipped[rows] |= turned
        counts[value] = int(turned.sum()), len(rows)
    return ColumnAudit(str(units.columns[column]), changed, flips, int(flipped.sum()), len(own), counts)


def _values(world: World, column: int) -> tuple[list[str], list[float]]:
    """The values of a column for people, and their cells: categories, or quantiles of a number."""
    from envs.modalities.cells import Values

    units: Any = world.units
    kept = units.kept[column] if hasattr(units, "kept") else None
    if isinstance(kept, Values):
        known = units.table.columns[column].categories
        return [str(name) for name in known], [float(kept.usual[k]) for k in range(len(known))]
    seen = world.reference.cells[:, column].numpy()
    seen = seen[~np.isnan(seen)]
    cells = np.unique(np.quantile(seen, LEVELS, method="nearest")).tolist()
    described = units.table.columns[column] if hasattr(units, "table") else None
    return [f"{cell:g}" if described is None else described.text_of(cell) for cell in cells], cells


def _differ(world: World, column: int, cells: Any, cell: float) -> np.ndarray:
    """Which cells (N,) of a column are of another category, or another number, than one cell."""
    from envs.modalities.cells import Values

    units: Any = world.units
    kept = units.kept[column] if hasattr(units, "kept") else None
    if isinstance(kept, Values):
        return (kept.place[cells.long()] != kept.place[int(cell)]).numpy()
    return np.asarray(cells.numpy() != cell)
