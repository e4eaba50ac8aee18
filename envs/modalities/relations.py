"""Relations between columns, described or noticed: columns that exclude each other, and columns that determine others.

Each rule estimates how often the opposite would occur by chance, so few rows lead to no guess.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import numpy as np

from envs.errors import ManifoldError, UnknownNameError

EXPECTED = 10  # rows that would contradict a relation if the columns were independent
Where = Callable[[int], str]


def are_exclusive(first: np.ndarray, second: np.ndarray) -> bool:
    """Whether at most one of two columns (N,) is not 0, in every row, and chance does not explain it."""
    one, other = first != 0, second != 0
    return not (one & other).any() and one.mean() * other.mean() * len(first) >= EXPECTED


def is_function(head: np.ndarray, column: np.ndarray) -> bool:
    """Whether the categories of one column (N,) determine the value of another (N,), and chance does not explain it.

    Args:
        head: indices of categories.
        column: indices of values.
    """
    pairs = np.unique(head * (int(column.max()) + 1) + column)
    categories, counts = np.unique(head, return_counts=True)
    if len(pairs) > len(categories):
        return False
    shares = np.bincount(column) / len(column)
    return float((counts - 1).sum() * (1 - (shares**2).sum())) >= EXPECTED


def exclusive_heads(values: Mapping[str, np.ndarray], described: Mapping[str, str | None], where: Where) -> dict[str, str]:
    """The first column of each zero-inflated column's group; its own name without a group.

    Args:
        values: (N,) of the zero-inflated columns without missing values, in order.
        described: column -> the one that it is described as exclusive with, None: with no other; the rest is noticed.
        where: from a row's index to its name in errors.

    Raises:
        ManifoldError: columns that cannot be exclusive, or that the data contradict.
    """
    heads: dict[str, str] = {}
    for name in (name for name in values if name not in described):
        groups = {head: [other for other, own in heads.items() if own == head] for head in heads.values()}
        fits = (h for h, group in groups.items() if all(are_exclusive(values[other], values[name]) for other in group))
        heads[name] = next(fits, name)
    heads |= {name: name for name in values if name not in heads}
    for column, other in described.items():
        if other is None:
            continue
        for name in (column, other):
            if name not in values:
                raise ManifoldError(
                    f"column {column!r}: exclusive_with: {other} needs two zero-inflated numbers without missing values; "
                    f"{name!r} is none: set zero_inflated: true for it, or leave exclusive_with out"
                )
        joined = {heads[column], heads[other]}
        first = next(name for name in values if heads[name] in joined)
        heads = {name: first if own in joined else own for name, own in heads.items()}
        _refuse_both({name: values[name] for name, own in heads.items() if own == first}, where)
    return heads


def _refuse_both(group: Mapping[str, np.ndarray], where: Where) -> None:
    there = np.stack([column != 0 for column in group.values()])
    rows = np.flatnonzero(there.sum(0) > 1)
    if len(rows):
        first, second = [name for name, own in zip(group, there[:, rows[0]], strict=True) if own][:2]
        raise ManifoldError(
            f"{where(int(rows[0]))}: {first!r} and {second!r} both differ from 0, but are described as exclusive; leave "
            "exclusive_with out"
        )


def links(
    texts: Mapping[str, Sequence[str]],
    heads: Sequence[str],
    described: Mapping[str, str | None],
    alone: Sequence[str],
    where: Where,
) -> dict[str, str]:
    """Columns whose value another column determines, and that column.

    Args:
        texts: column -> its (N,) values.
        heads: columns of categories, of which others may be functions; those with the most categories first.
        described: column -> the one that it is described as linked to, None: to none; the rest is noticed.
        alone: columns that are not linked unless they are described so.
        where: from a row's index to its name in errors.

    Raises:
        UnknownNameError: linked to a column that is none of categories.
        ManifoldError: a described link that a row contradicts.
    """
    index = {name: np.unique(values, return_inverse=True)[1] for name, values in texts.items()}
    heads = [name for name in heads if described.get(name) is None]
    linked: dict[str, str] = {}
    for name, other in described.items():
        if other is None:
            continue
        if other not in heads or other == name:
            raise UnknownNameError(f"column of categories that {name!r} is linked to", other, [h for h in heads if h != name])
        seen: dict[int, int] = {}
        for row, (a, b) in enumerate(zip(index[other].tolist(), index[name].tolist(), strict=True)):
            if seen.setdefault(a, b) != b:
                raise ManifoldError(
                    f"{where(row)}, column {name!r}: {texts[name][row]!r} occurs with {texts[other][row]!r} of {other!r}, "
                    "which an earlier row has with another value; leave linked_to out"
                )
        linked[name] = other
    for name in texts:
        if name in described or name in alone or name in linked.values():
            continue
        free = (head for head in heads if head != name and head not in linked)
        found = next((head for head in free if is_function(index[head], index[name])), None)
        linked |= {} if found is None else {name: found}
    return linked
