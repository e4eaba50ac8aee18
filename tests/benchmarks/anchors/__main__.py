"""Anchors: one cheap measurement of each system, to see whether a change of the code changed what it computes.

    python -m tests.benchmarks.anchors --write before.json                 # on the code before the change
    python -m tests.benchmarks.anchors --compare before.json               # after it, on the same machine
    python -m tests.benchmarks.anchors --compare before.json --only "walk line" --only "fit vae"
    python -m tests.benchmarks.anchors --write tests/benchmarks/anchors.json --portable    # what the tests compare with

A comparison prints one line a system: `same`, or `DIFFERS` with the largest difference. Digests (of policies, fitted weights,
texts) must be equal, so a comparison is valid on one machine with one set of libraries; floats may differ by 1e-6 of the
largest float of their entry. It ends with status 1 if a system differs, fails or is missing. `--portable` writes only what
holds on every processor, without digests; the tests compare with it at a tolerance of 1e-3. The systems stand in the
modules beside this one; --list prints their names.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

# Before numpy and torch load: one thread, so that sums are always taken in the same order.
os.environ.update(dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"), "1"))

from tests.benchmarks.anchors.comparison import SYSTEMS, TOLERANCE, described, difference, measured, missing_library
from tests.benchmarks.anchors.values import Measured, without_digests
from tests.benchmarks.harness.experiment import as_json


def visit(names: Sequence[str], handle: Callable[[str, Measured], tuple[bool, str]]) -> bool:
    """Measure the systems one after another and print a line for each; whether all is well."""
    well = True
    for name in names:
        began = time.perf_counter()
        if (library := missing_library(SYSTEMS[name])) is not None:
            good, line = True, f"skipped: {library} is not installed"
        else:
            try:
                good, line = handle(name, measured(SYSTEMS[name]))
            except Exception as error:  # a system that fails must not hide the others
                good, line = False, f"FAILED: {type(error).__name__}: {error}"
        print(f"{name:<28} {line}   ({time.perf_counter() - began:.1f} s)", flush=True)
        well = well and good
    return well


def write(file: Path, names: Sequence[str], portable: bool) -> bool:
    """Record the systems; those that were recorded in the file before and are not measured now stay."""
    page: dict[str, Any] = json.loads(file.read_text()) if file.is_file() else {}

    def record(name: str, values: Measured) -> tuple[bool, str]:
        page[name] = without_digests(values) if portable else values
        return True, f"{len(page[name])} values"

    well = visit([name for name in names if SYSTEMS[name].portable or not portable], record)
    file.write_text(as_json({name: page[name] for name in SYSTEMS if name in page}))
    return well


def compare(file: Path, names: Sequence[str]) -> bool:
    """Measure the systems and compare them with what was recorded."""
    page: dict[str, Measured] = json.loads(file.read_text())

    def judge(name: str, values: Measured) -> tuple[bool, str]:
        if name not in page:
            return False, f"NOT RECORDED in {file}: write it with --write {file} --only {name!r} on the code before the change"
        if difference(page[name], values).size <= TOLERANCE:
            return True, "same"
        return False, f"DIFFERS ({described(page[name], values)})"

    well = visit(names, judge)
    gone = [name for name in page if name not in SYSTEMS] if len(names) == len(SYSTEMS) else []
    for name in gone:
        print(f"{name:<28} MISSING: recorded in {file}, and no system has this name now")
    return well and not gone


def main(argv: Sequence[str] | None = None) -> int:
    """The script."""
    parser = argparse.ArgumentParser(prog="python -m tests.benchmarks.anchors", description=str(__doc__).splitlines()[0])
    task = parser.add_mutually_exclusive_group(required=True)
    task.add_argument("--write", type=Path, metavar="FILE", help="record the systems")
    task.add_argument("--compare", type=Path, metavar="FILE", help="compare with what was recorded on this machine")
    task.add_argument("--list", action="store_true", help="list the systems")
    parser.add_argument("--only", action="append", choices=list(SYSTEMS), metavar="NAME", help="one system; may be repeated")
    parser.add_argument("--portable", action="store_true", help="with --write: only what holds on every processor, no digests")
    options = parser.parse_args(argv)
    if options.portable and not options.write:
        parser.error("--portable belongs to --write")
    if options.list:
        print("\n".join(SYSTEMS))
        return 0
    if options.compare and not options.compare.is_file():
        parser.error(f"--compare {options.compare}: there is no such file; record it with --write {options.compare}")
    os.environ["MANIFOLD_CACHE"] = ""  # every fit is made anew
    names = options.only or list(SYSTEMS)
    began = time.process_time()
    well = write(options.write, names, options.portable) if options.write else compare(options.compare, names)
    verdict = "all is well" if well else "see the lines above"
    print(f"{len(names)} systems in {time.process_time() - began:.0f} CPU-s; {verdict}")
    return 0 if well else 1


if __name__ == "__main__":
    sys.exit(main())
