"""One runner for every benchmark: `measure` fills docs/results/NAME.json, `page` turns that file into NAME.md.

python -m tests.benchmarks.NAME [flags]          # measure, then analyse
python -m tests.benchmarks.NAME --analyse        # write the page again from the JSON
python -m tests.benchmarks                       # list all benchmarks
python -m tests.benchmarks --analyse             # write every page again
"""

from __future__ import annotations

import argparse
import json
import math
import platform
import shlex
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from threadpoolctl import threadpool_limits

from agents.console.cli import prepare_process, run_main
from agents.files import write_whole
from tests.benchmarks.harness.runs import CACHE, ROOT, Runner

RESULTS, PAGES = ROOT / "docs" / "results", Path(__file__).resolve().parents[1] / "pages"
Record = dict[str, Any]
Options = argparse.Namespace
#: flags that say how a benchmark is run, not what it measures: the command on a page leaves them out
UNRECORDED = ("--cache", "--out", "--jobs", "--fresh", "--analyse", "--merge")


@dataclass(frozen=True)
class Experiment:
    """A benchmark in two halves that meet in one JSON file.

    Attributes:
        name: of its module, and of its files in docs/results.
        about: the module's docstring, shown by `--help`.
        measure: options -> records, each more complete than the one before. Every record is written, with its page, so that
            an interrupted benchmark keeps what it found. `options` holds the flags, `runner` (a `Runner`), `command` (as it
            stands on the page) and `before` (the record of the last time, empty if there is none).
        page: record -> Markdown. It reads the record alone.
        flags: own flags -> arguments of `ArgumentParser.add_argument`; aliases are separated by blanks.
        files: the names in docs/results, if they are not `name` alone.
        file_of: options -> the name in docs/results (default: the first of `files`).
        stamped: whether command and Python version are written into the record.

    Example:
        >>> def measure(options):
        ...     yield {"sum": sum(options.numbers)}
        >>> flags = {"--numbers": whole_numbers(1, 2)}
        >>> one = Experiment("sums", "Adds numbers.", measure, lambda record: f"The sum is {record['sum']}.", flags)
        >>> next(one.measure(one.parser().parse_args(["--numbers", "3", "4"])))
        {'sum': 7}
        >>> one.page({"sum": 7})
        'The sum is 7.'
    """

    name: str
    about: str | None
    measure: Callable[[Options], Iterator[Record]]
    page: Callable[[Record], str]
    flags: Mapping[str, dict[str, Any]] = field(default_factory=dict)
    files: Sequence[str] = ()
    file_of: Callable[[Options], str] | None = None
    stamped: bool = True

    @property
    def results(self) -> Sequence[str]:
        """Names of its files in docs/results."""
        return self.files or (self.name,)

    def parser(self) -> argparse.ArgumentParser:
        """Its own flags and those that all benchmarks have."""
        parser = argparse.ArgumentParser(
            f"python -m tests.benchmarks.{self.name}", description=self.about,
            formatter_class=argparse.RawDescriptionHelpFormatter,
        )  # fmt: skip
        for names, arguments in self.flags.items():
            parser.add_argument(*names.split(), **arguments)
        parser.add_argument("--analyse", action="store_true", help="measure nothing: write the page from the JSON file")
        parser.add_argument("--jobs", type=int, default=1, metavar="N", help="runs at a time, each in its own process")
        parser.add_argument("--fresh", action="store_true", help="measure again what the cache holds")
        parser.add_argument("--cache", type=Path, default=CACHE, metavar="DIR", help="folder of finished runs and models")
        parser.add_argument("--out", type=Path, metavar="STEM", help=f"default: docs/results/{self.results[0]}")
        return parser

    def main(self, argv: Sequence[str] | None = None) -> None:
        """Run it from the command line; errors that a user can correct are one line.

        Raises:
            SystemExit: with the code of an error.
        """
        if code := run_main(self._main, argv):
            raise SystemExit(code)

    def _main(self, argv: Sequence[str] | None) -> None:
        arguments = list(sys.argv[1:] if argv is None else argv)
        options = self.parser().parse_args(arguments)
        out: Path = options.out or RESULTS / (self.file_of(options) if self.file_of else self.results[0])
        if options.analyse:
            write_whole(out.with_suffix(".md"), self.page(read(out)))
            return
        prepare_process()
        threadpool_limits(1)  # numpy was imported before, so that it has not seen the variables
        options.command = shlex.join(["python", "-m", f"tests.benchmarks.{self.name}", *recorded(arguments)])
        options.before = read(out) if out.with_suffix(".json").is_file() else {}
        options.runner = Runner(options.cache, options.jobs, options.fresh, getattr(options, "merge", False))
        out.parent.mkdir(parents=True, exist_ok=True)
        version = {"python": platform.python_version()} if self.stamped else {}
        stamp = {"command": options.command, **version} if self.stamped else {}
        text = ""
        with options.runner:
            for record in self.measure(options):
                whole = json.loads(as_json({**stamp, **record, **version}))
                text = self.page(whole)
                write_whole(out.with_suffix(".json"), as_json(whole))
                write_whole(out.with_suffix(".md"), text)
        print(text)
        if options.runner.missing:
            print(f"{options.runner.missing} runs are missing: run without --merge")


def recorded(arguments: Sequence[str]) -> list[str]:
    """A command line without the flags that say how and where it was run; folders of virtual environments become DIR."""
    kept: list[str] = []
    flag = ""
    for argument in arguments:
        flag = argument.split("=")[0] if argument.startswith("--") else flag
        if flag not in UNRECORDED:
            place = flag == "--against" or flag.endswith("-environment")
            kept.append("DIR" if place and argument != flag else argument)
    return kept


def read(stem: Path) -> Record:
    """The record of a results file."""
    return dict(json.loads(stem.with_suffix(".json").read_text(encoding="utf-8")))


def as_json(record: Any) -> str:
    """The text of a results file. What was not measured (NaN, infinity) becomes null: JSON cannot express it, and other
    readers refuse Python's ``NaN``."""
    return json.dumps(_finite(record), indent=1, allow_nan=False) + "\n"


def _finite(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {name: _finite(part) for name, part in value.items()}
    if isinstance(value, list | tuple):
        return [_finite(part) for part in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value


def render(name: str, **values: Any) -> str:
    """The template pages/NAME.md with its fields filled in (`str.format`)."""
    return (PAGES / f"{name}.md").read_text(encoding="utf-8").format(**values)


def whole_numbers(*default: int, **more: Any) -> dict[str, Any]:
    """Arguments of a flag that takes whole numbers."""
    return {"type": int, "nargs": "+", "default": list(default), **more}


def one_of(names: Sequence[str], *default: str, **more: Any) -> dict[str, Any]:
    """Arguments of a flag that takes some of these names (default: all)."""
    return {"nargs": "+", "default": list(default or names), "choices": list(names), "metavar": "NAME", **more}
