"""Rules between values, as the user writes them: directions, orders, forbidden moves, and relations."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from envs.errors import ManifoldError, UnknownNameError

if TYPE_CHECKING:
    import torch

    from envs.modalities.linear_relations import Relation

DIRECTIONS = ("up", "down")
MISSING = "missing"  # what a forbidden move calls a missing value, unless a category has this name


def directions(given: Mapping[str, str] | None) -> dict[str, str]:
    """Column -> ``up`` or ``down``, checked."""
    for name, way in (given or {}).items():
        if way not in DIRECTIONS:
            raise ManifoldError(f"direction of {name!r} is 'up' or 'down', not {way!r}; leave the column out for both")
    return {str(name): way for name, way in (given or {}).items()}


def allowed_moves(units: Any, column: int, order: Sequence[Any] | None, forbidden: Sequence[Sequence[Any]]) -> torch.Tensor:
    """The categories that may be reached from each one, (categories, categories) bool.

    Args:
        units: of a mixed table.
        column: index of a column of categories.
        order: all its categories; moves go forward only. None: no order.
        forbidden: pairs (from, to) of categories; ``missing``, or a text that the table writes for it, is a missing value.

    Raises:
        ManifoldError, UnknownNameError: no column of categories, no such category, or an order that leaves some out.
    """
    import torch

    about = units.table.columns[column]
    if about.kind != "category":
        raise ManifoldError(f"column {about.name!r} holds numbers: its moves are bounded by direction= or permitted_range=")
    if about.linked_to is not None:
        raise ManifoldError(
            f"column {about.name!r} follows from {about.linked_to!r}: say which moves of that column are allowed"
        )
    index = {name: k for k, name in enumerate(about.categories)}
    unknown = () if about.missing is None else (MISSING, *units.table.missing)
    states = {**dict.fromkeys(unknown, len(about.categories)), **index}

    def place(name: Any) -> int:
        if str(name) not in states:
            raise UnknownNameError(f"category of {about.name!r}", str(name), [*index, *unknown[:1]])
        return states[str(name)]

    moves = torch.ones(about.width, about.width, dtype=torch.bool)
    if order is not None:
        ranks = [place(name) for name in order]
        if len(about.categories) in ranks:
            raise ManifoldError(
                f"the order of {about.name!r} is one of categories: leave out the missing value; forbidden= can name it"
            )
        if sorted(ranks) != list(range(len(index))):
            lacking = [name for name in index if name not in map(str, order)]
            raise ManifoldError(f"the order of {about.name!r} needs each category once; it leaves out {lacking}")
        for k, later in enumerate(ranks):
            moves[later, ranks[:k]] = False
    for pair in forbidden:
        if isinstance(pair, str) or len(pair) != 2:
            raise ManifoldError(f"a forbidden move of {about.name!r} is a pair (from, to), not {pair!r}")
        moves[place(pair[0]), place(pair[1])] = False
    moves.fill_diagonal_(True)
    return moves


def relation(units: Any, text: str, fixed: Sequence[int]) -> Relation:
    """A relation of a text such as ``total = rent + 0.5 * food``.

    Args:
        units: of the table.
        text: one column, ``=``, and a sum of columns, each with a number before it where it is not 1; signs and ``*`` stand
            between spaces, since names may contain them.
        fixed: indices of columns that walks do not change: another one depends on the rest.

    Raises:
        ManifoldError, UnknownNameError: another form, no such column, or a column without numbers.
    """
    import torch

    from envs.modalities.linear_relations import Relation

    left, equals, right = text.partition(" = ")
    if not equals:
        raise ManifoldError(f"the relation {text!r} needs the form 'total = a + b', with spaces around = and +")
    terms = [(left.strip(), -1.0)]
    for sign, part in re.findall(r"(?:^|\s([+-])\s)(.+?)(?=\s[+-]\s|$)", right.strip()):
        factor, times, name = part.partition(" * ")
        try:
            weight = float(factor) if times else 1.0
        except ValueError:
            raise ManifoldError(f"the relation {text!r}: {factor!r} before * is not a number") from None
        terms.append(((name if times else part).strip(), -weight if sign == "-" else weight))
    names = [str(name) for name in units.columns]
    for name, weight in terms:
        if name not in names:
            raise UnknownNameError(f"column in the relation {text!r}", name, names)
        if weight == 0:
            raise ManifoldError(f"the relation {text!r}: {name!r} has the weight 0; leave it out")
    columns = [names.index(name) for name, _ in terms]
    if len(set(columns)) < len(columns):
        raise ManifoldError(f"the relation {text!r} names a column twice")
    first = next((k for k, column in enumerate(columns) if column not in fixed), None)
    if first is None:
        raise ManifoldError(f"the relation {text!r} holds columns that may not vary: leave the relation out")
    order = [first, *(k for k in range(len(columns)) if k != first)]
    weights = [-terms[k][1] / terms[first][1] for k in order[1:]]
    chosen = tuple(columns[k] for k in order)
    table = getattr(units, "table", None)
    if table is not None and any(table.columns[j].kind != "number" for j in chosen):
        raise ManifoldError(f"the relation {text!r} holds a column of categories; relations are between numbers")
    for j in chosen:
        _refuse_other_scales(units, j, text)
    places = chosen if table is None else tuple(units.places[j] for j in chosen)
    scales, mean = units.scaling(chosen)
    low, high = (float(end[places[0]]) * float(scales[0]) + mean for end in (units.low, units.high))
    ways = {} if table is None else {column.only: True for column in units.rules.columns[chosen[0] : chosen[0] + 1]}
    # The dependent column keeps its direction: beyond the input's own value, nothing is inside.
    low, high = (math.inf if "up" in ways else low), (-math.inf if "down" in ways else high)
    return Relation(chosen, places, torch.tensor(weights, dtype=torch.float64), scales, mean, low, high, text)


def _refuse_other_scales(units: Any, column: int, text: str) -> None:
    """Refuse a column of a relation whose encoded number does not rise evenly with the number itself.

    Raises:
        ManifoldError: says how to describe it.
    """
    table, name = getattr(units, "table", None), units.columns[column]
    about = None if table is None else table.columns[column]
    if about is not None and about.linked_to is not None:
        raise ManifoldError(
            f"the relation {text!r}: {name!r} follows from {about.linked_to!r}; describe it as linked_to: false"
        )
    if about is not None and about.zero_inflated:
        raise ManifoldError(f"the relation {text!r}: {name!r} is often exactly 0; describe it as zero_inflated: false")
    if not units.evenly_scaled(column):
        raise ManifoldError(f"the relation {text!r}: {name!r} has a logarithmic scale; describe it as scale: linear")


def check_inputs(units: Any, cells: torch.Tensor, name: Callable[[int], str]) -> None:
    """Check that inputs, as cells (B, C), keep the relations, but for rounding.

    Args:
        units: of the table.
        cells: of the inputs.
        name: from the index of an input to its name in errors.

    Raises:
        ManifoldError: an input breaks one.
    """
    import torch

    for rule in getattr(units, "relations", ()):
        values = cells[:, list(rule.columns)]
        gap = (values[:, 0] - values[:, 1:] @ rule.weights).abs()
        size = values.abs().amax(1).clamp_min(1.0)
        rows = torch.nonzero(gap > 1e-6 * size).flatten()
        if len(rows):
            row = int(rows[0])
            parts = ", ".join(f"{units.columns[j]} {float(cells[row, j]):g}" for j in rule.columns)
            raise ManifoldError(
                f"{name(row)} itself breaks the relation {rule.text!r} by {float(gap[row]):g} ({parts}): correct the row, or "
                "leave the relation out"
            )
