"""Columns of the user's own tables that are held because they look protected."""

from __future__ import annotations

import math
import sys
from collections.abc import Sequence

from envs.errors import ManifoldError, UnknownNameError
from envs.modalities.base import Units
from envs.modalities.numbers import NumberUnits
from envs.modalities.protected import RISING, looks
from envs.modalities.rows import RowUnits
from envs.modalities.table import TableUnits
from envs.reading import checks

_said: set[tuple[str, ...]] = set()  # each line is printed once in a process


def protect(units: Units, free: str | Sequence[str] | None = None) -> list[str]:
    """Hold the columns that look protected, in units that no walk has used yet, and print one line that names them.

    Columns whose description says `immutable` or `only` are as it says.

    Args:
        units: of a world's data.
        free: names of columns that may vary all the same, a list or one text with commas. An age then only rises, unless its
            description says ``only: both``.

    Returns:
        The names of the columns that are held.

    Raises:
        UnknownNameError, ManifoldError: `free` names no column, or the data have none.
    """
    wanted = [part.strip() for part in free.split(",")] if isinstance(free, str) else checks.texts(free or (), "free")
    if not isinstance(units, RowUnits):
        if wanted:
            raise ManifoldError(f"free={wanted}: only tables have columns; leave it out")
        return []
    for name in wanted:
        if name not in units.columns:
            raise UnknownNameError("column in free", name, units.columns)
    held = []
    for j, name in enumerate(units.columns):
        decided = isinstance(units, TableUnits) and units.table.columns[j].decided
        if name in wanted:
            _set_free(units, j, rising=looks(name, RISING) and not decided)
        elif units.named and not decided and looks(name):
            _hold(units, j)
            held.append(name)
    if len(held) == len(units.columns):
        raise ManifoldError(f"all columns look protected and are held: {held}; free some with free=[...] (--free)")
    if held and tuple(held) not in _said:
        _said.add(tuple(held))
        print(
            f"held, because their names look protected: {', '.join(held)}; --free {','.join(held)} (free={held}) lets them "
            "vary",
            file=sys.stderr,
        )
    return held


def _hold(units: RowUnits, column: int) -> None:
    if isinstance(units, TableUnits):
        units.fix(column)
    else:
        units.low[column], units.high[column] = math.inf, -math.inf


def _set_free(units: RowUnits, column: int, rising: bool) -> None:
    if isinstance(units, TableUnits):
        units.loosen(column)
        about = units.table.columns[column]
        if rising and about.kind == "number" and about.missing is None:
            units.direct(column, "up")
    elif rising and isinstance(units, NumberUnits):
        units.low[column] = math.inf
