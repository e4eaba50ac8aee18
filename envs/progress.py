"""One progress bar for long work."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import TypeVar

T = TypeVar("T")


def progress_bar(items: Iterable[T], label: str, show: bool) -> Iterator[T]:
    """`items`, with a bar on standard error if `show`."""
    if not show:
        yield from items
        return
    from tqdm import tqdm

    yield from tqdm(items, desc=label, leave=False)
