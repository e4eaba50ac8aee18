"""Which columns to change, and towards which end: a search that tries one set of columns after the other."""

from __future__ import annotations

from collections.abc import Generator
from typing import NamedTuple

import numpy as np

LEAST, MOST = 0.25, 4.0  # bounds of the correction of the surrogate's scale


class Choice(NamedTuple):
    """A set of columns that change, and the end that their values are those of.

    Attributes:
        end: index of the end.
        columns: indices of the columns.

    Example:
        >>> Choice(0, frozenset({2})).columns
        frozenset({2})
    """

    end: int
    columns: frozenset[int]


class Tried(NamedTuple):
    """What the classifier predicted for a choice.

    Attributes:
        arrived: whether the task is satisfied.
        evidence: how near that is, see `Task.evidence`.

    Example:
        >>> Tried(True, 0.3).arrived
        True
    """

    arrived: bool
    evidence: float


Search = Generator[Choice, Tried, Choice | None]


def search(
    order: np.ndarray,
    rise: np.ndarray,
    cost: np.ndarray,
    start: float,
    goal: float,
    fewer_than: int,
    budget: int,
    hope: float = 1.0,
    whole: bool = False,
) -> Search:
    """Search few columns that suffice, as a generator: it yields a choice and is sent what was predicted for it.

    At each end, columns are taken in order until the surrogate expects the goal to be reached. Of the choices with the
    fewest columns, the one of least cost is tried. Each prediction corrects the surrogate's scale.

    Args:
        order: (E, C) the columns of each end, the best first.
        rise: (E, C) rise of the evidence that the surrogate expects of the first 1, 2, ... of them; -inf: no such choice.
        cost: (E, C) of these choices.
        start: evidence of the input.
        goal: evidence at which the task is satisfied.
        fewer_than: choices of this many columns or more are not tried.
        budget: most choices that are tried.
        hope: once a choice has arrived, smaller ones are tried if this multiple of the expected rise would suffice.
        whole: only try all columns of an end together.

    Returns:
        The choice that arrived with the fewest columns; None: none did.

    Example:
        >>> tried = search(np.array([[1, 0]]), np.array([[3.0, 4.0]]), np.ones((1, 2)), -2.0, goal=0.0, fewer_than=3, budget=4)
        >>> next(tried)
        Choice(end=0, columns=frozenset({1}))
        >>> try:
        ...     tried.send(Tried(True, 1.0))
        ... except StopIteration as found:
        ...     print(found.value)
        Choice(end=0, columns=frozenset({1}))
    """
    possible = np.isfinite(rise)
    if whole:
        possible[:, :-1] &= ~possible[:, 1:]
    tried = np.zeros(rise.shape, dtype=bool)
    best: Choice | None = None
    scale, most = 1.0, fewer_than - 1
    for _ in range(budget):
        open_ = possible & ~tried
        open_[:, most:] = False
        if not open_.any():
            break
        enough = open_ & (start + scale * rise >= goal)
        if enough.any():
            count = int(enough.any(0).argmax())
            end = int(np.where(enough[:, count], cost[:, count], np.inf).argmin())
        else:
            hopeful = open_ if best is None else open_ & (start + hope * scale * rise >= goal)
            if not hopeful.any():
                break
            end, count = (int(i) for i in np.unravel_index(np.where(hopeful, rise, -np.inf).argmax(), rise.shape))
        choice = Choice(end, frozenset(order[end, : count + 1].tolist()))
        answer = yield choice
        tried[end, count] = True
        if rise[end, count] > 0:
            scale = float(np.clip((answer.evidence - start) / rise[end, count], LEAST, MOST))
        if answer.arrived:
            best, most = choice, count
    return best
