"""Rows of a table in the user's units: the text of each cell, and the cells that a path changes."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from agents.explanation.figures.style import row_values
from agents.redaction import SHOWN

if TYPE_CHECKING:
    from envs.core.factual import Factual

NOTICEABLE = 0.1  # change of a number that counts, in standard deviations of its column among the reference inputs


def row_texts(
    world: Any, rows: Sequence[np.ndarray], factual: Factual | None = None, hidden: Collection[str] | None = None
) -> tuple[list[str], np.ndarray]:
    """The cells of data-space rows as texts in the user's units.

    Args:
        world: of the table.
        rows: the input and frames of its walk.
        factual: the input, if known.
        hidden: columns whose values are not shown.

    Returns:
        Column names, and texts (columns, rows).
    """
    shown = [row_values(world, row, factual) for row in rows]
    names, units = list(shown[0]), world.units.units_of_measure
    texts = [[_text(row[name]) for row in shown] for name in names]
    for name, line in zip(names, texts, strict=True):
        for row, values in enumerate(shown):  # numbers that differ have different texts
            if line[row] == line[0] and values[name] != shown[0][name] and isinstance(values[name], float):
                line[row] = f"{values[name]:.8g}"
    measures = [f" {units[name]}" if name in units else "" for name in names]
    texts = [[text + measure for text in line] for line, measure in zip(texts, measures, strict=True)]
    texts = [[SHOWN] * len(rows) if name in (hidden or ()) else line for name, line in zip(names, texts, strict=True)]
    return names, np.array(texts, dtype=object)


def _text(value: Any) -> str:
    """A number with a readable number of digits; anything else unchanged."""
    if isinstance(value, bool | np.bool_ | str | int | np.integer) or not np.isscalar(value):
        return str(value)
    number = float(value)  # type: ignore[arg-type]
    if abs(number) >= 100:
        return f"{number:,.0f}" if abs(number) >= 1000 else f"{number:.1f}"
    return f"{number:.2f}" if abs(number) >= 0.1 or number == 0 else f"{number:.3g}"


def changed_cells(
    world: Any, frames: np.ndarray, factual: Factual | None = None, hidden: Collection[str] | None = None
) -> np.ndarray:
    """Cells that differ from the input, however little, (columns, T+1) bool.

    Args:
        world: of the table.
        frames: (T+1, D).
        factual: the input. None: cells are compared with the first row, and numbers count as changed where they differ by more
            than a tenth of the standard deviation of their column among the reference inputs.
        hidden: columns that count as unchanged.
    """
    if factual is not None:
        import torch

        cells, own = world.units.exact(torch.from_numpy(np.array(frames)), factual).numpy(), factual.cells.numpy()
        open_ = np.array([name not in (hidden or ()) for name in world.units.columns])
        return ((cells != own) & ~(np.isnan(cells) & np.isnan(own))).T & open_[:, None]
    shown = [row_values(world, frame) for frame in frames]
    sample = [row_values(world, x) for x in np.asarray(world.reference.x[:200])]
    marks = []
    for name in shown[0]:
        values = [row[name] for row in shown]
        if all(isinstance(v, int | float | np.number) for v in values):
            spread = float(np.std([float(row[name]) for row in sample])) or 1.0
            marks.append(np.abs(np.array(values, float) - float(values[0])) > NOTICEABLE * spread)
        else:
            marks.append(np.array([value != values[0] for value in values]))
    return np.array(marks, dtype=bool)


def directions(world: Any, frames: np.ndarray, factual: Factual | None = None) -> np.ndarray:
    """(columns, T+1) whether a number lies above (1) or below (-1) that of the first frame; 0: equal, or a category.

    Args:
        world: of the table.
        frames: (T+1, D), of which the first is the input.
        factual: the input.
    """
    shown = [row_values(world, frame, factual) for frame in frames]
    dated = [name for name in shown[0] if world.units.is_date(name)]  # ISO texts, which sort as dates do
    order = {name: {text: k for k, text in enumerate(sorted({row[name] for row in shown}))} for name in dated}
    shown = [{name: order[name][value] if name in order else value for name, value in row.items()} for row in shown]
    numbers = [[row[name] if isinstance(row[name], int | float | np.number) else np.nan for row in shown] for name in shown[0]]
    values = np.array(numbers, dtype=np.float64)
    return np.nan_to_num(np.sign(values - values[:, :1])).astype(int)
