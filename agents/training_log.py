"""Logs of a training: TensorBoard events in the run folder itself, and the same numbers as metrics.jsonl."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import numpy as np
from stable_baselines3.common.logger import HumanOutputFormat, KVWriter, Logger, TensorBoardOutputFormat


class JsonLinesFormat(KVWriter):
    """One JSON object a dump, appended: ``{"step": 4096, "rollout/success_rate": 0.5, ...}``; no pictures."""

    def __init__(self, file: Path) -> None:
        self.stream = open(file, "a", encoding="utf-8")  # noqa: SIM115  (closed by close)

    def write(self, key_values: dict[str, Any], key_excluded: dict[str, tuple[str, ...]], step: int = 0) -> None:
        line: dict[str, Any] = {"step": step}
        for key, value in sorted(key_values.items()):
            if isinstance(value, np.generic):
                value = value.item()
            if isinstance(value, int | float | str):
                line[key] = value
        self.stream.write(json.dumps(line) + "\n")
        self.stream.flush()

    def close(self) -> None:
        self.stream.close()


def make_logger(folder: Path, verbose: int = 0) -> Logger:
    """SB3's logger for a run folder; ``verbose`` >= 1 prints SB3's table as well."""
    outputs: list[KVWriter] = [TensorBoardOutputFormat(str(folder)), JsonLinesFormat(folder / "metrics.jsonl")]
    if verbose >= 1:
        import sys

        outputs.append(HumanOutputFormat(sys.stdout))
    return Logger(folder=str(folder), output_formats=outputs)


def summary_writer(logger: Logger) -> Any:
    """The TensorBoard SummaryWriter behind a logger of ours (for what SB3's record cannot: projector, text)."""
    return next(output.writer for output in logger.output_formats if isinstance(output, TensorBoardOutputFormat))


def close_logger(logger: Logger, folder: Path) -> None:
    """Close the logs and take the machine's name out of the event files' names."""
    import socket

    logger.close()
    host = socket.gethostname()
    for file in folder.glob(f"events.out.tfevents.*.{host}.*"):
        os.replace(file, file.with_name(file.name.replace(f".{host}.", ".local.")))
