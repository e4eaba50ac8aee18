"""All benchmarks: list them, or write their pages again from the JSON files.

python -m tests.benchmarks                        # names and questions
python -m tests.benchmarks --analyse              # every page of docs/results
python -m tests.benchmarks --analyse lime gpu     # some
python -m tests.benchmarks.lime --help            # one benchmark
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from importlib import import_module
from pathlib import Path

from tests.benchmarks.harness.experiment import RESULTS, Experiment, read


def names() -> list[str]:
    """Modules in this folder that are experiments."""
    files = sorted(Path(__file__).parent.glob("*.py"))
    return [file.stem for file in files if "\nEXPERIMENT = Experiment(" in file.read_text(encoding="utf-8")]


def experiments(chosen: list[str]) -> Iterator[Experiment]:
    """The experiments of these names."""
    for name in chosen:
        yield import_module(f"tests.benchmarks.{name}").EXPERIMENT


def main(argv: list[str] | None = None) -> None:
    """The script."""
    parser = argparse.ArgumentParser(
        "python -m tests.benchmarks", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("names", nargs="*", default=names(), metavar="NAME")
    parser.add_argument("--analyse", action="store_true", help="write the pages from the JSON files")
    options = parser.parse_args(argv)
    if unknown := sorted(set(options.names) - set(names())):
        parser.error(f"unknown benchmark {', '.join(unknown)}; there are {', '.join(names())}")
    for experiment in experiments(options.names):
        if not options.analyse:
            print(f"{experiment.name:22s} {str(experiment.about).splitlines()[0]}")
            continue
        for file in experiment.results:
            (RESULTS / f"{file}.md").write_text(experiment.page(read(RESULTS / file)), encoding="utf-8")


if __name__ == "__main__":
    main()
