"""Sentences on a card: words that are new beside the input stand marked, missing ones struck through."""

from __future__ import annotations

from collections.abc import Sequence
from difflib import SequenceMatcher
from itertools import groupby
from typing import Any

import numpy as np

from agents.explanation.figures.style import mathless
from agents.explanation.figures.words import LETTER, LINE, change_words, draw_words, wrapped
from agents.explanation.report.faces.face import Face
from agents.trajectories.trajectory import Trajectory
from envs.modalities.alignment import Word

NARROWEST = 60  # letters of a line on a card's figure, at least


def face(path: Trajectory, world: Any, frames: np.ndarray, film: Sequence[int], turn: int) -> Face:
    """The sentences of a card, each compared with the input.

    Args:
        path: to be shown.
        world: where it was walked.
        frames: (T+1, *data) its decoded frames.
        film: the frames that the player shows.
        turn: the turning point.
    """
    texts = path.texts or []
    words = {t: differences(texts[0], texts[t + 1]) for t in {*film, turn, path.steps}}
    stills = [differences(texts[0], texts[0]), words[turn], words[path.steps]]
    lines = sum(1 + len(" ".join(word.text for word in still)) // NARROWEST for still in stills)
    return Face(
        "text.html",
        {"stills": stills},
        [[list(word) for word in words[t]] for t in film],
        draw,
        LINE * lines + 1.4,
        brief=", ".join(changes(words[path.steps])),
    )


def differences(before: str, after: str) -> list[Word]:
    """The words of `after` in order, and before each replacement the words of `before` that it replaces.

    Example:
        >>> [word.text for word in differences("a good film", "a bad film")]
        ['a', 'good', 'bad', 'film']
    """
    a, b = before.split(), after.split()
    found: list[Word] = []
    for kind, i, j, k, m in SequenceMatcher(None, a, b, autojunk=False).get_opcodes():
        if kind == "equal":
            found += [Word(word, "") for word in b[k:m]]
        else:
            found += [Word(word, "gone") for word in a[i:j]] + [Word(word, "new") for word in b[k:m]]
    return found


def changes(words: Sequence[Word]) -> list[str]:
    """The changes among the words of an alignment, each in words.

    Example:
        >>> changes(differences("a very good film", "a bad film"))
        ['“very good” → “bad”']
    """
    found = []
    for changed, group in groupby(words, key=lambda word: bool(word.change)):
        each = list(group)
        gone, put = (" ".join(word.text for word in each if word.change == kind) for kind in ("gone", "new"))
        found += [" ".join(change_words(gone, put))] if changed else []
    return found


def draw(axes: Any, card: Any) -> None:
    """The three sentences, on axes of a figure."""
    box = axes.get_window_extent()
    dpi = axes.figure.dpi
    wide, high = box.width / dpi, box.height / dpi
    axes.set_xlim(0, wide)
    axes.set_ylim(high, 0)
    y = 0.1
    for place, words in enumerate(card.face.context["stills"]):
        axes.text(0, y, mathless(card.caption(place)), fontsize=8.5, color="#575f6a", va="center")
        for line in wrapped(words, int(wide / LETTER) - 2):
            y += LINE
            draw_words(axes, line, 0, y)
        y += 1.5 * LINE
