"""A run is trained by one process at a time: a lock that the system frees when its holder ends, however it ends."""

from __future__ import annotations

import contextlib
import datetime
import errno
import json
import os
from collections.abc import Iterator
from pathlib import Path

from agents.console.cli import UserError
from envs.reading.checks import text, whole
from envs.reading.files import parse_json, read_object

try:
    import fcntl
except ImportError:  # Windows
    fcntl = None  # type: ignore[assignment]

LOCK_FILE = ".lock"
UNSUPPORTED = (errno.ENOLCK, errno.ENOTSUP, errno.ENOSYS, errno.EINVAL)


@contextlib.contextmanager
def run_lock(root: Path) -> Iterator[None]:
    """Within: no other training writes into the run folder ``root``.

    The file ``.lock`` stays; it says which process holds or held the lock, and since when. Where the file system has no
    locks, nothing is locked.

    Raises:
        UserError: another training holds the lock; the message names the process.
    """
    if fcntl is None:
        yield
        return
    try:
        handle = os.open(root / LOCK_FILE, os.O_RDWR | os.O_CREAT, 0o666)
    except OSError as error:
        raise UserError(
            f"cannot train in {str(root)!r}: {error.strerror}; copy the run to a folder that can be written, and resume that"
        ) from error
    try:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise UserError(
                f"{str(root)!r} is being trained by {_holder(handle)}: wait until it has ended, or stop it, then go on "
                f"with -i {root}; for a second training leave -i out, it gets a folder of its own"
            ) from None
        except OSError as error:
            if error.errno not in UNSUPPORTED:
                raise
        now = datetime.datetime.now(datetime.UTC).isoformat(timespec="milliseconds")
        os.ftruncate(handle, 0)
        os.pwrite(handle, json.dumps({"pid": os.getpid(), "since": now}).encode() + b"\n", 0)
        yield
    finally:
        os.close(handle)


def held_since(root: Path) -> str:
    """When the last training of the run began or went on; empty where no lock says so."""
    try:
        return text(read_object(root / LOCK_FILE).get("since"), "since")
    except (ValueError, OSError):
        return ""


def _holder(handle: int) -> str:
    """The process that the lock file names."""
    try:
        held = parse_json(os.pread(handle, 1000, 0).decode("utf-8", "replace"), LOCK_FILE)
        pid, since = whole(held["pid"], "pid"), text(held["since"], "since")
    except (ValueError, KeyError, TypeError):
        return "another process"
    if pid == os.getpid():
        return f"this process (since {since})"
    return f"another process, number {pid} (since {since})"
