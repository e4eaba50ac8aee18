"""How long the explorer takes from a key to the picture, in a browser and at its API, with one visitor and with several.

    MANIFOLD_DATA=DIR python -m tests.benchmarks.app

The page is served on loopback by a process of its own, and headless Chromium presses arrow keys on the map: the time of each
is taken in the page, from the key to the moment at which the new frame is decoded. At the API, visitors without a browser
send the same moves at once, each in a session of its own. Wall-clock times: other processes on the machine lengthen them.
"""

from __future__ import annotations

import http.client
import json
import os
import shutil
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any
from urllib.parse import urlsplit

import numpy as np

from tests.benchmarks.harness.experiment import Experiment, Options, Record, as_json, render, whole_numbers
from tests.benchmarks.harness.tables import reached, table

AIMS = {"Manifold/Digits-v0": 100.0, "Manifold/MNIST-v0": 250.0}  # ms from key to picture, 95 %
KEYS = ("ArrowRight", "ArrowUp", "ArrowLeft", "ArrowDown")
# In the page: press the key, and wait until the frame has another picture and that is decoded.
PRESS = """key => new Promise((done) => {
  const before = document.querySelector('.now img').src, began = performance.now();
  const watcher = new MutationObserver(async () => {
    const image = document.querySelector('.now img');
    if (!image || image.src === before) return;
    watcher.disconnect();
    await image.decode();
    done(performance.now() - began);
  });
  watcher.observe(document.querySelector('#view'), { childList: true, subtree: true });
  document.querySelector('#map').dispatchEvent(new KeyboardEvent('keydown', { key, bubbles: true }));
})"""


@contextmanager
def served(env_id: str) -> Iterator[str]:
    """The address of the page of an environment."""
    command = [sys.executable, "-m", "agents.app", env_id, "--budget", "1000000000"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        try:
            line = process.stdout.readline()
            yield line.split()[2]
        finally:
            process.terminate()


def in_a_browser(address: str, presses: int) -> list[float]:
    """Milliseconds from each key to its picture; a walk starts anew every 40 steps."""
    from playwright.sync_api import sync_playwright

    found: list[float] = []
    chromium = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
    with sync_playwright() as driver:
        browser = driver.chromium.launch(executable_path=chromium, args=["--no-sandbox", "--disable-gpu"])
        page = browser.new_page()
        page.goto(address)
        page.locator(".now img").wait_for()
        for k in range(presses + 5):
            if k % 40 == 0:
                page.locator("#row").fill(str(k))
                page.locator("#row").press("Enter")
                page.wait_for_timeout(500)
            found.append(page.evaluate(PRESS, KEYS[(k // 3) % 4]))
        browser.close()
    return found[5:]  # the first ones warm the server up


def at_the_api(address: str, visitors: int, moves: int) -> list[float]:
    """Milliseconds of each move of several visitors at once."""
    place, found, lock = urlsplit(address), list[float](), threading.Lock()

    def visit(k: int) -> None:
        connection = http.client.HTTPConnection(str(place.hostname), place.port or 80)

        def post(call: str, body: Any, token: str = "") -> Any:
            connection.request("POST", f"/api/{call}", as_json(body), {"X-Session": token})
            return json.loads(connection.getresponse().read())

        token = post("session", {})["token"]
        times = []
        for t in range(moves):
            if t % 40 == 0:
                post("input", {"kind": "row", "value": k + t}, token)
            began = time.perf_counter()
            post("along", {"right": 1 - 2 * ((t // 3) % 2), "up": 0.5}, token)
            times.append(1000 * (time.perf_counter() - began))
        with lock:
            found.extend(times[5:])

    threads = [threading.Thread(target=visit, args=(k,)) for k in range(visitors)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return found


def quantiles(times: list[float]) -> dict[str, float]:
    """Count, median and 95 %."""
    return {"n": len(times), "p50": float(np.median(times)), "p95": float(np.quantile(times, 0.95))}


def measure(options: Options) -> Iterator[Record]:
    """Every environment, in the browser and at the API."""
    found: dict[str, Any] = {}
    for env_id in AIMS:
        with served(env_id) as address:
            rows = {"key to picture, one tab": quantiles(in_a_browser(address, options.presses))}
            for visitors in options.visitors:
                name = f"answer of the API, {visitors} visitor{'' if visitors == 1 else 's'}"
                rows[name] = quantiles(at_the_api(address, visitors, options.presses // 2))
        found[env_id] = rows
        yield {"found": found, "load": os.getloadavg()[0], "cores": os.cpu_count()}


def page(record: Record) -> str:
    """One table, and the keys against the aims."""
    cells = [
        [env_id, name, str(row["n"]), f"{row['p50']:.0f}", f"{row['p95']:.0f}"]
        for env_id, rows in record["found"].items()
        for name, row in rows.items()
    ]
    aims = []
    for env_id, rows in record["found"].items():
        p95 = rows["key to picture, one tab"]["p95"]
        aims.append(f"- {env_id}, key to picture: 95 % within {p95:.0f} ms, aim {AIMS[env_id]:.0f} ms: "
                    f"{reached(p95, '<=', AIMS[env_id])}.")  # fmt: skip
    titles = ["environment", "measured", "moves", "median, ms", "95 %, ms"]
    return render(
        "app", command=record["command"], load=record["load"], cores=record["cores"], table=table(titles, cells),
        aims="\n".join(aims),
    )  # fmt: skip


EXPERIMENT = Experiment(
    "app", __doc__, measure, page,
    flags={
        "--presses": {"type": int, "default": 200, "help": "keys in the browser; half as many moves of each visitor"},
        "--visitors": whole_numbers(1, 4),
    },
)  # fmt: skip

if __name__ == "__main__":
    EXPERIMENT.main()
