"""Where files lie (``~``), and how they are written: whole or not at all."""

from __future__ import annotations

import contextlib
import os
import secrets
from pathlib import Path, PurePath
from typing import Any

UNFINISHED = ".tmp-"
"""What the names of unfinished files begin with. The file's own name is left out: it may be as long as names can be."""


def in_home(value: Any) -> Any:
    """A path with ``~`` or ``~/`` at its beginning expanded; shells do not behind ``=`` and in quotes.

    Args:
        value: a text, a path, or a list of them; other values are returned as they are.

    Example:
        >>> in_home("~/runs") == os.path.join(os.path.expanduser("~"), "runs")
        True
        >>> in_home("a~b"), in_home(3)
        ('a~b', 3)
    """
    if isinstance(value, list):
        return [in_home(item) for item in value]
    if isinstance(value, PurePath):
        return type(value)(in_home(str(value)))
    here = isinstance(value, str) and (value == "~" or value.startswith(("~/", f"~{os.sep}")))
    return os.path.expanduser(value) if here else value


def write_whole(file: Path, content: str | bytes, durable: bool = False) -> None:
    """Write a file beside its place and rename it: readers see the old content or the new one, never a part.

    The permissions follow the umask; text is written as UTF-8.

    Args:
        file: where to.
        content: all of it.
        durable: wait until the disk has it, so that it also survives a power failure (some ten milliseconds).

    Raises:
        OSError: the disk's, with ``file`` as its file name; nothing is left behind.

    Example:
        >>> import tempfile
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     write_whole(Path(folder) / "a.txt", "text")
        ...     [(file.name, file.read_text()) for file in Path(folder).iterdir()]
        [('a.txt', 'text')]
    """
    beside = file.parent / f"{UNFINISHED}{secrets.token_hex(8)}"
    try:
        with open(beside, "xb") as stream:
            stream.write(content.encode() if isinstance(content, str) else content)
            if durable:
                stream.flush()
                os.fsync(stream.fileno())
        os.replace(beside, file)
        if durable:
            sync_folder(file.parent)
    except BaseException as error:
        with contextlib.suppress(OSError):
            beside.unlink(missing_ok=True)
        if isinstance(error, OSError):
            error.filename, error.filename2 = str(file), None
        raise


def sync_folder(folder: Path) -> None:
    """Wait until the disk has the folder's entries: without this a renamed file may be gone after a power failure.

    Where folders cannot be opened (Windows) or synced (some network file systems) nothing is done.
    """
    with contextlib.suppress(OSError):
        handle = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)
