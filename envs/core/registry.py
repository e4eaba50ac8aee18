"""Entries of tables by name, as ``module:object``, or as live objects."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, TypeVar

from envs.errors import UnknownNameError
from envs.reading.objects import load_object

Entry = TypeVar("Entry")


def find(kind: str, value: Any, table: Mapping[str, Entry], others: Iterable[str] = ()) -> Entry | Any:
    """The entry of a table for a name; any other object is returned as it is.

    Args:
        kind: what the table holds, for messages: ``move``.
        value: a key of the table, ``module:object``, or a live object.
        table: the entries by name.
        others: further values that the message offers.

    Raises:
        UnknownNameError: no such name; close ones are offered.
        ManifoldError: ``module:object`` names nothing that can be imported.

    Example:
        >>> find("unit", "kg", {"kg": 1.0})
        1.0
        >>> find("constant", "math:pi", {})
        3.141592653589793
    """
    if not isinstance(value, str):
        return value
    if value in table:
        return table[value]
    if ":" in value:
        return load_object(value)
    raise UnknownNameError(kind, value, [*table, *others])
