"""What scripts send to a terminal: control characters in names (classes, columns, files) are shown, not sent.

A class called ``"\\x1b[2Jyes"`` would otherwise clear the screen, move the cursor or change the title of the window.
"""

from __future__ import annotations

import contextlib
import re
import sys
from collections.abc import Iterator
from typing import Any, TextIO

# All control characters but tab and line feed; what reorders a line, or ends one; halves of surrogate pairs.
_UNSEEN = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069\ud800-\udfff]")
LONGEST_NAME = 40  # columns that a name takes in a table
_UPWARDS = re.compile(r"[\r\n]*(\x1b\[A)*")


def visible(text: str) -> str:
    """The text with control characters as Python writes them, ``\\x1b`` for escape; tabs and line feeds stay."""
    return _UNSEEN.sub(lambda found: _escape(ord(found.group())), text)


def name_cell(name: str, most: int = LONGEST_NAME) -> str:
    r"""A name as a table of a terminal shows it: one line, control characters shown, cut to `most` columns.

    Example:
        >>> name_cell("a\x1b[2Jb"), name_cell("two\nlines"), name_cell("abcdefgh", 5)
        ('a\\x1b[2Jb', 'two lines', 'abcd…')
    """
    from rich.cells import cell_len, set_cell_size

    shown = visible(" ".join(name.replace("\t", " ").split("\n")))
    return shown if cell_len(shown) <= most else f"{set_cell_size(shown, most - 1)}…"


def padded(name: str, width: int) -> str:
    """The text with blanks behind it to `width` columns of a terminal, in which some letters take two and some none."""
    from rich.cells import cell_len

    return name + " " * (width - cell_len(name))


def _escape(code: int) -> str:
    return f"\\x{code:02x}" if code < 256 else f"\\u{code:04x}"


class VisibleStream:
    """A text stream that shows control characters; everything else is the stream's own.

    Progress bars go on working: a text may begin with a carriage return, and one of upward moves alone is sent.
    """

    def __init__(self, stream: TextIO) -> None:
        self.stream = stream

    def write(self, text: str) -> int:
        """Write the text, its control characters shown."""
        if _UPWARDS.fullmatch(text):
            return self.stream.write(text)
        start = "\r" if text.startswith("\r") else ""
        return self.stream.write(start + visible(text.removeprefix(start)))

    def writelines(self, lines: Any) -> None:
        """Write each line."""
        for line in lines:
            self.write(line)

    def __getattr__(self, name: str) -> Any:
        return getattr(self.stream, name)


@contextlib.contextmanager
def visible_output() -> Iterator[None]:
    """Within, what is printed to stdout and stderr has its control characters shown."""
    before = sys.stdout, sys.stderr
    sys.stdout, sys.stderr = (VisibleStream(own(stream)) for stream in before)
    try:
        yield
    finally:
        sys.stdout, sys.stderr = before


def own(stream: Any) -> TextIO:
    """The stream behind a `VisibleStream`: for progress bars and consoles, which send controls of their own."""
    return stream.stream if isinstance(stream, VisibleStream) else stream


def console(**settings: Any) -> Any:
    """A rich console whose texts have their control characters shown; its own colours and cursor moves are sent."""
    from rich.console import Console
    from rich.segment import Segment

    class VisibleConsole(Console):
        def render_str(self, text: str, **how: Any) -> Any:  # before a table measures its cells
            return super().render_str(visible(text), **how)

        def render(self, renderable: Any, options: Any = None) -> Iterator[Segment]:
            for segment in super().render(renderable, options):
                yield segment if segment.control else Segment(visible(segment.text), segment.style)

    return VisibleConsole(file=own(sys.stdout), **settings)
