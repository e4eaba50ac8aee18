"""What an explanation may change of a table's row: columns that vary, and ranges that their numbers stay in.

The names are DiCE's (Mothilal, Sharma, Tan, "Explaining Machine Learning Classifiers through Diverse Counterfactual
Explanations", FAT* 2020): `features_to_vary` and `permitted_range`. The constraints are part of a frame (they bound what is
decoded), so a path carries them in its record, and the world of a saved path is rebuilt with them.
"""

from __future__ import annotations

import copy
import math
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from agents.constraints.rules import allowed_moves, directions, relation
from envs.errors import ManifoldError, UnknownNameError

if TYPE_CHECKING:
    from envs.core.world import World

KEY = "constraints"  # in the record of a world
MORE = ("direction", "ordered", "forbidden", "relations")  # recorded where they are given


def constrained(
    world: World,
    features_to_vary: str | Sequence[str] = "all",
    permitted_range: Mapping[str, Sequence[float]] | None = None,
    *,
    direction: Mapping[str, str] | None = None,
    ordered: Mapping[str, Sequence[Any]] | None = None,
    forbidden: Mapping[str, Sequence[Sequence[Any]]] | None = None,
    relations: Sequence[str] = (),
) -> World:
    """The world with frames in which other columns keep the input's own values; all parts are shared.

    Args:
        world: of a table.
        features_to_vary: names of the columns that a walk may change, or ``"all"``. Columns that are immutable in the table's
            description stay so.
        permitted_range: column -> (least, largest) number, in the user's units. An input outside of it may stay where it is,
            or move towards the range.
        direction: column of numbers -> ``up`` or ``down``, the only way in which it may change.
        ordered: column of categories -> all of them, in an order in which a walk only goes forward.
        forbidden: column of categories -> pairs (from, to): a row that begins at the first never shows the second.
        relations: linear relations between numbers that changes keep, such as ``total = rent + 0.5 * food``.

    Returns:
        The world itself where nothing is constrained.

    Raises:
        UnknownNameError: no such column; close names are offered.
        ManifoldError: a world of pictures or text, a rule that does not fit its column, or nothing left that may vary.
    """
    more: dict[str, Any] = {"direction": directions(direction), "ordered": _plain(ordered), "forbidden": _plain(forbidden)}
    relations = [relations] if isinstance(relations, str) else [str(text) for text in relations]
    free = isinstance(features_to_vary, str) and features_to_vary == "all"
    if free and not permitted_range and not any(more.values()) and not relations:
        return world
    names = [str(name) for name in world.units.columns or []]
    if not world.units.anchored or not names:
        raise ManifoldError("features_to_vary and permitted_range are for tables; this world has no columns")
    if isinstance(features_to_vary, str) and features_to_vary != "all":
        raise ManifoldError(f"features_to_vary is 'all' or a list of columns, such as [{features_to_vary!r}]")
    vary = names if isinstance(features_to_vary, str) else [str(name) for name in features_to_vary]
    ranges = {str(name): ends for name, ends in (permitted_range or {}).items()}
    for argument, given in (("features_to_vary", list(vary)), ("permitted_range", list(ranges)), *more.items()):
        for name in given:
            if name not in names:
                raise UnknownNameError(f"column in {argument}", name, names)
    if not vary:
        raise ManifoldError("features_to_vary is empty: a walk needs at least one column that it may change")
    fixed = [name for name in vary if _immutable(world.units, names.index(name))]
    if len(fixed) == len(vary):
        raise ManifoldError(
            f"nothing may vary: features_to_vary names {fixed}, which the table holds fixed (immutable); name another column, "
            "or free these (free=[...], or immutable: false in the description)"
        )
    ranges = {name: _ends(name, ends, _date_unit(world.units, names.index(name))) for name, ends in ranges.items()}
    changed = copy.copy(world)  # shares what was computed: none of it depends on the constraints
    for name in ("untargeted", "at_goals"):
        changed.__dict__.pop(name, None)
    changed.__dict__["unconstrained"] = world  # for `agents.constraints.binding`
    changed.units = _bounded(world.units, names, vary, ranges)
    _ruled(changed.units, names, relations=relations, **more)
    record = getattr(changed.units, KEY)
    record |= {name: value for name, value in (*more.items(), ("relations", relations)) if value}
    return changed


def constrained_source(world: World, run: Any = None, **constraints: Any) -> Any:
    """The run, or without one the world, with constraints on what may vary.

    Args:
        world: to be constrained.
        run: that holds it; None: there is none.
        constraints: arguments of `constrained`.
    """
    for name in constraints:
        if name not in (*MORE, "features_to_vary", "permitted_range"):
            raise UnknownNameError("rule", name, MORE)
    found = constrained(world, **constraints)
    if run is None:
        return found
    return run if found is world else replace(run, world=found)


def constraints_of(world: Any) -> dict[str, Any] | None:
    """The constraints of a world as JSON holds them; None where there are none."""
    return getattr(world.units, KEY, None)


def constrained_as(world: World, record: Mapping[str, Any]) -> World:
    """The world with the constraints that a record names, if it names any.

    Raises:
        ManifoldError: the record comes from a damaged file.
    """
    if (found := record.get(KEY)) is None:
        return world
    needed = {"features_to_vary", "permitted_range"}
    if not isinstance(found, Mapping) or not needed <= set(found) <= needed | set(MORE):
        raise ManifoldError(f"the constraints of this record are damaged: {found!r:.80}")
    if not isinstance(found["features_to_vary"], str | list) or not isinstance(found["permitted_range"], Mapping):
        raise ManifoldError(f"the constraints of this record are damaged: {found!r:.80}")
    mappings = [found.get(name, {}) for name in MORE if name != "relations"]
    if not all(isinstance(part, Mapping) for part in mappings) or not isinstance(found.get("relations", []), list):
        raise ManifoldError(f"the constraints of this record are damaged: {found!r:.80}")
    return constrained(world, **found)


def _date_unit(units: Any, j: int) -> str | None:
    """The unit of a column of dates; None for other columns."""
    table = getattr(units, "table", None)
    return table.columns[j].unit if table is not None and table.columns[j].date else None


def _ends(name: str, ends: Any, date_unit: str | None) -> list[float]:
    from envs.modalities.dates import number_of

    try:
        as_date = [date_unit is not None and not isinstance(end, int | float) for end in ends]
        low, high = (number_of(end, str(date_unit)) if date else float(end) for end, date in zip(ends, as_date, strict=True))
    except (TypeError, ValueError):
        raise ManifoldError(f"permitted_range of {name!r} is (least, largest), not {ends!r}") from None
    if not low <= high or math.isnan(low) or math.isinf(low) or math.isinf(high):
        raise ManifoldError(f"permitted_range of {name!r} needs two finite numbers, the least one first, not {ends!r}")
    return [low, high]


def _bounded(units: Any, names: Sequence[str], vary: Sequence[str], ranges: Mapping[str, Sequence[float]]) -> Any:
    """A copy of the units whose frames keep to the constraints.

    `bounded` clamps a place of a frame to [min(low, x), max(high, x)] with x the input's own: a place with low = inf and
    high = -inf stays at x.
    """
    table = getattr(units, "table", None)
    units = copy.copy(units)
    units.low, units.high = units.low.clone(), units.high.clone()
    for j, name in enumerate(names):
        if name in vary and name not in ranges:
            continue
        if table is not None and name in vary and table.columns[j].kind != "number":
            raise ManifoldError(f"permitted_range of {name!r}: the column holds categories; leave it out, or do not vary it")
        if table is not None and name in vary:
            units.narrow(j, *ranges[name])
        elif table is not None:
            units.fix(j)
        elif name not in vary:
            units.low[j], units.high[j] = math.inf, -math.inf
        else:
            low, high = (units.inside(j, end) for end in ranges[name])
            units.low[j], units.high[j] = max(float(units.low[j]), low), min(float(units.high[j]), high)
    setattr(
        units, KEY, {"features_to_vary": "all" if list(vary) == list(names) else list(vary), "permitted_range": dict(ranges)}
    )
    return units


def _immutable(units: Any, column: int) -> bool:
    """Whether no walk changes a column."""
    if getattr(units, "table", None) is not None:
        return bool(units.rules.columns[column].immutable or units.held[units.places_of(column)].all())
    return bool(units.low[column] == math.inf and units.high[column] == -math.inf)


def _plain(given: Mapping[str, Sequence[Any]] | None) -> dict[str, list[Any]]:
    """The same as JSON holds it, with categories as a description writes them."""
    from envs.modalities.columns import text_of  # loads torch

    return {
        str(name): [list(map(text_of, part)) if isinstance(part, list | tuple) else text_of(part) for part in parts]
        for name, parts in (given or {}).items()
    }


def _ruled(
    units: Any,
    names: Sequence[str],
    direction: Mapping[str, str],
    ordered: Mapping[str, Sequence[str]],
    forbidden: Mapping[str, Sequence[Sequence[str]]],
    relations: Sequence[str],
) -> None:
    """Give rules to units that are a copy already."""
    table = getattr(units, "table", None)
    units.relations = list(units.relations)
    for name in (*ordered, *forbidden):
        if table is None:
            raise ManifoldError(f"column {name!r} holds numbers: its moves are bounded by direction= or permitted_range=")
    for name in dict.fromkeys((*ordered, *forbidden)):
        j = names.index(name)
        units.restrict(j, allowed_moves(units, j, ordered.get(name), forbidden.get(name, ())))
    for name, way in direction.items():
        j = names.index(name)
        if table is None:
            end, far = (units.low, math.inf) if way == "up" else (units.high, -math.inf)
            end[j] = far
        elif table.columns[j].kind != "number" or table.columns[j].missing is not None:
            raise ManifoldError(
                f"direction of {name!r}: only a column of numbers without missing values has one; use ordered= for categories"
            )
        else:
            units.direct(j, way)
    fixed = [j for j in range(len(names)) if _immutable(units, j)]
    found = [relation(units, text, fixed) for text in relations]
    for one in found:
        if len(set(one.columns) - set(fixed)) == 1 and len(one.columns) > 1:
            raise ManifoldError(
                f"the relation {one.text!r} fixes {names[one.columns[0]]!r}, because its other columns may not vary: "
                "let one of them vary, or hold this one as well"
            )
    shared = {j for k, one in enumerate(found) for other in found[:k] for j in set(one.columns) & set(other.columns)}
    if shared:
        raise ManifoldError(f"two relations share the column {names[min(shared)]!r}; write them as one")
    units.relations += found
