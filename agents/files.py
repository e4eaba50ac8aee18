"""What cannot be written, files on the disk for good, and what killed processes left; `envs.files` writes single files."""

from __future__ import annotations

import contextlib
import os
import shutil
import time
from collections.abc import Iterator
from pathlib import Path

from agents.console.cli import UserError
from envs.files import UNFINISHED, sync_folder
from envs.files import write_whole as write_whole

LITTER_SECONDS = 900.0
"""An unfinished file of this age was left by a process that was killed: a write takes seconds."""


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
