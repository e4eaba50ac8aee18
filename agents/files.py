"""Files that are whole or not there, and where that counts, stay there when the power fails."""

from __future__ import annotations

import contextlib
import os
import secrets
import shutil
import time
from collections.abc import Iterator
from pathlib import Path

from agents.console.cli import UserError

UNFINISHED = ".tmp-"
"""What the names of unfinished files begin with. The file's own name is left out: it may be as long as names can be."""
LITTER_SECONDS = 900.0
"""An unfinished file of this age was left by a process that was killed: a write takes seconds."""


def write_whole(file: Path, content: str | bytes, durable: bool = False) -> None:
    """Write a file beside its place and rename it: readers see the old content or the new one, never a part.

    The permissions follow the umask; text is written as UTF-8.

    Args:
        file: where to.
        content: all of it.
        durable: wait until the disk has it, so that it also survives a power failure (some ten milliseconds).

    Raises:
        OSError: the disk's, with ``file`` as its file name; nothing is left behind.
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


@contextlib.contextmanager
def writing(what: str, instead: str) -> Iterator[None]:
    """Within: an OSError (a full disk, no permission) becomes a UserError that names the file and what to do.

    Args:
        what: what is being written, such as ``"the report"``.
        instead: what is there already, and how to go on.
    """
    try:
        yield
    except OSError as error:
        place = f" {str(error.filename)!r}" if error.filename is not None else ""
        raise UserError(f"cannot write {what}{place}: {error.strerror or error}; {instead}") from error


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


def sync_tree(folder: Path) -> None:
    """Wait until the disk has every file below ``folder``, and the folders' entries."""
    for place, _, names in os.walk(folder):
        for name in names:
            with open(os.path.join(place, name), "rb+") as stream:
                os.fsync(stream.fileno())
        sync_folder(Path(place))


def remove_litter(folder: Path) -> None:
    """Remove unfinished files that killed processes left in ``folder``; those of the last minutes may be under way."""
    oldest = time.time() - LITTER_SECONDS
    with contextlib.suppress(OSError):
        for path in folder.glob(f"{UNFINISHED}*"):
            if path.stat().st_mtime < oldest:
                shutil.rmtree(path) if path.is_dir() else path.unlink(missing_ok=True)
