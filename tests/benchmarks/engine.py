"""Many explanations by one process, by two, and by a Ray cluster of two nodes of which one is killed in the middle.

    python -m tests.benchmarks.engine

Rows: distinct decoded samples of the digits' prior with a fixed seed. Each engine explains all of them towards the nearest
other class with the shipped example run, in parts of equal size, into a folder of its own. Seconds are wall time of the whole
command after its start-up: from the first finished part to the last. The overhead is the CPU time a row of one process against
`agents.explain` of the same rows in batches of the same size. The speed-up needs as many free cores as workers; the load
of the machine stands beside it.
"""

from __future__ import annotations

import hashlib
import os
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np
import torch

from agents.engine.dataset import explain_dataset
from agents.engine.parts import read_results
from agents.explain import explain
from agents.runs.run import load_run
from tests.benchmarks.harness.experiment import Experiment, Options, Record, render
from tests.benchmarks.harness.runs import ROOT, cpu_seconds
from tests.benchmarks.harness.tables import table

RUN = ROOT / "runs" / "example"


def make_rows(file: Path, count: int) -> None:
    """Write decoded samples of the prior."""
    world = load_run(RUN).world
    codes = world.manifold.prior.sample(count, torch.Generator().manual_seed(0))
    with torch.inference_mode():
        frames = torch.cat([world.manifold.decode(part) for part in codes.split(4096)])
    np.save(file, world.units.outward(frames).numpy())


def digest(folder: Path) -> str:
    """The digest of all parts, in their order."""
    whole = hashlib.sha256()
    for file in sorted(folder.glob("part-*")):
        whole.update(file.read_bytes())
    return whole.hexdigest()[:16]


def run(rows: Path, out: Path, part: int, engine: str, jobs: int, address: str = "", kill: Any = None) -> dict[str, Any]:
    """Explain all rows by the command; `kill` is called when a third of the parts are there."""
    count = -(-len(np.load(rows, mmap_mode="r")) // part)
    command = [
        sys.executable, "-m", "agents.explain", str(RUN), "--input", str(rows), "--out", str(out), "--engine", engine,
        "--jobs", str(jobs), "--part-size", str(part), "--json", *(["--address", address] if address else []),
    ]  # fmt: skip
    load, first, killed = os.getloadavg()[0], 0.0, False
    driver = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    while driver.poll() is None:
        made = len(list(out.glob("part-*")))
        if made and not first:
            first = time.perf_counter()
            begun = made
        if kill is not None and not killed and made >= count // 3:
            kill()
            killed = True
        time.sleep(0.02)
    if driver.returncode:
        raise RuntimeError((driver.stdout.read() if driver.stdout else b"").decode())
    seconds = time.perf_counter() - first
    steady = (count - begun) * part / seconds
    return {"rows a second": steady, "seconds": seconds, "digest": digest(out), "killed": killed, "load": load}


def overhead(rows: np.ndarray, part: int, folder: Path) -> dict[str, float]:
    """CPU-ms a row in batches and in parts, medians over five interleaved repeats after a warm-up."""
    loaded = load_run(RUN)
    np.save(folder / "few.npy", rows)
    batches = [rows[low : low + part] for low in range(0, len(rows), part)]
    found: dict[str, list[float]] = {"batch": [], "engine": []}
    for repeat in range(6):
        out, parts = folder / f"in_parts_{repeat}", {"batch_size": part, "progress": False}
        work = {
            "batch": lambda: [explain(loaded, one, skip_present=True) for one in batches],
            "engine": lambda out=out, parts=parts: explain_dataset(loaded, folder / "few.npy", out, **parts),
        }
        for name, function in work.items():
            found[name].append(1000 * cpu_seconds(function)[1] / len(rows))
    return {name: median(times[1:]) for name, times in found.items()}


def measure(options: Options) -> Iterator[Record]:
    """All engines on the same rows."""
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        rows = folder / "rows.npy"
        make_rows(rows, options.rows)
        record: Record = {"rows": options.rows, "part": options.part, "engines": {}}
        record |= overhead(np.load(rows)[: 5 * options.part], options.part, folder)
        for name, engine, jobs in (("one process", "local", 1), ("two processes", "local", 2)):
            record["engines"][name] = run(rows, folder / name, options.part, engine, jobs)
            yield record
        record["found"] = sum(row["success"] for row in read_results(folder / "one process")) / options.rows
        from ray.cluster_utils import Cluster

        cluster = Cluster(initialize_head=True, head_node_args={"num_cpus": 1})
        node = cluster.add_node(num_cpus=1)
        try:
            name = "Ray, two nodes, one killed after a third of the parts"
            record["engines"][name] = run(
                rows, folder / "ray", options.part, "ray", 2, cluster.address,
                lambda: cluster.remove_node(node, allow_graceful=False),
            )  # fmt: skip
        finally:
            cluster.shutdown()
        record["memory"] = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / 1024
        yield record


def page(record: Record) -> str:
    """One table."""
    first = next(iter(record["engines"].values()))
    rows = [
        [
            name, f"{one['rows a second']:,.0f}", f"{one['rows a second'] / first['rows a second']:.2f}",
            "yes" if one["digest"] == first["digest"] else "NO", f"{one['load']:.1f}",
        ]
        for name, one in record["engines"].items()
    ]  # fmt: skip
    titles = ["engine", "rows a second", "against one process", "same bytes", "load before"]
    return render(
        "engine", command=record["command"], rows=record["rows"], part=record["part"], batch=record["batch"],
        engine=record["engine"], overhead=100 * (record["engine"] / record["batch"] - 1), table=table(titles, rows),
        found=record.get("found", float("nan")), memory=record.get("memory", float("nan")),
    )  # fmt: skip


EXPERIMENT = Experiment(
    "engine", __doc__, measure, page,
    flags={
        "--rows": {"type": int, "default": 100_000, "help": "distinct rows"},
        "--part": {"type": int, "default": 1000, "help": "rows of a part"},
    },
)  # fmt: skip

if __name__ == "__main__":
    EXPERIMENT.main()
