"""How long a report on 200 paths takes to open, and how large it is: digits and MNIST, in headless Chromium.

    python -m tests.benchmarks.report_opening

The report is written from the first 200 held-out inputs, walked by the line, and opened from disk several times in a new
page. *Wall* is the time from the navigation to the first frame that is painted after all is loaded; *CPU* is what the page's
main thread was busy for in that time. The machine may be busy: then wall says little, and CPU holds.
"""

from __future__ import annotations

import shutil
import time
from collections.abc import Iterator
from pathlib import Path
from statistics import median
from typing import Any

import envs
from agents.explain import explain
from agents.explanation.report.page import write_report
from tests.benchmarks.harness.experiment import Experiment, Options, Record, render
from tests.benchmarks.harness.tables import reached, table

SETS = ("digits", "mnist")
PATHS, TIMES = 200, 5
MOST_MB, MOST_SECONDS = 5.0, 2.0
PAINTED = "() => new Promise(done => requestAnimationFrame(() => requestAnimationFrame(() => done(performance.now()))))"


def written(name: str, folder: Path) -> tuple[Path, int]:
    """The report, and the number of its paths."""
    world = envs.make_world(data=name, progress=False)
    rows = range(min(PATHS, len(world.held_out.x)))
    paths = explain(world, rows, walker="line")
    return write_report(folder / f"report-{name}.html", paths, world, badges=False), len(paths)


def opened(browser: Any, file: Path) -> dict[str, float]:
    """Seconds of one opening in a new page."""
    page = browser.new_page(viewport={"width": 1280, "height": 800})
    session = page.context.new_cdp_session(page)
    session.send("Performance.enable")
    started = time.monotonic()
    page.goto(file.as_uri(), wait_until="load")
    wall = float(page.evaluate(PAINTED)) / 1000
    found = {entry["name"]: entry["value"] for entry in session.send("Performance.getMetrics")["metrics"]}
    seen = time.monotonic() - started
    page.close()
    return {"wall": wall, "driver": seen, "cpu": found["TaskDuration"], "layout": found["LayoutDuration"],
            "style": found["RecalcStyleDuration"], "script": found["ScriptDuration"], "nodes": found["Nodes"]}  # fmt: skip


def measure(options: Options) -> Iterator[Record]:
    """Size and times of every set."""
    from playwright.sync_api import sync_playwright

    chromium = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
    found: dict[str, Any] = {}
    for name in options.sets:
        file, count = written(name, options.cache)
        with sync_playwright() as driver:
            browser = driver.chromium.launch(executable_path=chromium, args=["--no-sandbox", "--disable-gpu"])
            times = [opened(browser, file) for _ in range(TIMES + 1)][1:]  # the first starts the browser's renderer
            browser.close()
        found[name] = {"paths": count, "mb": file.stat().st_size / 1e6, "times": times}
        yield {"sets": found}


def page(record: Record) -> str:
    """One row a set."""
    rows = []
    for name, found in record["sets"].items():
        middle = {key: median(one[key] for one in found["times"]) for key in found["times"][0]}
        walls = [one["wall"] for one in found["times"]]
        rows.append([
            name, found["paths"], f"{found['mb']:.2f}", f"{middle['wall']:.2f} ({min(walls):.2f} to {max(walls):.2f})",
            f"{middle['cpu']:.2f}", f"{middle['layout'] + middle['style']:.2f}", f"{middle['nodes']:,.0f}",
            reached(found["mb"], "<=", MOST_MB) + ", " + reached(middle["wall"], "<=", MOST_SECONDS),
        ])  # fmt: skip
    head = ["data", "paths", "MB", "wall, seconds", "CPU, seconds", "of it style and layout", "nodes", "5 MB, 2 s"]
    return render("report_opening", command=record["command"], times=TIMES, table=table(head, rows))


EXPERIMENT = Experiment(
    "report_opening", __doc__, measure, page,
    flags={"--sets": {"nargs": "+", "default": list(SETS), "choices": list(SETS), "help": "data sets"}},
)  # fmt: skip

if __name__ == "__main__":
    EXPERIMENT.main()
