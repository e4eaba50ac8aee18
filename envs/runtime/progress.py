"""One progress bar for long work."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Iterator
from typing import TypeVar

T = TypeVar("T")


def on_terminal(show: bool) -> bool:
    """Whether progress is shown: if `show`, on a terminal, never into a pipe or a file."""
    return show and sys.stderr is not None and sys.stderr.isatty()


def progress_bar(items: Iterable[T], label: str, show: bool) -> Iterator[T]:
    """`items`, with a bar on standard error if `show` and that is a terminal."""
    if not on_terminal(show):
        yield from items
        return
    from tqdm import tqdm

    yield from tqdm(items, desc=label, leave=False)
