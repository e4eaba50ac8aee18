"""The watch on skipped tests in tests/conftest.py."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
SKIPPING = """
import pytest

def test_runs(): pass

@pytest.mark.parametrize("size", [1, 2])
def test_skips(size): pytest.skip("no such device")

@pytest.mark.xfail(reason="known")
def test_fails(): raise ValueError
"""


@pytest.fixture
def suite(tmp_path: Path) -> Path:
    tests = tmp_path / "tests"
    tests.mkdir()
    shutil.copy(ROOT / "tests" / "conftest.py", tests)
    (tests / "test_some.py").write_text(SKIPPING)
    (tests / "allowed_skips.txt").write_text("# a comment\n")
    (tmp_path / "pytest.ini").write_text("[pytest]\n")
    return tmp_path


def run(suite: Path, *arguments: str, ci: str = "") -> tuple[int, str]:
    command = [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", "-p", "no:randomly", *arguments]
    env = {**os.environ, "CI": ci, "PYTEST_ADDOPTS": ""}
    done = subprocess.run(command, cwd=suite, env=env, capture_output=True, text=True, timeout=120, check=False)
    return done.returncode, done.stdout + done.stderr


def test_a_skip_passes_by_default_and_fails_in_ci(suite: Path) -> None:
    assert run(suite)[0] == 0
    status, said = run(suite, ci="true")
    assert status == 1
    assert "tests/test_some.py::test_skips[1]: Skipped: no such device" in said
    assert "test_fails" not in said


def test_a_named_skip_is_allowed_and_only_that_one(suite: Path) -> None:
    allowed = suite / "tests" / "allowed_skips.txt"
    allowed.write_text("tests/test_some.py::test_skips[1] # only here\n")
    status, said = run(suite, "--strict-skips")
    assert status == 1
    assert "test_skips[2]: Skipped" in said
    assert "test_skips[1]: Skipped" not in said
    allowed.write_text("tests/test_some.py::test_skips* # all sizes\n")
    assert run(suite, "--strict-skips")[0] == 0


def test_a_whole_module_skipped_fails_too(suite: Path) -> None:
    (suite / "tests" / "test_some.py").write_text("import pytest\npytest.importorskip('no_such_module')\n")
    status, said = run(suite, "--strict-skips")
    assert status == 1
    assert "tests/test_some.py: Skipped: could not import 'no_such_module'" in said
