"""A process that explains on demand, so that two checkouts can be measured in turns: see `interleaved`.

python worker.py RUN ROWS      # then one line "go" a round; it answers with the CPU-ms of each explanation
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from pathlib import Path
from typing import Any


def serve(run: str, rows: list[int]) -> None:
    """Load the run; then answer every line of stdin with one explanation of each row, alone."""
    from agents import Explainer

    explainer = Explainer.load(run)
    for row in rows[:20]:
        explainer.explain(row)
    for _ in sys.stdin:
        times, found = [], []
        for row in rows:
            began = time.process_time()
            path = explainer.explain(row)
            times.append(1000 * (time.process_time() - began))
            found.append((bool(path.success), float(path.distances[-1]), int(path.queries)))
        print(json.dumps({"ms": times, "found": found}), flush=True)


def interleaved(checkouts: dict[str, Path], run: Path, rows: list[int], rounds: int) -> dict[str, list[dict[str, Any]]]:
    """The answers of each checkout's process in each round, in turns.

    Args:
        checkouts: name -> folder of the source code.
        run: explained by; the same for all.
        rows: held-out rows, explained alone.
        rounds: how often.
    """
    processes = {
        name: subprocess.Popen(
            [sys.executable, __file__, str(run), json.dumps(rows)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
            cwd=folder, env={**os.environ, "PYTHONPATH": str(folder), "OMP_NUM_THREADS": "1"},
        )
        for name, folder in checkouts.items()
    }  # fmt: skip
    answers: dict[str, list[dict[str, Any]]] = {name: [] for name in checkouts}
    try:
        for _ in range(rounds):
            for name, process in processes.items():
                assert process.stdin is not None
                assert process.stdout is not None
                process.stdin.write("go\n")
                process.stdin.flush()
                answers[name].append(json.loads(process.stdout.readline()))
    finally:
        for process in processes.values():
            process.kill()
            process.wait()
    return answers


if __name__ == "__main__":
    serve(sys.argv[1], json.loads(sys.argv[2]))
