"""Damaged and hostile files, and kills while a checkpoint is saved or removed: how each of them ends.

    python -m tests.benchmarks.reliability                      # 5,000 mutants a kind
    python -m tests.benchmarks.reliability --count 200 --kinds config path

Mutants have fixed seeds and are read in one process; every slice of them is kept, so that an interrupted campaign goes on.
"""

from __future__ import annotations

import ast
import sys
import tempfile
from collections.abc import Iterator
from contextlib import redirect_stderr, redirect_stdout
from functools import partial
from io import StringIO
from pathlib import Path
from subprocess import run as run_process
from typing import Any
from xml.etree import ElementTree

from tests.benchmarks.faults.campaign import SECONDS, run_kind
from tests.benchmarks.faults.killed import CASES, moments, moments_twice
from tests.benchmarks.faults.kinds import KINDS
from tests.benchmarks.harness.experiment import Experiment, Options, Record, one_of, render
from tests.benchmarks.harness.runs import ROOT, Run, digest
from tests.benchmarks.harness.tables import table

SLICE = 500  # mutants between two writes
SOURCES = ("tests/benchmarks/faults/*.py",)  # what is kept does not depend on the code that reads: --fresh reads again
READERS = ("envs/**/*.py", "vime/**/*.py", "agents/**/*.py")
ATTACKS = "tests/faults/test_untrusted_files.py"
FIGURES = ("tried", "named", "read", "tracebacks", "hangs", "ran")


def mutants(kind: str, first: int, count: int) -> dict[str, Any]:
    """How some mutants of a kind end; the largest memory of the process so far."""
    import resource

    with tempfile.TemporaryDirectory() as folder, redirect_stdout(StringIO()), redirect_stderr(StringIO()):
        found = run_kind(kind, count, Path(folder) / "files", first)
    hangs = [told for _, told in found.failures if "TimeoutError" in told]
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return {
        "tried": found.tried, "named": found.named, "read": found.read, "tracebacks": len(found.failures) - len(hangs),
        "hangs": len(hangs), "ran": len(found.ran), "failures": [[seed, told] for seed, told in found.failures[:3]],
        "peak_mb": peak / (1 << 20 if sys.platform == "darwin" else 1 << 10), "code": digest("", READERS),
    }  # fmt: skip


def kills(case: str, twice: bool) -> dict[str, Any]:
    """Kills in one case, before every file operation."""
    with tempfile.TemporaryDirectory() as folder:
        found = (moments_twice if twice else moments)(CASES[case], Path(folder))
    return {"tried": found.tried, "lost": len(found.lost), "told": found.lost[:3]}


def attacks() -> dict[str, Any]:
    """The corpus of attacks in the tests; one fails if code runs, or if a process, socket or file elsewhere is opened."""
    with tempfile.TemporaryDirectory() as folder:
        report = Path(folder) / "attacks.xml"
        # Those that take the fixture `attack`; the others check that honest files go on.
        command = [sys.executable, "-m", "pytest", "-q", "-n", "0", "-p", "no:cacheprovider", f"--junitxml={report}", ATTACKS]
        run_process(command, cwd=ROOT, capture_output=True, check=False)
        cases = list(ElementTree.parse(report).iter("testcase"))
    functions = [part for part in ast.walk(ast.parse((ROOT / ATTACKS).read_text())) if isinstance(part, ast.FunctionDef)]
    attacks = {part.name for part in functions if any(argument.arg == "attack" for argument in part.args.args)}
    cases = [case for case in cases if case.get("name", "").partition("[")[0] in attacks]  # the others read honest files
    failed = [case.get("name", "") for case in cases if case.find("failure") is not None or case.find("error") is not None]
    return {"tried": len(cases), "failed": failed}


def measure(options: Options) -> Iterator[Record]:
    """Kills and attacks first, then the mutants, kind by kind."""
    runner = options.runner
    sources = (*SOURCES, ATTACKS)
    record: Record = {"slice": SLICE, "seconds": SECONDS, "kills": {}, "mutants": {}}
    for twice in (False, True):
        for case in CASES:
            run = Run({"case": case, "twice": twice}, partial(kills, case, twice), sources, "kills")
            record["kills"].setdefault(case, {})["twice" if twice else "once"] = runner.one(run, "kills")
    record["attacks"] = runner.one(Run({"attacks": ATTACKS}, attacks, sources, "attacks"), "attacks")
    yield record
    for kind in options.kinds:
        slices = []
        for first in range(0, options.count, SLICE):
            size = min(SLICE, options.count - first)
            run = Run({"kind": kind, "first": first, "count": size}, partial(mutants, kind, first, size), sources, "mutants")
            slices += runner([run], kind)
        if slices:
            record["mutants"][kind] = joined(slices)
            yield record


def joined(slices: list[dict[str, Any]]) -> dict[str, Any]:
    """The sums of some slices; the largest memory."""
    sums: dict[str, Any] = {name: sum(part[name] for part in slices) for name in FIGURES}
    return {**sums, "failures": [told for part in slices for told in part["failures"]][:10],
            "peak_mb": max(part["peak_mb"] for part in slices), "code": sorted({part["code"] for part in slices})}  # fmt: skip


def page(record: Record) -> str:
    """Sums, then a table of the kinds and one of the kills."""
    found, kill = record["mutants"], record["kills"]
    total = {name: sum(part[name] for part in found.values()) for name in FIGURES}
    peak = max((part["peak_mb"] for part in found.values()), default=0)
    lost = sum(part[how]["lost"] for part in kill.values() for how in part)
    moments_tried = {how: sum(part[how]["tried"] for part in kill.values()) for how in ("once", "twice")}
    titles = ["kind", "files", "named errors", "read as valid", "tracebacks", "hangs", "code run"]
    rows = [[name, *(f"{part[figure]:,}" for figure in FIGURES)] for name, part in found.items()]
    cases = [[name, part["once"]["tried"], part["twice"]["tried"], part["once"]["lost"] + part["twice"]["lost"]]
             for name, part in kill.items()]  # fmt: skip
    failures = [f"- {name}, seed {seed}: `{told.strip().splitlines()[-1]}`"
                for name, part in found.items() for seed, told in part["failures"]]  # fmt: skip
    editions = {code: [name for name, part in found.items() if code in part["code"]]
                for code in sorted({code for part in found.values() for code in part["code"]})}  # fmt: skip
    told = "; ".join(f"`{code}` read {', '.join(names)}" for code, names in editions.items())
    unread = [kind for kind in KINDS if kind not in found]
    return render(
        "reliability",
        unread=f"Not read in this campaign, but with 200 mutants in the tests: {', '.join(unread)}.\n" if unread else "",
        editions=f"Editions of the code that read them: {told}." if len(editions) > 1 else "",
        **{name: f"{value:,}" for name, value in total.items()}, kinds=len(found), peak=f"{peak:,.0f}",
        within="under" if peak < 2000 else "**above**", seconds=record["seconds"], once=f"{moments_tried['once']:,}",
        twice=f"{moments_tried['twice']:,}", lost=lost, attacks=record["attacks"]["tried"],
        succeeded=len(record["attacks"]["failed"]), table=table(titles, rows, "lr"),
        cases=table(["save", "kills", "two kills in a row", "runs lost"], cases, "lr"),
        failures="\n".join(["", "First failures:", "", *failures, ""]) if failures else "",
    )  # fmt: skip


FLAGS = {
    "--merge": {"action": "store_true", "help": "read nothing more: write the slices that are kept"},
    "--count": {"type": int, "default": 5000, "help": "mutants a kind"},
    "--kinds": one_of(list(KINDS), help="kinds of files"),
}
EXPERIMENT = Experiment("reliability", __doc__, measure, page, FLAGS)

if __name__ == "__main__":
    EXPERIMENT.main()
