"""Hide columns of a table in everything that is shown or saved of a path."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any

from agents.errors import UserError
from envs.errors import UnknownNameError

if TYPE_CHECKING:
    from agents.trajectories.trajectory import Trajectory
    from envs.core.world import World

SHOWN = "hidden"  # in place of a value


def redacted(paths: Iterable[Trajectory], world: World, columns: Sequence[str]) -> list[Trajectory]:
    """Paths whose values in some columns are shown as `hidden`, and left out of their files.

    The codes stay, because a path is nothing without them: whoever has the run's manifold can decode them to an approximation
    of the hidden values. Columns that would tell a hidden value are hidden with it: linked ones, exclusive ones, and those of
    one relation.

    Args:
        paths: through a table.
        world: where they were walked.
        columns: names of the columns.

    Raises:
        UnknownNameError: there is no such column; close names are offered.
        UserError: the data are not a table.

    Example:
        >>> from agents.explain import explain
        >>> from envs import make_world
        >>> world = make_world(progress=False)
        >>> path = redacted([explain(world, 0, walker="line")], world, [world.units.columns[0]])[0]
        >>> path.to_pandas(world).iloc[0, 0]
        'hidden'
    """
    names = list(world.units.columns)
    if columns and (world.modality != "table" or not world.units.anchored):
        raise UserError(f"columns {list(columns)} cannot be hidden: these data have no columns")
    for name in columns:
        if name not in names:
            raise UnknownNameError("column to hide", name, names)
    if not columns:
        return list(paths)
    import torch

    units: Any = world.units
    group = units.group_of
    closed = torch.isin(group, group[[names.index(name) for name in columns]]).nonzero().flatten().tolist()
    hidden = {names[j]: [j, *units.places_of(j)] for j in closed}
    return [_with(path, {**(path.hidden or {}), **hidden}) for path in paths]


def _with(path: Trajectory, hidden: dict[str, Any]) -> Trajectory:
    """A copy of a path with hidden columns; what is known of it in this process alone is kept."""
    worth = path.saved_contributions
    if worth is not None:
        closed = {column for column, *_ in hidden.values()}  # a part may have a name of the user's own
        parts = [
            dataclasses.replace(part, change=f"({SHOWN})") if part.where.get("column") in closed else part
            for part in worth.parts
        ]
        worth = dataclasses.replace(worth, parts=parts)
    found = dataclasses.replace(path, hidden=hidden, saved_contributions=worth)
    for name in ("world", "position", "walked_here"):
        if name in path.__dict__:
            found.__dict__[name] = path.__dict__[name]
    return found
