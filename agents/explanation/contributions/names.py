"""The user's own names of parts, in contributions that are known already."""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from envs.errors import UnknownNameError

if TYPE_CHECKING:
    from agents.trajectories.trajectory import Trajectory


def rename_parts(paths: Sequence[Trajectory], names: Mapping[str, str], world: Any) -> list[str]:
    """Give the parts of paths' saved contributions the user's names, which headlines, tables and reports then show.

    Args:
        paths: whose contributions were computed; they are changed in place.
        names: part -> name. A part such as ``top left stroke (2)`` takes the name of ``top left stroke``, with its number.
        world: where they were walked.

    Returns:
        The keys of `names` that no part has.

    Raises:
        UnknownNameError: of tables, a key that is not a column; close names are offered.

    Example:
        >>> from agents.explain import explain
        >>> from envs import make_world
        >>> path = explain(make_world(), 0, walker="line")
        >>> found = path.contributions()
        >>> rename_parts([path], {"petal width in cm": "width of the petals"}, path.world)
        []
        >>> path.saved_contributions.parts[0].name
        'width of the petals'
    """
    columns = [str(name) for name in world.units.columns] if world.units.anchored else []
    for name in names if columns else ():
        if name not in columns:
            raise UnknownNameError("column in part names", name, columns)
    used = set()
    for path in paths:
        found = path.saved_contributions
        if found is None:
            continue
        parts = []
        for part in found.parts:
            key, number = re.fullmatch(r"(.*?)( \(\d+\))?", part.name, re.DOTALL).groups()  # type: ignore[union-attr]
            key, number = (part.name, "") if part.name in names else (key, number or "")
            used.add(key)
            parts.append(dataclasses.replace(part, name=f"{names[key]}{number}") if key in names else part)
        object.__setattr__(path, "saved_contributions", dataclasses.replace(found, parts=parts))
    return [name for name in names if name not in used]
