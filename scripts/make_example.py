"""Makes runs/example, the run that comes with the repository: `python scripts/make_example.py` (about a minute).

A demo run, less what only a resumption needs (optimizers, generators) and TensorBoard's files, whose names hold the host's.
"""

from __future__ import annotations

import shutil
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

KEPT = ("policy", "progress", "surrogate")
LIMIT = 1_000_000  # bytes


def main() -> None:
    """Train, explain, copy what is to be shown."""
    from agents.console.cli import prepare_process

    prepare_process()
    from agents.demo import main as demo
    from agents.runs.folder import RunFolder

    example = ROOT / "runs" / "example"
    with tempfile.TemporaryDirectory() as scratch:
        demo(["--log-folder", scratch, "--paths", "6", "--no-progress"])
        source = RunFolder.open("latest", scratch)
        shutil.rmtree(example, ignore_errors=True)
        (example / "paths").mkdir(parents=True)
        for name in ("config.json", "summary.json", "report.html", "metrics.jsonl"):
            shutil.copy(source.root / name, example / name)
        for file in sorted((source.root / "paths").iterdir()):
            shutil.copy(file, example / "paths" / file.name)
        steps = source.latest_checkpoint()
        RunFolder(example, source.config).save_checkpoint(steps, source.load_checkpoint(steps, only=KEPT), keep=1)
    size = sum(file.stat().st_size for file in example.rglob("*") if file.is_file())
    if size > LIMIT:
        raise SystemExit(f"error: runs/example has {size:,} bytes, more than {LIMIT:,}")
    for file in (*example.glob("*.json*"), *example.glob("*.html")):
        if scratch in file.read_text():
            raise SystemExit(f"error: {file.name} holds a path of this machine")
    print(f"made runs/example: {size:,} bytes")


if __name__ == "__main__":
    main()
