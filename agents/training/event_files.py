"""TensorBoard's event files, written so that an open TensorBoard sees everything: they only grow, and never move.

TensorBoard reads a folder's event files in the order of their names and never goes back to an earlier one. So every new
file sorts behind those that are there, is never renamed or rewritten, and names no machine (TensorBoard's own writer puts
the host's name into it).
"""

from __future__ import annotations

import os
import re
import time
from pathlib import Path
from typing import Any, BinaryIO

from tensorboard.compat.proto.event_pb2 import Event, SessionLog, SourceMetadata
from tensorboard.summary.writer.event_file_writer import EventFileWriter, _AsyncWriter
from tensorboard.summary.writer.record_writer import RecordWriter
from torch.utils.tensorboard.writer import FileWriter, SummaryWriter

PREFIX = "events.out.tfevents."


class EventWriter(SummaryWriter):
    """A ``SummaryWriter`` for a run's folder whose files keep to the rules above.

    Args:
        folder: where to; it is made if missing.
        purge_step: points of this step and later ones, logged before, are hidden: what a killed process logged after the
            checkpoint from which the training goes on. None: none.
    """

    def __init__(self, folder: str | Path, purge_step: int | None = None) -> None:
        super().__init__(log_dir=str(folder), purge_step=purge_step)

    def _get_file_writer(self) -> Any:
        if self.file_writer is not None:
            return self.file_writer
        writer: Any = _OneFile(self.log_dir, self.max_queue, self.flush_secs)
        self.file_writer, self.all_writers = writer, {self.log_dir: writer}  # type: ignore[assignment]
        if self.purge_step is not None:
            for _ in range(2):  # TensorBoard takes the first start that it meets for the run's own, and hides nothing
                start = SessionLog(status=SessionLog.START)
                writer.add_event(Event(step=self.purge_step, session_log=start))
            self.purge_step = None
        return writer


class _OneFile(FileWriter):
    """torch's FileWriter upon a file of our own name."""

    def __init__(self, log_dir: str, max_queue: int, flush_secs: int) -> None:
        self.event_writer = _NewestFile(log_dir, max_queue, flush_secs)


class _NewestFile(EventFileWriter):
    """TensorBoard's EventFileWriter, except for the file's name."""

    def __init__(self, logdir: str, max_queue_size: int, flush_secs: int) -> None:
        self._logdir = logdir
        folder = Path(logdir)
        folder.mkdir(parents=True, exist_ok=True)
        self._general_file_writer = _create(folder)
        self._file_name = self._general_file_writer.name
        self._async_writer = _AsyncWriter(RecordWriter(self._general_file_writer), max_queue_size, flush_secs)
        source = SourceMetadata(writer="tensorboard.summary.writer.event_file_writer")
        self.add_event(Event(wall_time=time.time(), file_version="brain.Event:2", source_metadata=source))
        self.flush()


def _create(folder: Path) -> BinaryIO:
    """A new event file, open for writing, whose name sorts behind all others in the folder."""
    stamps = [int(found[1]) for path in folder.glob(PREFIX + "*") if (found := re.match(r"(\d+)\.", path.name[len(PREFIX) :]))]
    first = max([int(time.time()), *(stamp + 1 for stamp in stamps)])
    while True:
        try:
            return open(folder / f"{PREFIX}{first:010d}.local.{os.getpid()}.0", "xb")  # the writer closes it
        except FileExistsError:
            first += 1
