"""The output of many explanations: a folder of parts and a manifest that names the finished ones.

A part holds the results of consecutive rows, in the rows' order. It is written beside its place and renamed; then the
manifest is written. A part that the manifest does not name is made again: a killed process loses only the parts under way.
"""

from __future__ import annotations

import io
import json
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from agents.console.cli import UserError
from agents.files import remove_litter, write_whole, writing
from envs.files import in_home
from envs.reading import checks
from envs.reading.files import LARGEST_FILE, parse_json, read_object, read_text

MANIFEST = "_manifest.json"  # readers of Parquet folders leave out names that begin with "_"
FORMAT_VERSION = 1
FORMATS = ("parquet", "jsonl")


class Parts:
    """A folder of parts.

    Args:
        folder: created if need be.
        job: what the results depend on, in JSON's types. A folder that holds results of another job is refused.
        count: number of parts.
        kind: of `FORMATS`.

    Attributes:
        done: the finished parts, each with the number of its rows by status.

    Raises:
        UserError: the folder holds results of another job, or a damaged manifest.

    Example:
        >>> import tempfile
        >>> folder = tempfile.TemporaryDirectory()
        >>> parts = Parts(folder.name, {"seed": 0}, 2, "jsonl")
        >>> parts.add(0, write_part([{"status": "explained"}], parts.file(0), {"status": "string"}))
        >>> Parts(folder.name, {"seed": 0}, 2, "jsonl").missing
        [1]
        >>> folder.cleanup()
    """

    def __init__(self, folder: str | Path, job: Mapping[str, Any], count: int, kind: str) -> None:
        if kind not in FORMATS:
            raise UserError(f"results are written as {' or '.join(FORMATS)}, not as {kind!r}")
        self.folder, self.count, self.kind = Path(in_home(str(folder))), count, kind
        self.job = parse_json(json.dumps({**job, "parts": count, "format": kind}), "the job")
        self.done: dict[int, dict[str, int]] = {}
        with writing("to the folder", "choose another folder with --out DIR"):
            self.folder.mkdir(parents=True, exist_ok=True)
        remove_litter(self.folder)
        if (file := self.folder / MANIFEST).is_file():
            self.done = self._read(file)

    def _read(self, file: Path) -> dict[int, dict[str, int]]:
        """The finished parts of a manifest."""
        damaged = f"{str(file)!r} is damaged: remove the folder, or choose another one with --out DIR"
        found = read_object(file, error=UserError)
        if found.get("format_version") != FORMAT_VERSION or not isinstance(found.get("done"), dict):
            raise UserError(damaged)
        job = checks.mapping(found.get("job"), f"{str(file)!r} is damaged: job", error=UserError)
        for name in {**self.job, **job}:
            if job.get(name) != self.job.get(name):
                raise UserError(
                    f"{str(self.folder)!r} holds results of another job: {name} was {job.get(name)!r}, now it is "
                    f"{self.job.get(name)!r}; choose another folder with --out DIR"
                )
        done: dict[int, dict[str, int]] = {}
        for part, statuses in found["done"].items():
            counts = checks.mapping(statuses, f"{str(file)!r} is damaged: part {part}", error=UserError)
            done[checks.whole(int(part) if part.isdigit() else part, damaged, 0, error=UserError)] = {
                name: checks.whole(count, damaged, 0, error=UserError) for name, count in counts.items()
            }
        return {part: counts for part, counts in done.items() if part < self.count and self.file(part).is_file()}

    def file(self, part: int) -> Path:
        """The file of a part."""
        return self.folder / f"part-{part:06d}.{self.kind}"

    @property
    def missing(self) -> list[int]:
        """The parts that are not finished."""
        return [part for part in range(self.count) if part not in self.done]

    @property
    def statuses(self) -> dict[str, int]:
        """The number of rows by status, over the finished parts."""
        return dict(sum((Counter(counts) for counts in self.done.values()), Counter()))

    def add(self, part: int, statuses: Mapping[str, int]) -> None:
        """Note that a part has been written, with the number of its rows by status."""
        self.done[part] = dict(statuses)
        done = {str(part): self.done[part] for part in sorted(self.done)}
        with writing("the manifest", f"{len(self.done)} of {self.count} parts are finished; the same command goes on"):
            write_whole(
                self.folder / MANIFEST,
                json.dumps({"format_version": FORMAT_VERSION, "job": self.job, "done": done}, indent=1),
            )


def write_part(rows: Sequence[Mapping[str, Any]], file: Path, types: Mapping[str, str]) -> dict[str, int]:
    """Write the results of a part.

    Args:
        rows: one mapping a row, each with its ``status``.
        file: its suffix gives the format.
        types: the columns in their order, each with its type, as pyarrow's function for it is called. Every part has the same.

    Returns:
        The number of rows by status.
    """
    if file.suffix == ".jsonl":
        lines = (json.dumps({name: row.get(name) for name in types}, allow_nan=False) + "\n" for row in rows)
        content = "".join(lines).encode()
    else:
        import pyarrow
        from pyarrow import parquet

        stream = io.BytesIO()
        schema = pyarrow.schema([(name, _arrow(kind)) for name, kind in types.items()])
        parquet.write_table(pyarrow.Table.from_pylist(list(rows), schema), stream)
        content = stream.getvalue()
    with writing("a part of the results", "finished parts stay; make room, then the same command goes on"):
        write_whole(file, content)
    return dict(Counter(row["status"] for row in rows))


def _arrow(kind: str) -> Any:
    """The Arrow type of a name such as ``string`` or ``list<list<float32>>``."""
    import pyarrow

    if kind.startswith("list<"):
        return pyarrow.list_(_arrow(kind[len("list<") : -1]))
    return getattr(pyarrow, kind)()


def read_results(folder: str | Path) -> list[dict[str, Any]]:
    """The results of all finished parts, in the order of the rows.

    Args:
        folder: that `agents.engine.dataset.explain_dataset` wrote.
    """
    folder = Path(in_home(str(folder)))
    found = read_object(folder / MANIFEST, error=UserError)
    kind = found["job"]["format"]
    rows: list[dict[str, Any]] = []
    for part in sorted(found["done"], key=int):
        file = folder / f"part-{int(part):06d}.{kind}"
        if kind == "jsonl":
            text = read_text(file, limit=LARGEST_FILE, error=UserError)
            rows += [parse_json(line, str(file), error=UserError) for line in text.splitlines()]
        else:
            from pyarrow import parquet

            rows += parquet.read_table(file).to_pylist()
    return rows
