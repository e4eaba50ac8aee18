"""Differences between two sentences: edit distance over words, and the words that are new or gone."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np


class Word(NamedTuple):
    """A word of an alignment.

    Attributes:
        text: the word.
        change: ``""`` if it was kept, ``new`` if it was inserted or replaces another, ``gone`` if it was deleted.

    Example:
        >>> compare("a good film", "a bad film")[1]
        Word(text='bad', change='new')
    """

    text: str
    change: str


def _table(a: Sequence[Any], b: Sequence[Any], edit: int = 1, kept: int = 0) -> np.ndarray:
    """Edit distances (len(a) + 1, len(b) + 1) between all prefixes; a kept word lowers them by `kept`."""
    table = np.zeros((len(a) + 1, len(b) + 1), dtype=np.int64)
    table[:, 0], table[0] = edit * np.arange(len(a) + 1), edit * np.arange(len(b) + 1)
    for i, word in enumerate(a, start=1):
        for j, other in enumerate(b, start=1):
            paired = table[i - 1, j - 1] + (-kept if word == other else edit)
            table[i, j] = min(table[i - 1, j] + edit, table[i, j - 1] + edit, paired)
    return table


def edit_distance(before: str, after: str) -> int:
    """Edit distance over words: the fewest insertions, deletions and replacements (Levenshtein 1966).

    Example:
        >>> edit_distance("a good film", "a bad film indeed")
        2
    """
    a, b = before.split(), after.split()
    return int(_table(a, b)[-1, -1])


def edit_distances(a: np.ndarray, b: np.ndarray, padding: int) -> np.ndarray:
    """`edit_distance` (B,) between rows of ids a (B, L) and b (B, M), padded at their ends."""
    length_a, length_b = (a != padding).sum(1), (b != padding).sum(1)
    table = np.tile(np.arange(b.shape[1] + 1), (len(a), 1))
    found = np.where(length_a == 0, length_b, 0)
    for i in range(1, a.shape[1] + 1):
        row = np.full_like(table, i)
        for j in range(1, b.shape[1] + 1):
            replaced = table[:, j - 1] + (a[:, i - 1] != b[:, j - 1])
            row[:, j] = np.minimum(np.minimum(table[:, j], row[:, j - 1]) + 1, replaced)
        table = row
        found = np.where(length_a == i, table[np.arange(len(a)), length_b], found)
    return found


def edits(a: Sequence[Any], b: Sequence[Any]) -> list[tuple[int | None, int | None]]:
    """The alignment of two sequences with the fewest edits, and of several such with the most words kept: pairs of places in
    `a` and `b`, None where one has no partner.

    Example:
        >>> edits(["a", "very", "good", "film"], ["a", "bad", "film"])
        [(0, 0), (1, None), (2, 1), (3, 2)]
    """
    edit = len(a) + len(b) + 1  # more than all words that can be kept
    table, i, j = _table(a, b, edit, kept=1), len(a), len(b)
    pairs: list[tuple[int | None, int | None]] = []
    while i or j:
        if i and j and table[i, j] == table[i - 1, j - 1] + (-1 if a[i - 1] == b[j - 1] else edit):
            i, j = i - 1, j - 1
            pairs.append((i, j))
        elif j and table[i, j] == table[i, j - 1] + edit:
            j -= 1
            pairs.append((None, j))
        else:
            i -= 1
            pairs.append((i, None))
    return pairs[::-1]


def compare(before: str, after: str) -> list[Word]:
    """The words of `after`, with the deleted words of `before` among them."""
    a, b = before.split(), after.split()
    return [
        Word(a[i], "gone") if j is None else Word(b[j], "" if i is not None and a[i] == b[j] else "new")  # type: ignore[index]
        for i, j in edits(a, b)
    ]


def marked(before: str, after: str) -> str:
    """`after` as plain text, with new words between stars and deleted words in brackets.

    Example:
        >>> marked("a very good film", "a bad film")
        'a [-very-] *bad* film'
    """
    signs = {"": "{}", "new": "*{}*", "gone": "[-{}-]"}
    return " ".join(signs[word.change].format(word.text) for word in compare(before, after))
