"""Logs of a training: TensorBoard events in the run folder itself, and the same numbers as metrics.jsonl."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import numpy as np
from stable_baselines3.common.logger import HumanOutputFormat, KVWriter, Logger, TensorBoardOutputFormat

from agents.console.cli import UserError
from agents.files import write_whole
from agents.runs.run import NOT_FINITE
from agents.training.event_files import EventWriter
from envs.reading.checks import number
from envs.reading.files import LARGEST_TEXT, parse_json, read_bytes

METRICS_FILE = "metrics.jsonl"


class JsonLinesFormat(KVWriter):
    """One JSON object a dump, appended: ``{"step": 4096, "rollout/success_rate": 0.5, ...}``; no pictures.

    NaN and infinity, which JSON does not know, become null, and ``not_finite`` lists their names.
    """

    def __init__(self, file: Path) -> None:
        self.stream = open(file, "a", encoding="utf-8")  # noqa: SIM115  (closed by close)

    def write(self, key_values: dict[str, Any], key_excluded: dict[str, tuple[str, ...]], step: int = 0) -> None:
        values = {key: value.item() if isinstance(value, np.generic) else value for key, value in key_values.items()}
        line = {key: value for key, value in sorted(values.items()) if isinstance(value, int | float | str)}
        self.stream.write(json.dumps({"step": step, **finite_or_null(line)}, allow_nan=False) + "\n")
        self.stream.flush()

    def close(self) -> None:
        self.stream.close()


class EventFormat(TensorBoardOutputFormat):
    """SB3's TensorBoard output upon an :class:`~agents.training.event_files.EventWriter`."""

    def __init__(self, folder: Path, purge_step: int | None = None) -> None:
        self.writer = EventWriter(folder, purge_step)
        self._is_closed = False


def finite_or_null(values: dict[str, Any]) -> dict[str, Any]:
    """Values with None for NaN and infinity; ``not_finite`` then lists the keys of those."""
    lost = [key for key, value in values.items() if isinstance(value, float) and not math.isfinite(value)]
    return {**values, **dict.fromkeys(lost), **({NOT_FINITE: lost} if lost else {})}


def make_logger(folder: Path, verbose: int = 0, resumed_at: int | None = None) -> Logger:
    """SB3's logger for a run folder.

    Args:
        folder: the run's.
        verbose: from 1 on SB3's table is printed as well.
        resumed_at: steps of the checkpoint from which a training goes on: what was logged after it is taken out of
            metrics.jsonl, and hidden in TensorBoard.
    """
    purge = None
    if resumed_at is not None and forget_after(folder / METRICS_FILE, resumed_at):
        purge = resumed_at + 1
    outputs: list[KVWriter] = [EventFormat(folder, purge), JsonLinesFormat(folder / METRICS_FILE)]
    if verbose >= 1:
        import sys

        outputs.append(HumanOutputFormat(sys.stdout))
    return Logger(folder=str(folder), output_formats=outputs)


def forget_after(file: Path, steps: int) -> bool:
    """Take lines of later steps, and a line that a killed process left unfinished, out of metrics.jsonl.

    Returns:
        Whether there were any.
    """
    try:
        content = read_bytes(file, LARGEST_TEXT, error=UserError)
    except FileNotFoundError:
        return False
    lines = content.decode("utf-8", "replace").splitlines(keepends=True)
    kept = [line for line in lines if line.endswith("\n") and _step_of(line) <= steps]
    if len(kept) < len(lines):
        write_whole(file, "".join(kept), durable=True)
    return len(kept) < len(lines)


def _step_of(line: str) -> float:
    """The step of a line of metrics.jsonl; infinite where it cannot be read."""
    try:
        return number(parse_json(line, METRICS_FILE)["step"], "step")
    except (ValueError, KeyError, TypeError):
        return math.inf


def summary_writer(logger: Logger) -> Any:
    """The TensorBoard SummaryWriter behind a logger of ours (for what SB3's record cannot: projector, text)."""
    return next(output.writer for output in logger.output_formats if isinstance(output, TensorBoardOutputFormat))
