"""Groups of classes as targets: any of several, or a class of an order and those beyond it."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from envs.errors import ManifoldError, UnknownNameError

LIMIT = re.compile(r"\s*(>=|<=|>|<|≥|≤)\s*(.+?)\s*")


@dataclass(frozen=True)
class AnyOf:
    """Any of several classes: a walk ends where the prediction is one of them.

    Args:
        names: Of the classes.

    Example:
        >>> AnyOf(["a", "b"]).text
        'any of a, b'
    """

    names: Iterable[Any]

    def __post_init__(self) -> None:
        object.__setattr__(self, "names", tuple(str(name) for name in self.names))

    @property
    def text(self) -> str:
        """As `read_group` reads it."""
        return f"any of {', '.join(self.names)}"

    def __str__(self) -> str:
        return self.text


def ordered(class_names: Sequence[str], order: Sequence[Any] | None) -> list[str] | None:
    """The classes from the lowest to the highest: as declared, or by value where all are numbers; None: they have no order.

    Raises:
        ManifoldError: If the declared order does not hold each class once.

    Example:
        >>> ordered(["10", "9"], None)
        ['9', '10']
    """
    if order is not None:
        names = [str(name) for name in order]
        if sorted(names) != sorted(class_names):
            raise ManifoldError(f"class_order={names} must hold each class once; the classes are {list(class_names)}")
        return names
    try:
        return sorted(class_names, key=float)
    except ValueError:
        return None


def read_group(target: Any, class_names: Sequence[str], order: Sequence[Any] | None = None) -> AnyOf | None:
    """The group of classes that a target names; None for a target that is one class.

    Args:
        target: A set of classes, an `AnyOf`, or a text: ``any of a, b``; for ordered classes ``>= medium``.
        class_names: Of the world.
        order: From the lowest to the highest, see `envs.config.WorldConfig`.

    Raises:
        UnknownNameError: If there is no such class.
        ManifoldError: If the group is empty or holds all classes, or the classes have no order.

    Example:
        >>> read_group(">= medium", ["high", "low", "medium"], order=["low", "medium", "high"]).names
        ('medium', 'high')
    """
    if isinstance(target, str) and target not in class_names:
        if target.lower().startswith("any of "):
            names = [name.strip() for name in re.split(r",|\bor\b", target[len("any of ") :]) if name.strip()]
            return _checked(AnyOf(names), class_names, target)
        if (found := LIMIT.fullmatch(target)) is not None:
            return _checked(_beyond(found[1], found[2], target, class_names, order), class_names, target)
        return None
    if isinstance(target, AnyOf | set | frozenset):
        return _checked(target if isinstance(target, AnyOf) else AnyOf(sorted(map(str, target))), class_names, target)
    return None


def _beyond(sign: str, name: str, target: str, class_names: Sequence[str], order: Sequence[Any] | None) -> AnyOf:
    """The classes from one on, upwards or downwards."""
    along = ordered(class_names, order)
    if along is None:
        raise ManifoldError(
            f"target {target!r} needs ordered classes, and {list(class_names)} have no order: declare it, from the lowest to "
            "the highest, with class_order=[...], or name the classes: 'any of a, b'"
        )
    if name not in along:
        raise UnknownNameError(f"class in the target {target!r}", name, class_names)
    place = along.index(name)
    if sign in (">", "<="):
        place += 1
    return AnyOf(along[place:] if sign in (">", ">=", "≥") else along[: place + (sign == "≤")])


def _checked(group: AnyOf, class_names: Sequence[str], target: Any) -> AnyOf:
    names = tuple(group.names)
    for name in names:
        if name not in class_names:
            raise UnknownNameError(f"class in the target {str(target)!r}", name, class_names)
    if not names or len(set(names)) == len(class_names):
        which = "no class" if not names else "every class"
        raise ManifoldError(f"the target {str(target)!r} names {which}: name some of {list(class_names)}")
    return group
