""".ci/run: it parses, runs all parts by default, and goes on after a failed one."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
SCRIPT = (ROOT / ".ci" / "run").read_text(encoding="utf-8")
PARTS = re.findall(r"^part_(\w+)\(\) \{", SCRIPT, re.M)


def run(script: str, folder: Path, *parts: str) -> tuple[int, str]:
    (folder / ".ci").mkdir(exist_ok=True)
    (folder / ".ci" / "run").write_text(script, encoding="utf-8")
    command = ["bash", str(folder / ".ci" / "run"), *parts]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    return done.returncode, done.stdout


def with_commands(**commands: str) -> str:
    """The script with one command in place of each part."""
    body = {part: commands.get(part, "true") for part in PARTS}
    return re.sub(
        r"^part_(\w+)\(\) \{.*?^\}", lambda found: f"part_{found[1]}() {{ {body[found[1]]}; }}", SCRIPT, flags=re.M | re.S
    )


def test_every_part_runs_by_default_and_is_described(tmp_path: Path) -> None:
    status, said = run(with_commands(), tmp_path)
    assert status == 0
    assert re.findall(r"=== (\w+) ===", said) == PARTS
    assert re.findall(r"^#   (\w+)  ", SCRIPT, re.M) == PARTS


def test_a_failed_part_is_named_and_the_others_still_run(tmp_path: Path) -> None:
    status, said = run(with_commands(demo="false; echo went on"), tmp_path)
    assert status == 1
    assert "went on" not in said
    assert said.count(": passed after") == len(PARTS) - 1
    assert said.endswith("CI failed: demo\n")


def test_parts_can_be_chosen(tmp_path: Path) -> None:
    _, said = run(with_commands(), tmp_path, "lint", "docs")
    assert re.findall(r"=== (\w+) ===", said) == ["lint", "docs"]
