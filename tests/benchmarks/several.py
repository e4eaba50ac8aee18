"""Stability of explanations, and an audit of protected columns.

    python -m tests.benchmarks.several                      # breast cancer, German credit, digits; audit of German credit
    python -m tests.benchmarks.several --audits Adult       # a network on UCI Adult, minutes of fitting
    python -m tests.benchmarks.several --parts thresholds   # how many flips survive where walks go on to a higher tau

The line walks from held-out inputs. Stability: in what share of flips five classifiers trained again agree, and how often an
input with noise of 0.01 standard deviations changes the same parts. Thresholds: the same for walks that go on until p >= tau.
Audit: protected columns are freed; in what share of
the flips each changes, and how many answers flip when it alone is switched.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from statistics import fmean
from typing import Any

import numpy as np

import envs
from agents import audit
from agents.explain import explain
from agents.explanation.across.stability import stability
from agents.explanation.badge import HOLDS
from tests.benchmarks.contributions import world_of
from tests.benchmarks.harness.experiment import Experiment, Options, Record, one_of, render
from tests.benchmarks.harness.runs import Run
from tests.benchmarks.harness.splits import adult_split
from tests.benchmarks.harness.tables import table
from tests.benchmarks.table_columns import german_world

STABLE: dict[str, Callable[[], Any]] = {
    "breast cancer": lambda: world_of("breast cancer"),
    "German credit": lambda: german_world("forest", 0),
    "digits": lambda: envs.make_world(data="digits", progress=False),
}
AUDITED: dict[str, Callable[[Path], Any]] = {
    "German credit": lambda cache: german_world("forest", 0),
    "Adult": lambda cache: adult_split(0, cache).world,
}
SOURCES = (
    "agents/explanation/across/*.py",
    "agents/explanation/alternatives/changes.py",
    "agents/explanation/badge/*.py",
    "tests/benchmarks/several.py",
)
CLASSIFIERS = 5
TAUS, OTHER = (0.5, 0.7, 0.9), 100  # seeds of refits that no badge asks
PARTS = ("stability", "audits", "thresholds")


def stable(kind: str, count: int) -> dict[str, Any]:
    """The stability of a kind's first inputs."""
    world = STABLE[kind]()
    paths = explain(world, range(count), walker="line")
    return {"flips": sum(path.success for path in paths), **stability(paths, world, CLASSIFIERS, walker="line").to_json()}


def thresholds(kind: str, count: int) -> dict[str, Any]:
    """Flips, survival, distance, queries and badges of a kind's first inputs at each tau; the refits are not the badge's."""
    before, found = STABLE[kind](), {}
    for tau in TAUS:
        world = before.replace(tau=tau)
        paths = [path for path in explain(world, range(count), walker="line") if path.success]
        held = [path for path in paths if path.badge(world).kind == HOLDS]
        away = [float(np.linalg.norm(path.frames(world)[-1] - path.source_input)) for path in paths]
        survived = {name: stability(some, world, CLASSIFIERS, walker="line", seed=OTHER).to_json()
                    for name, some in (("all", paths), ("held", held))}  # fmt: skip
        found[f"{tau:g}"] = {
            "flips": len(paths), **survived["all"], "held": survived["held"]["survived"], "distance": fmean(away),
            "path_queries": fmean(path.queries for path in paths), "holds": len(held) / len(paths),
        }  # fmt: skip
    return found


def audited(kind: str, count: int, cache: Path) -> dict[str, Any]:
    """The audit of a kind's first inputs."""
    found = audit(AUDITED[kind](cache), rows=count, walker="line")
    return {"lines": list(found.lines), **found.to_json()}


def measure(options: Options) -> Iterator[Record]:
    """Every kind of data, then the audits."""
    record: Record = {
        "count": options.count, **{part: dict(options.before.get(part, {})) for part in PARTS},
    }  # fmt: skip
    measured: dict[str, Callable[[str, int], dict[str, Any]]] = {"stability": stable, "thresholds": thresholds}
    for part, one in measured.items():
        for kind in options.kinds if part in options.parts else ():
            run = Run({part: kind, "count": options.count}, partial(one, kind, options.count), SOURCES)
            record[part][kind] = options.runner.one(run, f"{part} of {kind}")
            yield record
    for kind in options.audits if "audits" in options.parts else ():
        task = partial(audited, kind, min(options.count, 100), options.cache)
        run = Run({"audit": kind, "count": options.count}, task, SOURCES)
        record["audits"][kind] = options.runner.one(run, f"audit of {kind}")
        yield record


def page(record: Record) -> str:
    """One table of stability, and the lines of each audit."""
    rows = []
    for kind, found in record["stability"].items():
        cells = [interval(found[name]) for name in ("survived", "by_all", "same_parts", "overlap")]
        rows.append([kind, found["flips"], found["classifiers"], *cells])
    head = ["data", "flips", "classifiers", "a flip survives", "survives all", "same parts", "change in common"]
    further = [
        [kind, tau, at["flips"], interval(at["survived"]), interval(at["held"]), f"{at['distance']:.2f}",
         f"{at['path_queries']:.1f}", f"{at['holds']:.2f}"]
        for kind, found in record["thresholds"].items() for tau, at in found.items()
    ]  # fmt: skip
    columns = ["data", "tau", "flips", "a flip survives", "one that holds survives", "distance", "queries", "badge: holds"]
    audits = [f"## Audit of {kind}\n\n" + "\n".join(f"- {line}" for line in found["lines"])
              for kind, found in record["audits"].items()]  # fmt: skip
    return render("several", command=record["command"], count=record["count"], table=table(head, rows),
                  thresholds=table(columns, further), audits="\n\n".join(audits))  # fmt: skip


def interval(found: dict[str, Any]) -> str:
    """A share with its interval."""
    return f"{found['value']:.2f} [{found['low']:.2f}, {found['high']:.2f}]" if found["n"] else "not measured"


EXPERIMENT = Experiment(
    "several", __doc__, measure, page,
    flags={
        "--kinds": one_of(list(STABLE)), "--parts": one_of(PARTS),
        "--audits": {"nargs": "+", "default": ["German credit"], "choices": list(AUDITED)},
        "--count": {"type": int, "default": 100, "help": "inputs of each kind"},
    },
)  # fmt: skip

if __name__ == "__main__":
    EXPERIMENT.main()
