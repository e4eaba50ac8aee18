"""Where files lie (``~``), and how they are written: whole or not at all."""

from __future__ import annotations

import contextlib
import os
import secrets
from collections.abc import Mapping
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
    write_together({file: content}, durable)


def write_together(contents: Mapping[Path, str | bytes], durable: bool = False) -> None:
    """Write files that belong together, each as `write_whole` does: none takes its place before all are written.

    Between the renames another process may still find the old content of one file beside the new one of another: where that
    matters, one of them holds the sha256 of the other (see `envs.reading.files.read_safetensors`).

    Args:
        contents: of each file.
        durable: see `write_whole`.

    Raises:
        OSError: the disk's, with the file's name as its file name; nothing is left behind.
    """
    beside: dict[Path, Path] = {}
    file = Path()
    try:
        for file, content in contents.items():
            beside[file] = file.parent / f"{UNFINISHED}{secrets.token_hex(8)}"
            with open(beside[file], "xb") as stream:
                stream.write(content.encode() if isinstance(content, str) else content)
                if durable:
                    stream.flush()
                    os.fsync(stream.fileno())
        for file, finished in beside.items():
            os.replace(finished, file)
        for folder in {file.parent for file in beside} if durable else ():
            sync_folder(folder)
    except BaseException as error:
        for unfinished in beside.values():
            with contextlib.suppress(OSError):
                unfinished.unlink(missing_ok=True)
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
